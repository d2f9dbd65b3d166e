#include "base/log.h"
#include "copy/writer_private.h"

#include <inttypes.h>

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

static void maintenance_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	struct error failure;

	if (err != NULL) {
		/* Not urgent: a batch creates the partitions that it needs, and old rows can
		 * wait. There is no message here that could be set aside. */
		failure = *err;
		if (failure.kind == ERROR_POISON)
			error_needs_person(&failure);
		log_failure(LOG_LEVEL_WARN, "maintenance_failed", &failure);
		maintenance_failed(w);
		return;
	}
	maintenance_over(w, NULL);
}

static void maintenance_run(struct writer *w)
{
	writer_enter(w, WRITER_MAINTAINING);
	requests_run(&w->requests, w->session, maintenance_on_done, w);
}

void writer_make_partitions_ahead(struct writer *w, int64_t days)
{
	struct error err;
	const char *sql;

	arena_reset(&w->setup_arena);
	sql = request_sql(&w->setup_arena,
		"BEGIN; SET LOCAL lock_timeout = '2s'; "
		"SELECT ensure_partition(t.table_name, now() + d * interval '1 day') "
		"FROM partitioned_tables t, generate_series(0, %" PRId64 ") d; COMMIT",
		days);
	requests_begin(&w->requests);
	if (requests_add_sql(&w->requests, sql, NULL, NULL, &err) &&
		writer_plan_partition_list(w, &err))
		maintenance_run(w);
}

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
	if (writer_plan_clock(w, &err) && requests_add_sql(&w->requests, sql, NULL, NULL, &err))
		maintenance_run(w);
}
