#include "copy/writer.h"

#include "base/log.h"
#include "copy/writer_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITER_SETUP_ARENA_BYTES = 64 * 1024 };

static void writer_next_run(struct writer *w);
static void writer_on_run(void *context, const struct error *err);
static void writer_roll_back(struct writer *w);

void writer_free(struct writer **writer)
{
	struct writer *w = *writer;

	*writer = NULL;
	if (w == NULL)
		return;
	pg_session_free(&w->session);
	pg_pooler_free(&w->pooler);
	attacher_free(&w->attacher);
	collector_free(&w->collector);
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
	return w->state == WRITER_READY;
}

int64_t writer_clock_offset_us(const struct writer *w)
{
	return w->clock_offset_us;
}

struct writer_patience writer_patience(const struct writer *w)
{
	return w->patience;
}

void writer_open(struct writer *w)
{
	writer_enter(w, WRITER_CONNECTING);
	pg_session_open(w->session);
}

static void writer_on_ready(void *context)
{
	struct writer *w = context;

	writer_set_up(w);
}

void writer_reposition(struct writer *w)
{
	CHECK(writer_is_ready(w));
	writer_enter(w, WRITER_CONNECTING);
	writer_set_up(w);
}

static void writer_on_lost(void *context, const struct error *err)
{
	struct writer *w = context;

	pg_pooler_stop(w->pooler);
	writer_enter(w, WRITER_LOST);
	if (w->work.batch != NULL)
		writer_dead_letters_failed(w);
	w->work.batch = NULL;
	w->events.on_lost(w->events.context, err);
}

bool writer_new(struct writer **out, struct ev_loop *loop, const struct writer_options *options,
	struct writer_events events, struct partitions *partitions, struct layouts *layouts,
	struct pseudonyms *pseudonyms, struct error *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	struct pg_options bare = options->pg;
	struct uuid owner;

	if (w == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	w->loop = loop;
	w->options = *options;
	pg_setup_sql(&options->pg, w->session_sql);
	w->events = events;
	w->partitions = partitions;
	w->layouts = layouts;
	w->pseudonyms = pseudonyms;
	uuid_format(&options->spool, w->spool_text);
	if (!uuid_new(&owner)) {
		error_set_errno(err, ERROR_FATAL, REASON_random, "could not make a random number");
		goto fail;
	}
	uuid_format(&owner, w->owner_text);
	if (!arena_init(&w->setup_arena, WRITER_SETUP_ARENA_BYTES, WRITER_SETUP_ARENA_BYTES)) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		goto fail;
	}
	bare.bare = true;
	if (!pg_session_new(&w->session, loop, &bare,
		    (struct pg_session_events){writer_on_ready, writer_on_lost, w}, err))
		goto fail;
	if (!pg_pooler_new(&w->pooler, loop, &w->options.pg, err) ||
		!collector_new(&w->collector, loop, &w->options.pg, w->options.energy_refresh_us,
			err))
		goto fail;
	if (options->loads != NULL &&
		!attacher_new(&w->attacher, loop, &w->options.pg, partitions, options->loads, err))
		goto fail;
	pg_session_set_timeout(w->session, options->timeout_us);
	*out = w;
	return true;
fail:
	writer_free(&w);
	return false;
}

static void writer_close(struct writer *w)
{
	pg_pooler_stop(w->pooler);
	pg_session_close(w->session);
	if (w->state != WRITER_LOST)
		writer_enter(w, WRITER_LOST);
}

bool writer_reload(struct writer *w, const struct writer_options *options, bool reconnect,
	struct error *err)
{
	struct pg_options bare = options->pg;

	CHECK(w->work.batch == NULL && w->attacher == NULL && options->loads == NULL);
	bare.bare = true;
	if (reconnect)
		writer_close(w);
	w->options = *options;
	if (!pg_session_reload(w->session, &bare, err) ||
		!pg_pooler_reload(w->pooler, &options->pg, err) ||
		!collector_reload(w->collector, &options->pg, options->energy_refresh_us, err)) {
		writer_close(w);
		return false;
	}
	pg_session_set_timeout(w->session, options->timeout_us);
	return true;
}

