#include "copy/writer.h"

#include "base/clock.h"
#include "base/log.h"
#include "copy/writer_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITER_SETUP_ARENA_BYTES = 64 * 1024 };

static const int64_t CLOCK_DIFFERS_US = 5 * US_PER_SECOND; /* logged beyond it */

static void writer_on_ready(void *context);
static void writer_on_lost(void *context, const struct error *err);
static void writer_next_run(struct writer *w);
static void writer_on_run(void *context, const struct error *err);
static void writer_roll_back(struct writer *w, const struct error *err);

bool writer_new(struct writer **out, struct ev_loop *loop, const struct writer_options *options,
	struct writer_events events, struct partitions *partitions, struct layouts *layouts,
	struct error *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	struct uuid owner;

	if (w == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	w->loop = loop;
	w->options = *options;
	w->events = events;
	w->partitions = partitions;
	w->layouts = layouts;
	uuid_format(&options->spool, w->spool_text);
	if (!uuid_new(&owner)) {
		error_set_errno(err, ERROR_FATAL, "random", "could not make a random number");
		goto fail;
	}
	uuid_format(&owner, w->owner_text);
	if (!arena_init(&w->setup_arena, WRITER_SETUP_ARENA_BYTES, WRITER_SETUP_ARENA_BYTES)) {
		error_set(err, ERROR_FATAL, "memory", "out of memory");
		goto fail;
	}
	if (!statements_new(&w->statements, err) ||
		!pg_session_new(&w->session, loop, &w->options.pg,
			(struct pg_session_events){writer_on_ready, writer_on_lost, w}, err))
		goto fail;
	if (!pg_pooler_new(&w->pooler, loop, &w->options.pg, err))
		goto fail;
	if (options->loads != NULL &&
		!attacher_new(&w->attacher, loop, &w->options.pg, options->loads, err))
		goto fail;
	pg_session_set_timeout(w->session, options->timeout_us);
	*out = w;
	return true;
fail:
	writer_free(&w);
	return false;
}

void writer_free(struct writer **writer)
{
	struct writer *w = *writer;

	*writer = NULL;
	if (w == NULL)
		return;
	pg_session_free(&w->session);
	pg_pooler_free(&w->pooler);
	attacher_free(&w->attacher);
	statements_free(&w->statements);
	arena_fini(&w->setup_arena);
	free(w->copy_buffer);
	free(w);
}

void writer_set_timeout(struct writer *w, int64_t timeout_us)
{
	pg_session_set_timeout(w->session, timeout_us);
}

bool writer_is_ready(const struct writer *w)
{
	return w->idle;
}

int64_t writer_clock_offset_us(const struct writer *w)
{
	return w->clock_offset_us;
}

void writer_open(struct writer *w)
{
	pg_session_open(w->session);
}

/* ---- setting a connection up ---- */

/* Every statement of ours looks keys up in a few rows of large tables: other plans are mistakes. */
static const char setup_sql[] =
	"SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; "
	"SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

static bool setup_on_schema(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	int64_t version;
	bool dirty;

	(void)number;
	if (PQntuples(result) == 0) {
		error_set(err, ERROR_FATAL, "schema_behind", "the database has no schema yet");
		return error_hint(err, "`ocpp-persister migrate up` creates it, or run --migrate");
	}
	version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	dirty = *PQgetvalue(result, 0, 1) == 't';
	if (dirty) {
		error_set(err, ERROR_FATAL, "schema_dirty",
			"migration %" PRId64 " of the database was begun and not finished",
			version);
		return error_hint(err,
			"see `ocpp-persister migrate status`, repair it by hand, then "
			"`ocpp-persister migrate force %" PRId64 "`",
			version);
	}
	if (version < w->options.schema_version) {
		error_set(err, ERROR_FATAL, "schema_behind",
			"the database is at version %" PRId64 ", this program needs %" PRId64,
			version, w->options.schema_version);
		return error_hint(err,
			"`ocpp-persister migrate up` brings it there, or run --migrate");
	}
	if (version > w->options.schema_version) {
		error_set(err, ERROR_FATAL, "schema_ahead",
			"the database is at version %" PRId64 ", this program knows %" PRId64,
			version, w->options.schema_version);
		return error_hint(err,
			"run the newer program, or go back with its "
			"`ocpp-persister migrate goto %" PRId64 "`",
			w->options.schema_version);
	}
	w->schema_seen = true;
	return true;
}

static bool setup_on_partitions(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct writer *w = context;

	(void)number;
	(void)err;
	partitions_forget(w->partitions);
	for (int i = 0; i < PQntuples(result); i++) {
		struct partition p;

		if (!partition_name_parse(PQgetvalue(result, i, 0), &p))
			continue;
		switch (*PQgetvalue(result, i, 1)) {
		case 'p':
			partitions_add(w->partitions, p);
			break;
		case 'l':
			partitions_promise(w->partitions, p);
			break;
		default:
			partitions_add_detached(w->partitions, p);
		}
	}
	return true;
}

/*
 * The database read its clock at some time between our question and its answer: by so much the two
 * clocks differ at least. What is within that time is no difference that we can know of.
 */
static bool writer_on_clock(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	int64_t theirs_us = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	int64_t ahead_us = theirs_us - clock_wall_us(), behind_us = theirs_us - w->clock_asked_us;
	bool differs;

	(void)number;
	(void)err;
	w->clock_offset_us = ahead_us > 0 ? ahead_us : behind_us < 0 ? behind_us : 0;
	differs = w->clock_offset_us > CLOCK_DIFFERS_US || w->clock_offset_us < -CLOCK_DIFFERS_US;
	if (differs && !w->clock_differs)
		log_warn("clock_differs",
			"the clocks here and at the database differ; with several workers, calls "
			"and results that arrive at different ones may not be paired: set the "
			"clocks by NTP",
			"database_ahead_ms=%" PRId64, w->clock_offset_us / US_PER_MS);
	else if (!differs && w->clock_differs)
		log_info("clock_agrees", "", "database_ahead_ms=%" PRId64,
			w->clock_offset_us / US_PER_MS);
	w->clock_differs = differs;
	return true;
}

static bool setup_on_layouts(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	(void)err;
	for (int i = 0; i < PQntuples(result); i++)
		layouts_learn(w->layouts, (uint64_t)result_int8(result, i, 0),
			result_text(result, i, 1));
	return true;
}

static void setup_simple(struct writer *w, const char *sql,
	bool (*on_result)(void *, const PGresult *, int, struct error *))
{
	struct pg_request *r = writer_request(w);

	r->sql = sql;
	r->on_result = on_result;
	r->context = w;
}

#define CLOCK_SQL "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

/* p: a partition; d: a table that has the name of one; l: a table that is to become one. */
#define SETUP_PARTITIONS_SQL                                                                       \
	"SELECT c.relname, CASE WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) " \
	"THEN 'p' ELSE 'd' END "                                                                   \
	"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "                           \
	"WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'f') "                          \
	"UNION ALL SELECT left(table_name, -length('_loading')), 'l' FROM loading_partitions"

static bool setup_plan(struct writer *w, struct error *err)
{
	const struct position *begin = &w->options.begin;
	struct slice none = {NULL, 0}, params[7];
	char *terminate = writer_sql(&w->setup_arena,
		"SELECT pg_terminate_backend(a.pid) FROM ingest_progress p "
		"JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = "
		"p.backend_start WHERE p.spool = '%s' AND a.pid <> pg_backend_pid()",
		w->spool_text);

	w->requests_count = w->copies_count = 0;
	setup_simple(w, setup_sql, NULL);
	if (!writer_plan_rights(w, err))
		return false;
	setup_simple(w,
		w->options.commit_sync ? "SET synchronous_commit = on"
				       : "SET synchronous_commit = off",
		NULL);
	w->clock_asked_us = clock_wall_us();
	setup_simple(w, CLOCK_SQL, writer_on_clock);
	setup_simple(w, "SELECT version, dirty FROM schema_migrations LIMIT 1", setup_on_schema);
	/* A half-dead connection of an earlier run may still hold the row of our progress. */
	setup_simple(w, terminate, NULL);
	/* What fills gaps must see every row. */
	if (w->options.gaps_only)
		setup_simple(w, "SELECT forbid_loading()", NULL);
	if (!writer_plan_secret_keys(w, err))
		return false;
	setup_simple(w, SETUP_PARTITIONS_SQL, setup_on_partitions);
	params[0] = param_text(w->spool_text);
	params[1] = param_int8(&w->setup_arena, (int64_t)begin->seq);
	params[2] = param_text(w->owner_text);
	params[3] = param_text(w->options.client_id);
	params[4] = begin->counted ? param_int8(&w->setup_arena, (int64_t)begin->records) : none;
	params[5] = begin->digested ? param_int8(&w->setup_arena, (int64_t)begin->digest) : none;
	params[6] =
		begin->digested ? param_int8(&w->setup_arena, (int64_t)begin->digest_from) : none;
	if (!writer_statement(w, &w->statements->all[STATEMENT_TAKE_OVER], params, 7,
		    &w->setup_arena, err))
		return false;
	w->requests[w->requests_count - 1].on_result = writer_on_progress;
	w->requests[w->requests_count - 1].context = w;
	if (!writer_statement(w, &w->statements->all[STATEMENT_KNOWN_LAYOUTS], NULL, 0,
		    &w->setup_arena, err))
		return false;
	w->requests[w->requests_count - 1].on_result = setup_on_layouts;
	w->requests[w->requests_count - 1].context = w;
	return writer_plan_positions(w, &w->setup_arena, err) &&
	       (terminate != NULL || writer_arena_full(err));
}

static void setup_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	struct error failure;

	if (err != NULL) {
		failure = *err;
		if (strcmp(failure.sqlstate, "42P01") == 0) {
			error_set(&failure, ERROR_FATAL, "schema_behind",
				"the database has no schema \"%s\" of ocpp-persister",
				w->options.pg.schema);
			error_hint(&failure,
				"`ocpp-persister migrate up` creates it, or run --migrate");
		}
		pg_session_close(w->session);
		w->events.on_lost(w->events.context, &failure);
		return;
	}
	/* What was noted before the connection was lost may be of another history. */
	w->durable_count = 0;
	w->undated = false;
	writer_durable_add(w, w->at.seq);
	w->idle = true;
	w->events.on_ready(w->events.context, &w->at);
}

