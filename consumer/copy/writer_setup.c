#include "base/clock.h"
#include "base/log.h"
#include "copy/writer_checks.h"
#include "copy/writer_private.h"
#include "pg/wait.h"

#include <inttypes.h>
#include <stdlib.h>

/* Set-up of a new connection before batches: is the schema the right one, does our role have its
 * rights, which partitions exist, and how far has the log been stored? */
static const int64_t CLOCK_DIFFERS_US = 5 * US_PER_SECOND; /* logged if larger */

/* All our statements look up keys of a few rows in large tables: other plans are mistakes. */
static const char setup_sql[] =
	"SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; "
	"SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

static bool setup_judge_schema(const PGresult *result, int64_t wanted, struct error *err)
{
	int64_t version;
	bool dirty;

	if (PQntuples(result) == 0) {
		error_set(err, ERROR_OUTDATED, REASON_schema_behind,
			"the database has no schema yet");
		return error_hint(err, "`ocpp-persister migrate up` creates it, or run --migrate");
	}
	version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	dirty = *PQgetvalue(result, 0, 1) == 't';
	if (dirty) {
		error_set(err, ERROR_FATAL, REASON_schema_dirty,
			"migration %" PRId64 " of the database was begun and not finished",
			version);
		return error_hint(err,
			"see `ocpp-persister migrate status`, repair it by hand, then "
			"`ocpp-persister migrate force %" PRId64 "`",
			version);
	}
	if (version < wanted) {
		error_set(err, ERROR_OUTDATED, REASON_schema_behind,
			"the database is at version %" PRId64 ", this program needs %" PRId64,
			version, wanted);
		return error_hint(err,
			"`ocpp-persister migrate up` brings it there, or run --migrate");
	}
	if (version > wanted) {
		error_set(err, ERROR_FATAL, REASON_schema_ahead,
			"the database is at version %" PRId64 ", this program knows %" PRId64,
			version, wanted);
		return error_hint(err,
			"run the newer program, or go back with its "
			"`ocpp-persister migrate goto %" PRId64 "`",
			wanted);
	}
	return true;
}

static bool setup_on_schema(void *context, const PGresult *result, int number, struct error *err)
{
	const struct writer *w = context;

	(void)number;
	return setup_judge_schema(result, w->options.schema_version, err);
}

/* The table that has the version does not exist. */
static void setup_name_missing_schema(const char *schema, struct error *err)
{
	if (err->kind != ERROR_ROUTE)
		return;
	error_set(err, ERROR_OUTDATED, REASON_schema_behind,
		"the database has no schema \"%s\" of ocpp-persister", schema);
	error_hint(err, "`ocpp-persister migrate up` creates it, or run --migrate");
}

static const char schema_sql[] = "SELECT version, dirty FROM schema_migrations LIMIT 1";

bool writer_check_schema(PGconn *conn, const char *schema, int64_t version, int64_t timeout_us,
	struct error *err)
{
	PGresult *result = pg_wait_query(conn, schema_sql, clock_mono_us() + timeout_us, err);
	bool ok = result != NULL && setup_judge_schema(result, version, err);

	if (result == NULL)
		setup_name_missing_schema(schema, err);
	PQclear(result);
	return ok;
}

static bool setup_on_partitions(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct writer *w = context;

	(void)number;
	(void)err;
	partitions_doubt(w->partitions);
	for (int i = 0; i < PQntuples(result); i++) {
		struct partition p;

		/* Nobody else attaches a table that we fill, so there is nothing to learn. */
		if (!partition_name_parse(PQgetvalue(result, i, 0), &p) ||
			partitions_is_filled(w->partitions, p))
			continue;
		switch (*PQgetvalue(result, i, 1)) {
		case 'p':
			partitions_add(w->partitions, p);
			break;
		case 'r':
			partitions_add_renamed(w->partitions, p);
			break;
		case 'l':
			partitions_promise(w->partitions, p);
			break;
		default:
			partitions_enter(w->partitions, p, PARTITION_DETACHED);
		}
	}
	return true;
}

