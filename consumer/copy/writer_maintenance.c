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
	pg_session_forget_statements(w->session);
	requests_begin(&w->requests);
	requests_add_literal(&w->requests, PG_RECOVER_SQL);
	requests_run(&w->requests, w->session, maintenance_over, w);
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

/* Begin with the first partitioned table from this one on. */
static void ahead_enter_table(struct writer_ahead *a, int table)
{
	while (table < TABLE_COUNT && tables[table].step == STEP_NONE)
		table++;
	a->next.table = (enum table_id)table;
	if (table < TABLE_COUNT)
		a->next = partition_of(a->next.table, a->from_us);
}

static void ahead_pass(struct writer_ahead *a, struct partition p)
{
	a->next = p;
	a->next.number++;
	if (partition_time(a->next) > a->until_us)
		ahead_enter_table(a, (int)p.table + 1);
}

/* Each in a transaction of its own: one that cannot be made must not keep others from being made,
 * and a lock on one table is not held while another one is waited for. */
static bool ahead_plan(struct writer *w, struct error *err)
{
	struct writer_ahead *a = &w->ahead;

	arena_reset(&w->setup_arena);
	requests_begin(&w->requests);
	a->asked_count = 0;
	while (a->next.table != TABLE_COUNT && a->asked_count < WRITER_AHEAD_IN_RUN) {
		struct partition p = a->next;
		char time[ISO8601_BYTES];

		iso8601_format(partition_time(p), time);
		if (!requests_add_sql(&w->requests,
			    request_sql(&w->setup_arena,
				    "BEGIN; SET LOCAL lock_timeout = '2s'; "
				    "SELECT ensure_partition('%s', '%s'); COMMIT",
				    tables[p.table].name, time),
			    NULL, NULL, err))
			return false;
		a->asked[a->asked_count++] = p;
		ahead_pass(a, p);
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

/* If it is about this partition alone, its table's others are next; otherwise other tables are. */
static void ahead_leave_out(struct writer *w, struct partition p, const struct error *err)
{
	char name[PARTITION_NAME_BYTES];

	partition_name(p, name);
	maintenance_say(err, name);
	if (err->kind == ERROR_POISON)
		ahead_pass(&w->ahead, p);
	else
		ahead_enter_table(&w->ahead, (int)p.table + 1);
	pg_session_forget_statements(w->session);
	requests_begin(&w->requests);
	requests_add_literal(&w->requests, PG_RECOVER_SQL);
	requests_run(&w->requests, w->session, ahead_on_recovered, w);
}

static void ahead_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	size_t failed = pg_session_failed_request(w->session);

	if (err == NULL)
		ahead_continue(w);
	else if (failed < w->ahead.asked_count)
		ahead_leave_out(w, w->ahead.asked[failed], err);
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

void writer_make_partitions_ahead(struct writer *w, int64_t days)
{
	w->ahead.from_us = clock_wall_us() + w->clock_offset_us;
	w->ahead.until_us = w->ahead.from_us + days * US_PER_DAY;
	ahead_enter_table(&w->ahead, 0);
	writer_enter(w, WRITER_MAINTAINING);
	ahead_continue(w);
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