/* ---- storing ---- */

static void writer_begin_work(struct writer *w, struct batch *b)
{
	writer_enter(w, WRITER_STORING);
	w->work = (struct writer_work){.batch = b, .poison_message = -1};
	partitions_begin_batch(w->partitions);
}

void writer_store(struct writer *w, struct batch *b)
{
	CHECK(b->records > 0);
	batch_sort(b);
	writer_begin_work(w, b);
	writer_next_run(w);
}

static void writer_next_run(struct writer *w)
{
	if (writer_plan(w, &w->work.failure))
		requests_run(&w->requests, w->session, writer_on_run, w);
	else
		writer_roll_back(w);
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
	writer_enter(w, WRITER_READY);
	writer_durable_report(w);
	w->events.on_stored(w->events.context, b, NULL, -1);
}

static void writer_end_trial(struct writer *w)
{
	w->work.rollback = ROLLBACK_ACCEPTED;
	writer_roll_back(w);
}

static void committed_on_done(void *context, const struct error *err)
{
	struct writer *w = context;

	memset(w->careful_made, 0, sizeof(w->careful_made));
	if (err != NULL) {
		/* It is stored all the same: the next connection will find out. */
		pg_session_close(w->session);
		writer_on_lost(w, err);
		return;
	}
	writer_stored(w);
}

/* Only the query for the WAL's position failed: it is repeated later. */
static void writer_committed(struct writer *w)
{
	w->undated = true;
	requests_recover(&w->requests, w->session, committed_on_done, w);
}

static void writer_on_run(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL && w->state == WRITER_COMMITTED) {
		writer_durable_failed(w, err);
		writer_committed(w);
		return;
	}
	if (err != NULL) {
		w->work.failure = *err;
		writer_run_failed(w);
		writer_roll_back(w);
		return;
	}
	writer_run_done(w);
	if (writer_is_planned(w) && w->work.batch->trial) {
		writer_end_trial(w);
	} else if (writer_is_planned(w)) {
		w->undated = false;
		writer_stored(w);
	} else {
		writer_next_run(w);
	}
}

/* ---- failing ---- */

/* The batch is not stored: reports that or, if a row already existed, takes the careful path. */
static void rollback_on_done(void *context, const struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;
	struct error failure = w->work.failure;
	int64_t poison = w->work.poison_message;

	pg_session_forget_statements(w->session);
	memset(w->careful_made, 0,
		sizeof(w->careful_made)); /* the rollback may have dropped them */
	w->dead_table_made = false;
	layouts_forget(w->layouts);
	if (err != NULL) {
		/* A connection that cannot roll back is useless. */
		pg_session_close(w->session);
		writer_on_lost(w, err);
		return;
	}
	if (w->work.rollback == ROLLBACK_FOREIGN)
		writer_used_elsewhere(w, &failure);
	if (w->work.rollback == ROLLBACK_RETRIED) {
		writer_begin_work(w, b);
		writer_next_run(w);
		return;
	}
	if (failure.kind == ERROR_ROUTE)
		partitions_doubt(w->partitions);
	w->work.batch = NULL;
	writer_enter(w, WRITER_READY);
	w->events.on_stored(w->events.context, b,
		w->work.rollback == ROLLBACK_ACCEPTED ? NULL : &failure, poison);
}

/* After an accepted trial, or because of work.failure. */
static void writer_roll_back(struct writer *w)
{
	log_debug("batch_rolled_back", "", "first=%" PRIu64 " last_step=\"%s\" reason=%s",
		w->work.batch->first_seq, w->work.step_name,
		w->work.rollback == ROLLBACK_ACCEPTED ? "trial" : w->work.failure.reason);
	writer_enter(w, WRITER_ROLLING_BACK);
	writer_plan_rollback(w);
	requests_run(&w->requests, w->session, rollback_on_done, w);
}
