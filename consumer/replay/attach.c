#include "replay/replay_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Connections of ours that were just closed may still look as if they fill a table. */
static const int64_t ATTACH_BUSY_US = 10 * US_PER_SECOND;
enum { ATTACH_POLL_MS = 50 };

/* Tables that are being attached. */
struct attach {
	PGconn *conn;
	struct loads *loads;
	bool patient;     /* otherwise waits for nobody */
	int64_t until_us; /* how long to wait for sessions that fill a table */
	struct log_repeat waits;
};

enum attach_step { ATTACH_OVER, ATTACH_AGAIN, ATTACH_WAIT, ATTACH_LEFT, ATTACH_FAILED };

static enum attach_step attach_after(const struct attach *a, enum attacher_result result)
{
	switch (result) {
	case ATTACHER_STEPPED:
		return ATTACH_AGAIN;
	case ATTACHER_STEPPING:
		return a->patient ? ATTACH_WAIT : ATTACH_LEFT;
	case ATTACHER_BUSY:
		return clock_mono_us() < a->until_us ? ATTACH_WAIT : ATTACH_LEFT;
	case ATTACHER_ATTACHED:
	case ATTACHER_MOVED:
	case ATTACHER_GONE:
		break;
	}
	return ATTACH_OVER;
}

static enum attach_step attach_step(struct attach *a, const char *table, struct error *err)
{
	const char *params[] = {table};
	PGresult *answer = pg_query(a->conn, ATTACHER_STEP_SQL("$1"), 1, params, err);
	enum attacher_result result;
	enum attach_step step;

	/* lock_timeout: somebody reads it, perhaps a backup. */
	if (answer == NULL)
		return a->patient && pg_error_is_lock(err) ? ATTACH_WAIT : ATTACH_FAILED;
	result = attacher_result(PQgetvalue(answer, 0, 0));
	step = attach_after(a, result);
	a->loads->duplicates += strtoull(PQgetvalue(answer, 0, 1), NULL, 10);
	a->loads->tables += result == ATTACHER_ATTACHED || result == ATTACHER_MOVED;
	if (step == ATTACH_OVER)
		log_info("loaded", "", "table=%s state=%s", LOG_VALUE(table),
			attacher_result_name(result));
	PQclear(answer);
	return step;
}

static bool attach_table(struct attach *a, const char *table, struct error *err)
{
	uint64_t suppressed;

	for (;;) {
		switch (attach_step(a, table, err)) {
		case ATTACH_AGAIN:
			break;
		case ATTACH_WAIT:
			if (log_repeat_due(&a->waits, NULL, &suppressed))
				log_info("waits_to_attach",
					"another session fills the table, reads it or works at it",
					"table=%s", LOG_VALUE(table));
			poll(NULL, 0, ATTACH_POLL_MS);
			break;
		case ATTACH_OVER:
			return true;
		case ATTACH_LEFT:
			a->loads->waiting++;
			return true;
		case ATTACH_FAILED:
			return false;
		}
	}
}

/* All there are: one that cannot be attached does not hold up the others. */
static bool attach_all(struct attach *a, struct error *err)
{
	PGresult *result = pg_query(a->conn,
		"SELECT table_name FROM loading_partitions ORDER BY begun_at, table_name", 0, NULL,
		err);
	bool ok = result != NULL;
	struct error later;

	for (int i = 0; i < PQntuples(result); i++) {
		if (!attach_table(a, PQgetvalue(result, i, 0), ok ? err : &later))
			ok = false;
	}
	PQclear(result);
	return ok;
}

static bool attach(const struct pg_options *pg, bool patient, struct loads *loads,
	struct error *err)
{
	struct attach a = {.conn = pg_connect(pg, err), .loads = loads, .patient = patient};
	bool ok;

	if (patient)
		a.until_us = clock_mono_us() + ATTACH_BUSY_US;
	ok = a.conn != NULL && pg_exec(a.conn, ATTACHER_SETUP_SQL, err) && attach_all(&a, err);
	PQfinish(a.conn);
	return ok;
}

bool replay_attach(const struct pg_options *pg, struct loads *loads, struct error *err)
{
	return attach(pg, true, loads, err);
}

uint64_t replay_attach_left(const struct pg_options *pg)
{
	struct loads loads = {.rows = 0};
	struct error err;

	/* Whatever is in the way, the end of the replay will report it. */
	if (!attach(pg, false, &loads, &err))
		log_failure(LOG_LEVEL_WARN, "not_attached", &err);
	return loads.tables;
}
