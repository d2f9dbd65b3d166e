#include "cli/replay.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/feed.h"
#include "daemon/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t REPLAY_PROGRESS_US = US_PER_SECOND / 2;

/* Nobody waits for the rows of a replay: batches so many times as large as those of live messages
 * take PostgreSQL less time for each row. With twice as many again the parameters of statements for
 * a log of many small messages bring a job to 68 MiB. */
enum { REPLAY_BATCH_FACTOR = 2 };

/* ---- the files as a log ---- */

static bool job_seek(void *context, uint64_t seq, uint64_t *lost_out, struct error *err)
{
	struct replay_job *job = context;

	*lost_out = 0;
	job->report.resumed |= job->seq == 0 && seq > 0;
	job->seq = seq;
	return replay_source_seek(job->source, seq, err);
}

/* A capture may have what is over the limit here: as if it had come from the broker. */
static bool job_cut(struct replay_job *job, struct arena *arena, struct record *r,
	struct error *err)
{
	uint8_t *cut;

	if ((r->flags & RECORD_OVERSIZED) != 0 ||
		(int64_t)r->payload.size <= job->config->mqtt_message_bytes_max)
		return true;
	cut = arena_bytes(arena, INTAKE_CUT_BYTES);
	if (cut != NULL) {
		intake_cut(r, cut);
		return true;
	}
	return replay_source_seek(job->source, r->seq - 1, err) &&
	       error_set(err, ERROR_FULL, "arena_full", "no room for a record");
}

static enum spool_next job_next(void *context, struct arena *arena, struct record *out,
	struct error *err)
{
	struct replay_job *job = context;

	switch (replay_source_next(job->source, arena, out, err)) {
	case REPLAY_RECORD:
		if (!job_cut(job, arena, out, err))
			return SPOOL_ERROR;
		out->link.follows = job->seq; /* files have no gaps */
		job->seq = out->seq;
		if (out->seq > job->furthest) {
			job->furthest = out->seq;
			job->report.records++;
		}
		return SPOOL_RECORD;
	case REPLAY_END:
		return SPOOL_EMPTY;
	case REPLAY_ERROR:
		break;
	}
	return SPOOL_ERROR;
}

static void job_drop_window(void *context)
{
	struct replay_job *job = context;

	replay_source_drop_window(job->source);
}

static bool job_content(void *context, uint64_t seq, uint8_t out[SHA256_BYTES])
{
	const struct replay_job *job = context;

	return replay_source_content(job->source, seq, out);
}

static bool job_wants(void *context, const struct message *m)
{
	const struct replay_job *job = context;

	return replay_wants(job->options, m);
}

static void job_on_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why)
{
	struct replay_job *job = context;

	replay_on_unreadable(&job->unreadable, path, unit, position, count, why);
	job->report.unreadable = job->unreadable.count;
}

/* ---- what became of it ---- */

void replay_reasons_add(struct replay_reasons *reasons, const char *label, uint64_t count)
{
	uint32_t i = 0;

	while (i < reasons->count &&
		strncmp(reasons->items[i].label, label, sizeof(reasons->items[i].label) - 1) != 0)
		i++;
	if (i == REPLAY_REASONS_MAX)
		i--; /* there are fewer reasons than that */
	if (i == reasons->count) {
		snprintf(reasons->items[i].label, sizeof(reasons->items[i].label), "%s", label);
		reasons->count++;
	}
	reasons->items[i].count += count;
}

static void job_take_reasons(struct replay_reasons *out, const struct metrics_family *family)
{
	*out = (struct replay_reasons){.count = 0};
	for (size_t i = 0; i < family->count; i++)
		replay_reasons_add(out, family->members[i].label, family->members[i].value);
}

static void job_on_progress(void *context, const struct metrics *m)
{
	struct replay_job *job = context;
	struct replay_report *r = &job->report;

	r->bytes = replay_source_bytes(job->source);
	r->stored = m->messages_stored;
	r->duplicate = m->messages_duplicate;
	r->dead_lettered = m->messages_dead_lettered;
	r->skipped = m->messages_skipped;
	job_take_reasons(&r->dead_reasons, &m->dead_lettered_reasons);
	job_take_reasons(&r->skip_reasons, &m->skipped_reasons);
	job->send(job);
}

/*
 * Others that move their progress are live, or may be: they go first. Without an answer nothing is
 * known, and the pipeline has the same trouble.
 */
static bool job_yields(void *context)
{
	struct replay_job *job = context;
	struct pg_options pg = cli_pg_options(job->config);
	struct error err;
	PGresult *result;
	bool yields;

	if (job->look == NULL)
		job->look = pg_connect(&pg, &err);
	if (job->look == NULL)
		return false;
	result = pg_query(job->look,
		"SELECT FROM ingest_progress WHERE updated_at > now() - interval '3 seconds' "
		"AND asked IS NULL LIMIT 1",
		0, NULL, &err);
	yields = result != NULL && PQntuples(result) > 0;
	PQclear(result);
	if (result == NULL) {
		PQfinish(job->look);
		job->look = NULL;
	}
	return yields;
}

static bool job_store(struct replay_job *job, struct error *err)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	struct pg_options pg = cli_pg_options(job->config);
	struct config config = *job->config;
	struct log_reader log = {.context = job,
		.identity = job->report.identity,
		.begin = {.counted = true, .digested = true, .digest_from = 1},
		.seek = job_seek,
		.next = job_next,
		.content = job_content,
		.drop_window = job_drop_window,
		.gaps_only = job->options->csv != NULL,
		.loads = job->options->csv != NULL || job->options->no_bulk ? NULL
									    : &job->report.loads,
		.wants = job_wants};
	struct feed_options options = {.client_id = REPLAY_CLIENT_ID,
		.rate = job->options->rate > 0 ? (job->options->rate - 1) / job->of + 1 : 0,
		.on_progress = job_on_progress,
		.yields = job_yields,
		.progress_us = REPLAY_PROGRESS_US,
		.context = job};
	bool ok;

	if (metrics == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	config.batch_messages_max *= REPLAY_BATCH_FACTOR;
	config.batch_bytes_max *= REPLAY_BATCH_FACTOR;
	ok = feed_log(&config, &pg, &log, &options, metrics, err);
	free(metrics);
	return ok;
}

void replay_report_failure(struct replay_report *report, struct error *err)
{
	report->code = cli_database_code(err);
	snprintf(report->failure, sizeof(report->failure), "%s", err->message);
	snprintf(report->hint, sizeof(report->hint), "%s", err->hint);
}

void replay_job_run(struct replay_job *job)
{
	struct replay_source_events events = {job_on_unreadable, job};
	struct error err;

	job->report.ok = replay_open(&job->source, &job->files, job->options, events, &err) &&
			 replay_position_find(job, &err) && job_store(job, &err) &&
			 replay_position_settle(job, &err);
	if (!job->report.ok)
		replay_report_failure(&job->report, &err);
	job->report.over = true;
	replay_unreadable_end(&job->unreadable);
	PQfinish(job->look);
	job->look = NULL;
	if (job->source != NULL)
		replay_source_close(&job->source);
	job->send(job);
}
