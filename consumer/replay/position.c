#include "replay/replay_private.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "daemon/options.h"
#include "pg/wait.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where a replay continues. Each run keeps its progress in a row of its own, under a random
 * identity, so two runs at the same time never share one. Besides the number of the last message,
 * the row has a digest of the messages up to there, which each batch updates in its transaction,
 * and the options. A run that reads the same messages finds it, whatever their files are called by
 * then, and takes it over; to any other run it means nothing.
 */
enum {
	POSITION_ROWS_MAX = 100, /* of unfinished replays */
	POSITION_ARENA_BYTES = 96 << 20,
	POSITION_REFUSALS_MAX = 6, /* with the pauses between them: a minute */
};

static const int64_t POSITION_RETRY_US = 100 * US_PER_MS;
static const int64_t POSITION_RETRY_CAP_US = 10 * US_PER_SECOND;

/* A session that can only belong to a running replay. Other roles cannot see backend_start. */
#define POSITION_ALIVE                                                                             \
	"EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = p.backend_pid "                      \
	"AND (a.backend_start = p.backend_start OR a.backend_start IS NULL))"

/* A candidate. */
struct replay_position {
	char spool[UUID_TEXT_BYTES];
	uint64_t seq;
	char content[2 * SHA256_BYTES + 1];
};

struct finder {
	struct replay_job *job;
	PGconn *conn;
	struct arena arena;
	char identity[UUID_TEXT_BYTES];
	char begins[2 * SHA256_BYTES + 1]; /* of the first message; "" = none */
	struct replay_position candidates[POSITION_ROWS_MAX];
	size_t candidates_count;
	const struct replay_position *found;
};

static void position_hex(const uint8_t digest[SHA256_BYTES], char out[2 * SHA256_BYTES + 1])
{
	*hex_put(out, digest, SHA256_BYTES) = '\0';
}

/* ---- the options ---- */

static void asked_add(struct sha256 *digest, const char *text)
{
	sha256_add(digest, text, strlen(text) + 1);
}

static void asked_add_list(struct sha256 *digest, const char *name, const char *const *items,
	size_t count)
{
	asked_add(digest, name);
	for (size_t i = 0; i < count; i++)
		asked_add(digest, items[i]);
}

/* What keeps messages for some time only, or away from each other. */
static void asked_add_times(struct sha256 *digest, const struct config *c)
{
	int64_t retention_us[TABLE_COUNT];
	char text[32];

	options_retention(c, retention_us);
	asked_add(digest, "retention");
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		snprintf(text, sizeof(text), "%" PRId64, retention_us[i]);
		asked_add(digest, text);
	}
	snprintf(text, sizeof(text), "window %" PRId64, c->dedupe_window);
	asked_add(digest, text);
}

/*
 * Everything that decides whether a message is stored: with another filter, or a corrected topic
 * pattern, messages that were left out then still have to be stored. Not privacy.token_key: the
 * digests by which rows are recognised are made of hashes, so what was stored with another key
 * would be stored once more.
 */
static bool position_asked(struct replay_job *job, struct error *err)
{
	const struct message_filter *f = &job->request.filter;
	const struct config *c = job->config;
	struct sha256 *digest = sha256_new();
	uint8_t out[SHA256_BYTES];
	char text[128];

	if (digest == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	asked_add(digest, "ocpp-persister replay 3");
	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %d %" PRId64, f->from_us, f->to_us,
		job->request.csv != NULL, c->mqtt_message_bytes_max);
	asked_add(digest, text);
	asked_add_list(digest, "stations", f->stations, f->stations_count);
	asked_add_list(digest, "actions", f->actions, f->actions_count);
	asked_add_list(digest, "patterns", (const char *const *)c->mqtt_topic_patterns.items,
		c->mqtt_topic_patterns.count);
	asked_add_list(digest, "skip", (const char *const *)c->events_skip.items,
		c->events_skip.count);
	asked_add(digest, config_choice(c, "events.results", text));
	asked_add_times(digest, c);
	snprintf(text, sizeof(text), "outside %" PRId64, c->partitions_outside_max);
	asked_add(digest, text);
	sha256_get(digest, out);
	sha256_free(&digest);
	position_hex(out, job->asked);
	return true;
}

/* ---- reading ahead ---- */

/* Go to just after message seq; *there_out: it exists. */
static bool finder_read(struct finder *f, uint64_t seq, bool *there_out, struct error *err)
{
	struct replay_source *source = f->job->source;
	bool retried = false;

	if (!replay_source_seek(source, seq - 1, err))
		return false;
	for (;;) {
		struct record r;
		enum replay_next next = replay_source_next(source, &f->arena, &r, err);
		/* If skipped messages have filled the arena, rewinding it makes room for one. */
		bool again = next == REPLAY_ERROR && err->kind == ERROR_FULL && !retried;

		replay_source_drop_window(source);
		arena_reset(&f->arena);
		retried = again;
		if (again)
			continue;
		*there_out = next == REPLAY_RECORD;
		return next != REPLAY_ERROR;
	}
}