static void writer_on_checked(void *context, const struct error *refused)
{
	struct writer *w = context;
	struct error err;

	if (refused != NULL) {
		setup_on_done(w, refused);
		return;
	}
	memset(w->careful_made, 0, sizeof(w->careful_made));
	w->dead_table_made = false;
	w->dead_letters_room = 0;
	partitions_forget(w->partitions);
	writer_loading_forget(w);
	layouts_forget(w->layouts);
	arena_reset(&w->setup_arena);
	if (!setup_plan(w, &err)) {
		setup_on_done(w, &err);
		return;
	}
	pg_session_run(w->session, w->requests, w->requests_count, setup_on_done, w);
}

static void writer_on_ready(void *context)
{
	struct writer *w = context;

	pg_pooler_check(w->pooler, w->session, writer_on_checked, w);
}

void writer_reposition(struct writer *w)
{
	CHECK(w->idle);
	w->idle = false;
	writer_on_ready(w);
}

static void writer_on_lost(void *context, const struct error *err)
{
	struct writer *w = context;

	pg_pooler_stop(w->pooler);
	w->idle = false;
	w->work.batch = NULL;
	w->events.on_lost(w->events.context, err);
}

/* ---- storing ---- */

static void writer_begin_work(struct writer *w, struct batch *b)
{
	w->work = (struct writer_work){.batch = b, .phase = PHASE_PARTITIONS, .poison_message = -1};
	writer_loading_begin_batch(w);
}