/* The database read its clock at some time between our question and its answer, which gives the
 * minimum by which the clocks differ. A smaller difference cannot be detected. */
static bool setup_on_clock(void *context, const PGresult *result, int number, struct error *err)
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

/* A statement that waits for a lock ends by lock_timeout, so that other errors have other causes:
 * half of statement_timeout, if the role has one, and of our own timeout. */
static const char patience_sql[] =
	"SELECT set_config('lock_timeout', lock::text, false), lock, statement, deadlock FROM ("
	"SELECT statement, deadlock, greatest(1, least(nullif(lock, 0), nullif(statement, 0) / 2, "
	"%" PRId64 " / 2)) AS lock FROM (SELECT "
	"(SELECT setting::bigint FROM pg_settings WHERE name = 'lock_timeout') AS lock, "
	"(SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout') AS statement, "
	"(SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout') AS deadlock"
	") AS a) AS b";

static bool setup_on_patience(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	(void)err;
	w->patience = (struct writer_patience){
		.lock_us = strtoll(PQgetvalue(result, 0, 1), NULL, 10) * US_PER_MS,
		.statement_us = strtoll(PQgetvalue(result, 0, 2), NULL, 10) * US_PER_MS,
		.deadlock_us = strtoll(PQgetvalue(result, 0, 3), NULL, 10) * US_PER_MS};
	return true;
}

