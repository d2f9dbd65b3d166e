#include "replay/replay_private.h"

#include "base/clock.h"
#include "daemon/feed.h"
#include "daemon/intake.h"

#include <stdlib.h>

static const int64_t REPLAY_PROGRESS_US = US_PER_SECOND / 2;

/*
 * Nobody waits for the rows of a replay: batches that much larger than for live messages take less
 * of PostgreSQL's time per row. With twice that again, the parameters of statements for a log of
 * many small messages would bring a job to 68 MiB.
 */
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

/* A capture may contain messages over the limit: they are treated as if the broker had sent
 * them. */
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
	       error_set(err, ERROR_FULL, REASON_arena_full, "no room for a record");
}

static enum log_next job_next(void *context, struct arena *arena, struct record *out,
	struct error *err)
{
	struct replay_job *job = context;

	switch (replay_source_next(job->source, arena, out, err)) {
	case REPLAY_RECORD:
		if (!job_cut(job, arena, out, err))
			return LOG_ERROR;
		out->link.follows = job->seq; /* files have no gaps */
		job->seq = out->seq;
		if (out->seq > job->furthest) {
			job->furthest = out->seq;
			job->report.records++;
		}
		return LOG_RECORD;
	case REPLAY_END:
		return LOG_END;
	case REPLAY_ERROR:
		break;
	}
	return LOG_ERROR;
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

static void job_on_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why)
{
	struct replay_job *job = context;

	replay_on_unreadable(&job->unreadable, path, unit, position, count, why);
	job->report.unreadable = job->unreadable.count;
}

/* ---- results ---- */

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
	job->send(job->context, &job->report);
}

static bool job_store(struct replay_job *job, struct error *err)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	const struct replay_request *request = &job->request;
	struct config config = *job->config;
	struct log_reader log = {.context = job,
		.identity = job->report.identity,
		.begin = {.counted = true, .digested = true, .digest_from = 1},
		.seek = job_seek,
		.next = job_next,
		.content = job_content,
		.drop_window = job_drop_window};
	bool bulk = request->csv == NULL && !request->no_bulk;
	struct feed_options options = {.pipeline = {.client_id = REPLAY_CLIENT_ID,
					       .filter = &request->filter,
					       .missing_only = request->csv != NULL,
					       .loads = bulk ? &job->report.loads : NULL},
		.rate = request->rate > 0 ? (request->rate - 1) / job->of + 1 : 0,
		.on_progress = job_on_progress,
		.yields = true,
		.progress_us = REPLAY_PROGRESS_US,
		.context = job};
	bool ok;

	if (metrics == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	config.batch_messages_max *= REPLAY_BATCH_FACTOR;
	config.batch_bytes_max *= REPLAY_BATCH_FACTOR;
	ok = feed_log(&config, job->pg, &log, &options, metrics, err);
	free(metrics);
	return ok;
}

void replay_job_run(struct replay_job *job)
{
	const struct replay_request *request = &job->request;
	struct replay_source_events events = {job_on_unreadable, job};
	struct error *err = &job->report.failure;

	job->report.ok = replay_source_open(&job->source, &request->files, &request->pattern,
				 request->csv, events, err) &&
			 replay_position_find(job, err) && job_store(job, err) &&
			 replay_position_settle(job, err);
	job->report.over = true;
	replay_unreadable_end(&job->unreadable);
	if (job->source != NULL)
		replay_source_close(&job->source);
	job->send(job->context, &job->report);
}