void writer_store(struct writer *w, struct batch *b)
{
	CHECK(w->idle && b->records > 0);
	w->idle = false;
	batch_sort(b);
	writer_begin_work(w, b);
	writer_next_run(w);
}

static void writer_next_run(struct writer *w)
{
	struct error err;

	if (writer_plan(w, &err))
		pg_session_run(w->session, w->requests, w->requests_count, writer_on_run, w);
	else
		writer_roll_back(w, &err);
}

static void writer_stored(struct writer *w)
{
	struct batch *b = w->work.batch;

	writer_totals_commit(w, b);
	w->at = w->work.after;
	w->row_seq = w->at.seq;
	if (!w->undated)
		writer_durable_add(w, b->last_seq);
	for (int t = 0; t < EVENT_TABLES; t++)
		w->careful_left[t] -= w->careful_left[t] > 0;
	w->halves_careful_left -= w->halves_careful_left > 0;
	writer_loading_stored(w);
	w->work.batch = NULL;
	w->idle = true;
	writer_durable_report(w);
	w->events.on_stored(w->events.context, b, NULL, -1);
}

static void writer_end_trial(struct writer *w)
{
	struct error none;

	error_set(&none, ERROR_TRANSIENT, "trial", "it was tried only");
	w->work.accepted = true;
	writer_roll_back(w, &none);
}