static bool setup_on_primary(void *context, const PGresult *result, int number, struct error *err)
{
	(void)context;
	(void)number;
	return pg_judge_primary(result, err);
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

static bool setup_on_forgotten(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	if (PQntuples(result) == 0) {
		error_set(err, ERROR_REFUSED, REASON_unexpected, "forgotten_salt is empty");
		return error_needs_person(err);
	}
	if (!pseudonyms_begin(w->pseudonyms, result_text(result, 0, 0), err))
		return false;
	for (int i = 0; i < PQntuples(result) && !PQgetisnull(result, i, 1); i++) {
		if (!pseudonyms_add(w->pseudonyms, result_text(result, i, 1),
			    result_text(result, i, 2), err))
			return false;
	}
	return true;
}

#define CLOCK_SQL "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

/* p: a partition; r: a table with the name of one whose time another one covers; d: one whose time
 * none covers; l: a table that will become one. */
static const char partitions_sql[] =
	"SELECT c.relname, CASE "
	"WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) THEN 'p' "
	"WHEN EXISTS (SELECT FROM partitioned_tables t WHERE c.relname LIKE t.table_name || '!_%' "
	"ESCAPE '!' AND partition_exists(t.table_name, c.relname)) THEN 'r' ELSE 'd' END "
	"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
	"WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'f') "
	"UNION ALL SELECT left(table_name, -length('_loading')), 'l' FROM loading_partitions";

bool writer_plan_partition_list(struct writer *w, struct error *err)
{
	return requests_add_sql(&w->requests, partitions_sql, setup_on_partitions, w, err);
}

bool writer_plan_clock(struct writer *w, struct error *err)
{
	w->clock_asked_us = clock_wall_us();
	return requests_add_sql(&w->requests, CLOCK_SQL, setup_on_clock, w, err);
}

static bool setup_on_take_over(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	if (!writer_read_progress(w, result, err))
		return false;
	writer_totals_read(w, result);
	w->had_log = true;
	return true;
}

/*
 * A half-dead connection of an earlier run may still hold the lock on our progress row. We may not
 * terminate another role's connection, and cannot see when it began: then the server's keepalives
 * end it.
 */
static bool setup_plan_terminate(struct writer *w, struct error *err)
{
	return requests_add_sql(&w->requests,
		request_sql(&w->setup_arena,
			"SELECT pg_terminate_backend(a.pid) FROM ingest_progress p "
			"JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = "
			"p.backend_start WHERE p.spool = '%s' AND a.pid <> pg_backend_pid()",
			w->spool_text),
		NULL, NULL, err);
}

static bool setup_plan_take_over(struct writer *w, struct error *err)
{
	const struct position *begin = &w->options.begin;
	static const uint8_t flags[] = {0, 1};
	struct slice none = {NULL, 0}, params[8];

	params[0] = param_text(w->spool_text);
	params[1] = param_int8(&w->setup_arena, (int64_t)begin->seq);
	params[2] = param_text(w->owner_text);
	params[3] = param_text(w->options.client_id);
	params[4] = begin->counted ? param_int8(&w->setup_arena, (int64_t)begin->records) : none;
	params[5] = begin->digested ? param_int8(&w->setup_arena, (int64_t)begin->digest) : none;
	params[6] =
		begin->digested ? param_int8(&w->setup_arena, (int64_t)begin->digest_from) : none;
	params[7] = slice_of(&flags[w->sent_known], 1);
	return requests_add(&w->requests, &w->setup_arena, &statements.all[STATEMENT_TAKE_OVER],
		params, 8, setup_on_take_over, w, err);
}

static bool setup_plan(struct writer *w, struct error *err)
{
	struct requests *r = &w->requests;

	requests_begin(r);
	requests_add_literal(r, w->session_sql);
	requests_add_literal(r, setup_sql);
	if (!requests_add_sql(r, pg_primary_sql, setup_on_primary, w, err) ||
		!requests_add_sql(r,
			request_sql(&w->setup_arena, patience_sql,
				w->options.timeout_us / US_PER_MS),
			setup_on_patience, w, err) ||
		!writer_plan_rights(w, err))
		return false;
	requests_add_literal(r, w->options.commit_sync ? "SET synchronous_commit = on"
						       : "SET synchronous_commit = off");
	if (!writer_plan_clock(w, err) ||
		!requests_add_sql(r, schema_sql, setup_on_schema, w, err) ||
		!writer_plan_foreign(w, err) || !setup_plan_terminate(w, err))
		return false;
	/* Whether something is missing can be seen only if every row is visible. */
	if (w->options.missing_only)
		requests_add_literal(r, "SELECT forbid_loading()");
	return writer_plan_secret_keys(w, err) && writer_plan_partition_list(w, err) &&
	       setup_plan_take_over(w, err) &&
	       requests_add(r, &w->setup_arena, &statements.all[STATEMENT_KNOWN_LAYOUTS], NULL, 0,
		       setup_on_layouts, w, err) &&
	       requests_add(r, &w->setup_arena, &statements.all[STATEMENT_FORGOTTEN_TOKENS], NULL,
		       0, setup_on_forgotten, w, err) &&
	       writer_plan_positions(w, &w->setup_arena, err);
}

static void setup_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	struct error failure;

	if (err != NULL) {
		failure = *err;
		setup_name_missing_schema(w->options.pg.schema, &failure);
		pg_session_close(w->session);
		writer_enter(w, WRITER_LOST);
		w->events.on_lost(w->events.context, &failure);
		return;
	}
	/* What was noted before the connection was lost may belong to another history. */
	w->durable_count = 0;
	w->undated = false;
	writer_durable_add(w, w->at.seq);
	writer_enter(w, WRITER_READY);
	w->events.on_ready(w->events.context, &w->at);
}

static void setup_on_checked(void *context, const struct error *refused)
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
	layouts_forget_texts(w->layouts);
	arena_reset(&w->setup_arena);
	if (!setup_plan(w, &err)) {
		setup_on_done(w, &err);
		return;
	}
	requests_run(&w->requests, w->session, setup_on_done, w);
}

void writer_set_up(struct writer *w)
{
	pg_pooler_check(w->pooler, w->session, setup_on_checked, w);
}
