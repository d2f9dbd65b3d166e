#include "base/clock.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "copy/writer_private.h"

#include <inttypes.h>
#include <string.h>

/* What the connection does between batches. Each task ends in on_idle: ready again. */
enum { PRUNE_ROWS = 20000 }; /* per statement: some 50 ms */

static void maintenance_over(void *context, const struct error *err)
{
	struct writer *w = context;

	(void)err;
	writer_enter(w, WRITER_READY);
	w->events.on_idle(w->events.context);
}

/* Undo whatever was begun; the next batch finds the session as it should be. */
static void maintenance_failed(struct writer *w)
{
	requests_recover(&w->requests, w->session, maintenance_over, w);
}

static void durable_on_done(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL) {
		writer_durable_failed(w, err);
		maintenance_failed(w);
		return;
	}
	(void)log_repeat_over(&w->durable_trouble);
	writer_durable_date(w);
	writer_durable_report(w);
	maintenance_over(w, NULL);
}

void writer_poll_durable(struct writer *w)
{
	struct error err;

	if (w->durable_count == 0 && !w->undated)
		return;
	arena_reset(&w->setup_arena);
	requests_begin(&w->requests);
	if (!writer_plan_positions(w, &w->setup_arena, &err))
		return;
	writer_enter(w, WRITER_MAINTAINING);
	requests_run(&w->requests, w->session, durable_on_done, w);
}

/* Not urgent: a batch creates the partitions that it needs, and old rows can wait. */
static void maintenance_say(const struct error *err, const char *name)
{
	struct error failure = *err;

	if (name != NULL && strstr(failure.message, name) == NULL)
		error_prefix(&failure, "%s", name);
	/* There is no message here that could be set aside. */
	if (failure.kind == ERROR_POISON)
		error_needs_person(&failure);
	log_failure(LOG_LEVEL_WARN, "maintenance_failed", &failure);
}

static void maintenance_on_done(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL) {
		maintenance_say(err, NULL);
		maintenance_failed(w);
		return;
	}
	maintenance_over(w, NULL);
}

/* ---- partitions ahead ---- */

/* Each in a transaction of its own: one that cannot be made must not keep others from being made,
 * and a lock on one table is not held while another one is waited for. */
static bool ahead_plan(struct writer *w, struct error *err)
{
	struct writer_ahead *a = &w->ahead;

	arena_reset(&w->setup_arena);
	requests_begin(&w->requests);
	a->asked_count = 0;
	while (a->next < a->missing_count && a->asked_count < WRITER_AHEAD_IN_RUN) {
		struct partition p = a->missing[a->next];
		char time[ISO8601_BYTES];

		iso8601_format(partition_time(p), time);
		if (!requests_add_sql(&w->requests,
			    request_sql(&w->setup_arena,
				    "BEGIN; SET LOCAL lock_timeout = '2s'; "
				    "SELECT ensure_partition('%s', '%s'); COMMIT",
				    tables[p.table].name, time),
			    NULL, NULL, err))
			return false;
		a->next++;
		a->asked_count++;
	}
	return a->asked_count > 0 || writer_plan_partition_list(w, err);
}

static void ahead_continue(struct writer *w);

static void ahead_on_recovered(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL)
		maintenance_over(w, err);
	else
		ahead_continue(w);
}

/* number: of those in the run. If it is about this partition alone, its table's others are next;
 * otherwise other tables are. */
static void ahead_leave_out(struct writer *w, size_t number, const struct error *err)
{
	struct writer_ahead *a = &w->ahead;
	size_t failed = a->next - a->asked_count + number;
	struct partition p = a->missing[failed];
	char name[PARTITION_NAME_BYTES];

	partition_name(p, name);
	maintenance_say(err, name);
	a->next = failed + 1;
	while (err->kind != ERROR_POISON && a->next < a->missing_count &&
		a->missing[a->next].table == p.table)
		a->next++;
	requests_recover(&w->requests, w->session, ahead_on_recovered, w);
}

static void ahead_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	size_t failed = pg_session_failed_request(w->session);

	if (err == NULL)
		ahead_continue(w);
	else if (failed < w->ahead.asked_count)
		ahead_leave_out(w, failed, err);
	else
		maintenance_on_done(w, err);
}

static void ahead_continue(struct writer *w)
{
	struct error err;

	if (!ahead_plan(w, &err))
		maintenance_over(w, NULL);
	else if (w->ahead.asked_count > 0)
		requests_run(&w->requests, w->session, ahead_on_done, w);
	else
		requests_run(&w->requests, w->session, maintenance_on_done, w);
}

static bool ahead_on_missing(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer_ahead *a = context;

	(void)number;
	(void)err;
	for (int i = 0; i < PQntuples(result) && a->missing_count < WRITER_AHEAD_MAX; i++)
		a->missing_count += partition_name_parse(PQgetvalue(result, i, 0),
			&a->missing[a->missing_count]);
	return true;
}

/* One look at the catalog: mostly all are there, and need no transaction each. */
static bool ahead_plan_missing(struct writer *w, int64_t days, struct error *err)
{
	char now[ISO8601_BYTES];
	const char *sql;

	iso8601_format(clock_wall_us() + w->clock_offset_us, now);
	arena_reset(&w->setup_arena);
	requests_begin(&w->requests);
	w->ahead.missing_count = w->ahead.next = w->ahead.asked_count = 0;
	sql = request_sql(&w->setup_arena,
		"SELECT p.name FROM partitioned_tables t, generate_series(0, %" PRId64 ") d, "
		"partition_of(t.table_name, timestamptz '%s' + d * interval '1 day') p "
		"WHERE NOT partition_exists(t.table_name, p.name) "
		"GROUP BY t.table_name, p.name ORDER BY t.table_name, p.name",
		days, now);
	return requests_add_sql(&w->requests, sql, ahead_on_missing, &w->ahead, err);
}

void writer_make_partitions_ahead(struct writer *w, int64_t days)
{
	struct error err;

	if (!ahead_plan_missing(w, days, &err))
		return;
	writer_enter(w, WRITER_MAINTAINING);
	requests_run(&w->requests, w->session, ahead_on_done, w);
}

/* ---- old rows ---- */

/* Leaves rows that another worker is removing to that worker. */
void writer_prune(struct writer *w, int64_t keep_us, int64_t tombstones_us)
{
	struct error err;
	const char *sql;

	arena_reset(&w->setup_arena);
	sql = request_sql(&w->setup_arena,
		"DELETE FROM exchange_halves WHERE ctid = ANY (ARRAY(SELECT ctid FROM "
		"exchange_halves WHERE stored_at < now() - %" PRId64
		" * interval '1 microsecond' ORDER BY stored_at LIMIT %d FOR UPDATE SKIP LOCKED)); "
		"SELECT prune_transaction_keys(%d), prune_tombstones(%" PRId64
		" * interval '1 microsecond', %d)",
		PAIRING_REACH * keep_us, PRUNE_ROWS, PRUNE_ROWS, tombstones_us, PRUNE_ROWS);
	requests_begin(&w->requests);
	collector_wake(w->collector);
	if (!writer_plan_clock(w, &err) || !requests_add_sql(&w->requests, sql, NULL, NULL, &err))
		return;
	writer_enter(w, WRITER_MAINTAINING);
	requests_run(&w->requests, w->session, maintenance_on_done, w);
}