static void committed_on_done(void *context, const struct error *err)
{
	struct writer *w = context;

	pg_session_forget_statements(w->session);
	memset(w->careful_made, 0, sizeof(w->careful_made));
	if (err != NULL) {
		/* It is stored all the same: the next connection will say so. */
		pg_session_close(w->session);
		writer_on_lost(w, err);
		return;
	}
	writer_stored(w);
}

/* What failed is only the question how far the database's log is: it is asked again later. */
static void writer_committed(struct writer *w)
{
	w->undated = true;
	w->requests_count = w->copies_count = 0;
	setup_simple(w, PG_RECOVER_SQL, NULL);
	pg_session_run(w->session, w->requests, w->requests_count, committed_on_done, w);
}

static void writer_on_run(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL && w->work.committed) {
		writer_durable_failed(w, err);
		writer_committed(w);
		return;
	}
	if (err != NULL) {
		w->work.failure = *err;
		if (w->work.made_count > 0)
			writer_partition_failed(w);
		else
			writer_copy_failed(w);
		writer_roll_back(w, err);
		return;
	}
	for (size_t i = 0; i < w->work.made_count; i++) {
		const struct writer_made *made = &w->work.made[i];

		if (made->loading)
			writer_loading_made(w, made->partition);
		else
			partitions_add(w->partitions, made->partition);
		if (made->gives_up)
			attacher_add(w->attacher, made->partition);
	}
	w->work.made_count = 0;
	if (w->work.phase == PHASE_COMMITTED && w->work.batch->trial) {
		writer_end_trial(w);
	} else if (w->work.phase == PHASE_COMMITTED) {
		w->undated = false;
		writer_stored(w);
	} else {
		writer_next_run(w);
	}
}

/* ---- failing ---- */

static bool rollback_on_owner(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)err;
	if (number == 2 && PQntuples(result) == 1)
		w->work.owner_lost = *PQgetvalue(result, 0, 0) == 't';
	return true;
}

/* The batch is not stored: say so, or, where a row was there already, take the careful path. */
static void rollback_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;
	struct error failure = w->work.failure;
	int64_t poison = w->work.poison_message;
	bool accepted = w->work.accepted && !w->work.owner_lost;

	pg_session_forget_statements(w->session);
	memset(w->careful_made, 0, sizeof(w->careful_made)); /* may be gone with the rollback */
	w->dead_table_made = false;
	layouts_forget(w->layouts);
	if (err != NULL) {
		/* A connection on which nothing can be rolled back is of no use. */
		pg_session_close(w->session);
		writer_on_lost(w, err);
		return;
	}
	if (w->work.owner_lost) {
		error_set(&failure, ERROR_FATAL, "log_used_elsewhere",
			"another process feeds a copy of this log (%s) into the same database",
			w->spool_text);
		error_hint(&failure, "`ocpp-persister spool new-identity` makes one of the copies "
				     "a log of its own");
	}
	if (w->work.try_again) {
		writer_begin_work(w, b);
		writer_next_run(w);
		return;
	}
	if (failure.kind == ERROR_ROUTE)
		partitions_forget(w->partitions);
	w->work.batch = NULL;
	w->idle = true;
	w->events.on_stored(w->events.context, b, accepted ? NULL : &failure, poison);
}