static bool finder_content(struct finder *f, uint64_t seq, char out[2 * SHA256_BYTES + 1],
	bool *there_out, struct error *err)
{
	uint8_t digest[SHA256_BYTES];

	if (!finder_read(f, seq, there_out, err))
		return false;
	*there_out = *there_out && replay_source_content(f->job->source, seq, digest);
	if (*there_out)
		position_hex(digest, out);
	return true;
}

/* The furthest candidate whose messages are the first of ours. */
static bool finder_compare(struct finder *f, struct error *err)
{
	for (size_t i = 0; i < f->candidates_count; i++) {
		const struct replay_position *c = &f->candidates[i];
		char content[2 * SHA256_BYTES + 1];
		bool there;

		if (!finder_content(f, c->seq, content, &there, err))
			return false;
		if (!there)
			break; /* the source is shorter; candidates are in order */
		if (strcmp(content, c->content) == 0)
			f->found = c;
	}
	return true;
}

/* ---- the rows ---- */

static bool finder_run(struct finder *f, const char *sql, int count, const char *const *params,
	struct error *err)
{
	PGresult *result = pg_query(f->conn, sql, count, params, err);

	PQclear(result);
	return result != NULL;
}

/* Finished runs have no row; this many rows of unfinished runs are kept, for this long. */
static bool finder_tidy(struct finder *f, struct error *err)
{
	char sql[1024];

	snprintf(sql, sizeof(sql),
		"DELETE FROM ingest_progress p WHERE asked IS NOT NULL AND NOT %s "
		"AND (updated_at < now() - interval '30 days' "
		"OR (seq = 0 AND updated_at < now() - interval '1 hour') "
		"OR spool NOT IN (SELECT spool FROM ingest_progress WHERE asked IS NOT NULL "
		"ORDER BY updated_at DESC LIMIT %d))",
		POSITION_ALIVE, POSITION_ROWS_MAX);
	return finder_run(f, sql, 0, NULL, err);
}

static bool finder_look(struct finder *f, struct error *err)
{
	const char *params[] = {f->job->asked, f->begins};
	PGresult *result = pg_query(f->conn,
		"SELECT spool, seq, encode(content, 'hex') FROM ingest_progress p "
		"WHERE asked = decode($1, 'hex') AND begins = decode($2, 'hex') AND seq > 0 "
		"AND content IS NOT NULL AND NOT " POSITION_ALIVE " ORDER BY seq",
		2, params, err);

	if (result == NULL)
		return false;
	for (int i = 0; i < PQntuples(result) && f->candidates_count < POSITION_ROWS_MAX; i++) {
		struct replay_position *c = &f->candidates[f->candidates_count++];

		snprintf(c->spool, sizeof(c->spool), "%s", PQgetvalue(result, i, 0));
		snprintf(c->content, sizeof(c->content), "%s", PQgetvalue(result, i, 2));
		c->seq = strtoull(PQgetvalue(result, i, 1), NULL, 10);
	}
	PQclear(result);
	return true;
}

/* Takes over its row, unless somebody else has done so: then we start from the beginning, because
 * the other may be slower than we are. */
static bool finder_take_over(struct finder *f, bool *taken_out, struct error *err)
{
	const char *params[] = {f->identity, f->found->spool, f->found->content};
	PGresult *result = pg_query(f->conn,
		"UPDATE ingest_progress p SET spool = $1::uuid, updated_at = now() "
		"WHERE spool = $2::uuid AND content = decode($3, 'hex') AND NOT " POSITION_ALIVE
		" RETURNING 1",
		3, params, err);

	*taken_out = result != NULL && PQntuples(result) == 1;
	PQclear(result);
	return result != NULL;
}

static bool finder_begin(struct finder *f, const char *sources, struct error *err)
{
	const char *params[] = {f->identity, f->job->asked, f->begins, sources};

	return finder_run(f,
		"INSERT INTO ingest_progress (spool, seq, client_id, asked, begins, sources) "
		"VALUES ($1::uuid, 0, '" REPLAY_CLIENT_ID
		"', decode($2, 'hex'), decode($3, 'hex'), $4)",
		4, params, err);
}

/* A replay of files with these names was interrupted, and their content has changed since. */
static bool finder_say_other(struct finder *f, const char *sources, struct error *err)
{
	const char *params[] = {f->job->asked, sources};
	PGresult *result = pg_query(f->conn,
		"SELECT seq FROM ingest_progress p WHERE asked = decode($1, 'hex') "
		"AND sources = $2 AND seq > 0 AND NOT " POSITION_ALIVE
		" ORDER BY updated_at DESC LIMIT 1",
		2, params, err);

	if (result == NULL)
		return false;
	if (PQntuples(result) > 0)
		log_info("other_content",
			"an earlier replay of the same names was interrupted, but it read other "
			"messages than these: all of them are taken, from the first",
			"interrupted_after=%s sources=%s", PQgetvalue(result, 0, 0),
			LOG_VALUE(sources));
	PQclear(result);
	return true;
}

/* ---- finding ---- */

/* Waits for a database that is down, or a standby for now, as the pipeline does; and no longer than
 * it for one that refuses us, unless another host may come back. */
