#include "cli/replay.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Connections of ours that have just been closed may still count as some that fill a table. */
static const int64_t ATTACH_BUSY_US = 10 * US_PER_SECOND;
enum { ATTACH_POLL_MS = 50 };

/* One step with a table. False with err. */
static bool attach_step(PGconn *conn, const char *table, struct loads *loads, char *state,
	size_t state_size, struct error *err)
{
	const char *params[] = {table};
	PGresult *result = pg_query(conn, ATTACHER_STEP_SQL("$1"), 1, params, err);

	if (result == NULL)
		return false;
	snprintf(state, state_size, "%s", PQgetvalue(result, 0, 0));
	loads->duplicates += strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	loads->tables += attacher_state_is_over(state);
	PQclear(result);
	return true;
}

/* until_us: while another session fills it, try again. */
static bool attach_table(PGconn *conn, const char *table, int64_t until_us, struct loads *loads,
	struct error *err)
{
	char state[16];

	for (;;) {
		if (!attach_step(conn, table, loads, state, sizeof(state), err))
			return false;
		if (attacher_state_goes_on(state))
			continue;
		if (strcmp(state, "busy") != 0)
			break;
		if (clock_mono_us() >= until_us) {
			log_info("still_loading",
				"another replay fills it, and attaches it at its end", "table=%s",
				table);
			return true;
		}
		poll(NULL, 0, ATTACH_POLL_MS);
	}
	log_info("loaded", "", "table=%s state=%s", table, state);
	return true;
}

bool replay_attach(const struct config *config, struct loads *loads, struct error *err)
{
	struct pg_options pg = cli_pg_options(config);
	PGconn *conn = pg_connect(&pg, err);
	PGresult *result = NULL;
	int64_t until_us = clock_mono_us() + (loads->rows > 0 ? ATTACH_BUSY_US : 0);
	bool ok = conn != NULL;

	if (ok)
		result = pg_query(conn,
			"SELECT table_name FROM loading_partitions ORDER BY begun_at, table_name",
			0, NULL, err);
	ok = result != NULL;
	for (int i = 0; ok && i < PQntuples(result); i++)
		ok = attach_table(conn, PQgetvalue(result, i, 0), until_us, loads, err);
	PQclear(result);
	PQfinish(conn);
	return ok;
}