static void writer_roll_back(struct writer *w, const struct error *err)
{
	w->work.failure = *err;
	arena_reset(&w->setup_arena);
	w->requests_count = w->copies_count = 0;
	/* Another process has the log if it lives: a restore brings back the names of dead ones.
	 * When the connection of another role began is hidden from us. */
	setup_simple(w,
		writer_sql(&w->setup_arena,
			PG_RECOVER_SQL
			"; SELECT p.owner IS DISTINCT FROM '%s' AND EXISTS (SELECT FROM "
			"pg_stat_activity a WHERE a.pid = p.backend_pid "
			"AND coalesce(a.backend_start = p.backend_start, "
			"a.datname = current_database()) AND a.pid <> pg_backend_pid()) "
			"FROM ingest_progress p WHERE p.spool = '%s'",
			w->owner_text, w->spool_text),
		rollback_on_owner);
	pg_session_run(w->session, w->requests, w->requests_count, rollback_on_done, w);
}

/* ---- maintenance ---- */

void writer_maintenance_over(void *context, const struct error *err)
{
	struct writer *w = context;

	(void)err;
	w->idle = true;
	w->events.on_idle(w->events.context);
}

/* Whatever was begun is undone; the next batch finds the session as it should be. */
void writer_maintenance_failed(struct writer *w)
{
	pg_session_forget_statements(w->session);
	w->requests_count = w->copies_count = 0;
	setup_simple(w, PG_RECOVER_SQL, NULL);
	pg_session_run(w->session, w->requests, w->requests_count, writer_maintenance_over, w);
}

static void maintenance_on_done(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL) {
		/* Not urgent: a batch makes the partitions it needs, and old rows may wait. */
		log_failure(LOG_LEVEL_WARN, "maintenance_failed", err);
		writer_maintenance_failed(w);
		return;
	}
	writer_maintenance_over(w, NULL);
}

static void maintenance_run(struct writer *w)
{
	w->idle = false;
	pg_session_run(w->session, w->requests, w->requests_count, maintenance_on_done, w);
}

void writer_make_partitions_ahead(struct writer *w, int64_t days)
{
	char *sql;

	CHECK(w->idle);
	arena_reset(&w->setup_arena);
	sql = writer_sql(&w->setup_arena,
		"BEGIN; SET LOCAL lock_timeout = '2s'; "
		"SELECT ensure_partition(t.table_name, now() + d * interval '1 day') "
		"FROM partitioned_tables t, generate_series(0, %" PRId64 ") d; COMMIT",
		days);
	if (sql == NULL)
		return;
	w->requests_count = w->copies_count = 0;
	setup_simple(w, sql, NULL);
	setup_simple(w, SETUP_PARTITIONS_SQL, setup_on_partitions);
	maintenance_run(w);
}

/* Rows that another worker removes are left to it. */
void writer_prune(struct writer *w, int64_t keep_us, int64_t tombstones_us)
{
	char *sql;

	CHECK(w->idle);
	arena_reset(&w->setup_arena);
	sql = writer_sql(&w->setup_arena,
		"DELETE FROM exchange_halves WHERE ctid = ANY (ARRAY(SELECT ctid FROM "
		"exchange_halves WHERE stored_at < now() - %" PRId64
		" * interval '1 microsecond' ORDER BY stored_at LIMIT %d FOR UPDATE SKIP LOCKED)); "
		"SELECT prune_transaction_keys(%d), prune_tombstones(%" PRId64
		" * interval '1 microsecond', %d)",
		PAIRING_REACH * keep_us, WRITER_PRUNE_ROWS, WRITER_PRUNE_ROWS, tombstones_us,
		WRITER_PRUNE_ROWS);
	if (sql == NULL)
		return;
	w->requests_count = w->copies_count = 0;
	w->clock_asked_us = clock_wall_us();
	setup_simple(w, CLOCK_SQL, writer_on_clock);
	setup_simple(w, sql, NULL);
	maintenance_run(w);
}