static bool position_connect(const struct pg_options *pg, PGconn **out, struct error *err)
{
	struct log_repeat trouble = {.active = false};
	struct backoff backoff;
	uint64_t suppressed;
	int refusals = 0;

	backoff_init(&backoff, POSITION_RETRY_US, POSITION_RETRY_CAP_US, (uint64_t)clock_mono_us());
	for (;;) {
		int64_t wait_us;

		*out = pg_wait_connect(pg, NULL, pg->connect_timeout_us, -1, err);
		if (*out != NULL && !pg_check_primary(*out, err)) {
			PQfinish(*out);
			*out = NULL;
		}
		refusals = *out == NULL && err->kind == ERROR_REFUSED && err->needs_person
				   ? refusals + 1
				   : 0;
		if (*out != NULL || err->kind == ERROR_FATAL || refusals > POSITION_REFUSALS_MAX)
			return *out != NULL;
		wait_us = err->needs_person ? POSITION_RETRY_CAP_US : backoff_next_us(&backoff);
		if (log_repeat_due(&trouble, err, &suppressed)) {
			log_failure(LOG_LEVEL_ERROR, "database_lost", err);
			log_will_retry(err, "database", wait_us, suppressed);
		}
		poll(NULL, 0, (int)(wait_us / US_PER_MS));
	}
}

static bool finder_find(struct finder *f, struct error *err)
{
	const char *sources = f->job->request.sources;
	bool there, taken = false;

	if (!finder_content(f, 1, f->begins, &there, err))
		return false;
	if (!finder_tidy(f, err) || (there && !finder_look(f, err)) || !finder_compare(f, err))
		return false;
	if (f->found != NULL && !finder_take_over(f, &taken, err))
		return false;
	if (taken)
		return true;
	return finder_say_other(f, sources, err) && finder_begin(f, sources, err);
}

bool replay_position_find(struct replay_job *job, struct error *err)
{
	struct finder *f = calloc(1, sizeof(*f));
	struct uuid *identity = &job->report.identity;
	bool ok;

	if (f == NULL || !arena_init(&f->arena, POSITION_ARENA_BYTES, 0)) {
		free(f);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	f->job = job;
	if (!uuid_new(identity)) {
		ok = error_set_errno(err, ERROR_FATAL, REASON_random,
			"could not make a random number");
	} else {
		uuid_format(identity, f->identity);
		ok = position_asked(job, err) && position_connect(job->pg, &f->conn, err) &&
		     pg_check_usage(f->conn, job->pg, err) && finder_find(f, err);
	}
	PQfinish(f->conn);
	arena_fini(&f->arena);
	free(f);
	return ok;
}

/*
 * Everything was read and nothing failed: did the database claim exactly that? What it claimed
 * comes from the batches, the comparison from the files. If they differ, the row stays, and
 * `verify` reports it.
 */
bool replay_position_settle(struct replay_job *job, struct error *err)
{
	char identity[UUID_TEXT_BYTES], content[2 * SHA256_BYTES + 1], records[24];
	const char *params[] = {identity, records, content};
	uint8_t digest[SHA256_BYTES];
	PGconn *conn;
	PGresult *result;
	bool whole;

	if (!replay_source_content(job->source, job->seq, digest))
		return true; /* there were no messages */
	uuid_format(&job->report.identity, identity);
	position_hex(digest, content);
	snprintf(records, sizeof(records), "%" PRIu64, job->seq);
	if (!position_connect(job->pg, &conn, err))
		return false;
	/* ~digest: the right sum is unknown, but it is a different one. */
	result = pg_query(conn,
		"UPDATE ingest_progress SET log_records = $2::bigint, log_digest = CASE WHEN "
		"content <> decode($3, 'hex') THEN ~digest ELSE log_digest END "
		"WHERE spool = $1::uuid RETURNING coalesce(records = log_records, true) AND "
		"coalesce(digest = log_digest, true)",
		3, params, err);
	PQfinish(conn);
	if (result == NULL)
		return false;
	whole = PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 't';
	PQclear(result);
	if (whole)
		return true;
	error_set(err, ERROR_FATAL, REASON_replay_not_whole,
		"what the database claimed are not the %" PRIu64 " messages that were read",
		job->seq);
	return error_hint(err,
		"`ocpp-persister verify` says how many it claimed; this is a fault of "
		"ocpp-persister: please report it");
}

bool replay_position_forget(const struct pg_options *pg, const struct replay_reports *reports,
	struct error *err)
{
	char list[REPLAY_JOBS_MAX * UUID_TEXT_BYTES + 2] = "{", *at = list + 1;
	const char *params[] = {list};
	PGconn *conn = pg_connect(pg, err);
	PGresult *result = NULL;

	for (size_t i = 0; i < reports->count; i++) {
		if (i > 0)
			*at++ = ',';
		uuid_format(&reports->jobs[i].identity, at);
		at += strlen(at);
	}
	*at++ = '}';
	*at = '\0';
	if (conn != NULL)
		result = pg_query(conn, "DELETE FROM ingest_progress WHERE spool = ANY($1::uuid[])",
			1, params, err);
	PQclear(result);
	PQfinish(conn);
	return result != NULL;
}
