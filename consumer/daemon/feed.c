#include "daemon/feed.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/neighbours.h"
#include "daemon/pipeline.h"
#include "migrate/migrate.h"

#include <ev.h>
#include <signal.h>

/* How often a limited feed checks whether it may continue. */
static const double FEED_PACE_S = 0.01;

/*
 * What a batch takes while it yields. A batch holds locks of its stations and transactions until it
 * is committed: this many take some 10 ms, 5,000 half a second on a busy machine.
 */
enum { FEED_YIELDING_RECORDS = 200 };

struct feed {
	struct ev_loop *loop;
	struct pipeline *pipeline;
	struct neighbours *neighbours; /* NULL = it does not yield */
	const struct log_reader *log;
	const struct feed_options *options;
	struct metrics *metrics;
	struct log_reader paced; /* log, with a say in when there is more */
	ev_prepare watch;
	ev_timer pace, progress;
	ev_signal on_int, on_term;
	int64_t begun_us;
	uint64_t taken;    /* records, by the pace */
	uint64_t last_seq; /* of those taken */
	bool yielding;
	uint64_t allowance; /* records that may be taken yet while yielding */
	bool over;          /* the log has no more */
	bool failed;
	struct error failure;
};

static void feed_fail(struct feed *f, const struct error *err)
{
	f->failed = true;
	f->failure = *err;
	ev_break(f->loop, EVBREAK_ALL);
}

static void feed_on_fatal(void *context, const struct error *err)
{
	feed_fail(context, err);
}

static bool feed_migrate(void *context, struct error *err)
{
	(void)context;
	(void)err;
	return false; /* the operator's decision, not a side effect of a command */
}

static void feed_on_drained(void *context)
{
	struct feed *f = context;

	ev_break(f->loop, EVBREAK_ALL);
}

/* ---- the log, at a pace ---- */

static bool feed_seek(void *context, uint64_t seq, uint64_t *lost_out, struct error *err)
{
	struct feed *f = context;

	f->over = false;
	f->last_seq = seq;
	return f->log->seek(f->log->context, seq, lost_out, err);
}

static bool feed_recognise(void *context, const struct position *at, struct position *out,
	struct error *err)
{
	struct feed *f = context;

	return f->log->recognise(f->log->context, at, out, err);
}

/* A feed without a limit does not ask for the time of each record. */
static bool feed_is_ahead(const struct feed *f)
{
	return f->options->rate > 0 &&
	       (double)f->taken >= (double)f->options->rate *
					   (double)(clock_mono_us() - f->begun_us) /
					   (double)US_PER_SECOND;
}

/* For others: until it is known whether there are any, and between batches. */
static bool feed_makes_room(const struct feed *f)
{
	return f->neighbours != NULL && (neighbours_answer(f->neighbours) == NEIGHBOURS_UNKNOWN ||
						(f->yielding && f->allowance == 0));
}

static enum log_next feed_next(void *context, struct arena *arena, struct record *out,
	struct error *err)
{
	struct feed *f = context;
	enum log_next next;

	if (feed_is_ahead(f) || feed_makes_room(f))
		return LOG_NOTHING_YET;
	next = f->log->next(f->log->context, arena, out, err);
	f->over = next == LOG_END;
	if (next == LOG_RECORD) {
		f->taken++;
		f->allowance -= f->allowance > 0;
		f->last_seq = out->seq;
	}
	return next;
}

static bool feed_content(void *context, uint64_t seq, uint8_t out[SHA256_BYTES])
{
	struct feed *f = context;

	return f->log->content(f->log->context, seq, out);
}

static void feed_drop_window(void *context)
{
	struct feed *f = context;

	f->log->drop_window(f->log->context);
}

static void feed_release(void *context, uint64_t seq)
{
	struct feed *f = context;

	if (f->log->release != NULL)
		f->log->release(f->log->context, seq);
}

static bool feed_wants(void *context, const struct message *m)
{
	struct feed *f = context;

	return f->log->wants == NULL || f->log->wants(f->log->context, m);
}

/* ---- the loop ---- */

/* Each time before the loop waits. */
static void feed_on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct feed *f = w->data;

	(void)events;
	if (f->over && pipeline_is_ready(f->pipeline) &&
		pipeline_stored_seq(f->pipeline) >= f->last_seq &&
		!pipeline_is_attaching(f->pipeline)) {
		ev_prepare_stop(loop, w);
		pipeline_stop(f->pipeline);
	}
}

static void feed_look_around(struct feed *f)
{
	bool yields = f->neighbours != NULL && neighbours_answer(f->neighbours) == NEIGHBOURS_SEEN;

	if (yields != f->yielding)
		log_info("yielding", "", "yields=%d", yields);
	f->yielding = yields;
}

static void feed_on_pace(struct ev_loop *loop, ev_timer *w, int events)
{
	struct feed *f = w->data;

	(void)loop;
	(void)events;
	feed_look_around(f);
	/* One batch at a time, with a pause after it. */
	if (f->yielding && pipeline_stored_seq(f->pipeline) >= f->last_seq)
		f->allowance = FEED_YIELDING_RECORDS;
	pipeline_wake(f->pipeline);
}

static void feed_on_progress(struct ev_loop *loop, ev_timer *w, int events)
{
	struct feed *f = w->data;

	(void)loop;
	(void)events;
	if (f->options->on_progress != NULL)
		f->options->on_progress(f->options->context, f->metrics);
	if (f->neighbours != NULL)
		neighbours_ask(f->neighbours);
}

static void feed_on_signal(struct ev_loop *loop, ev_signal *w, int events)
{
	struct feed *f = w->data;
	struct error err;

	(void)loop;
	(void)events;
	error_set(&err, ERROR_STOPPED, "stopped", "stopped by signal %d", w->signum);
	feed_fail(f, &err);
}

static void feed_init_watchers(struct feed *f)
{
	double progress_s = (double)f->options->progress_us / (double)US_PER_SECOND;

	ev_prepare_init(&f->watch, feed_on_prepare);
	ev_timer_init(&f->pace, feed_on_pace, FEED_PACE_S, FEED_PACE_S);
	ev_timer_init(&f->progress, feed_on_progress, progress_s, progress_s);
	ev_signal_init(&f->on_int, feed_on_signal, SIGINT);
	ev_signal_init(&f->on_term, feed_on_signal, SIGTERM);
	f->watch.data = f->pace.data = f->progress.data = f->on_int.data = f->on_term.data = f;
	ev_prepare_start(f->loop, &f->watch);
	ev_signal_start(f->loop, &f->on_int);
	ev_signal_start(f->loop, &f->on_term);
	if (f->options->rate > 0 || f->options->yields)
		ev_timer_start(f->loop, &f->pace);
	if (f->options->on_progress != NULL || f->options->yields)
		ev_timer_start(f->loop, &f->progress);
}

static bool feed_make(struct feed *f, const struct config *config, const struct pg_options *pg,
	struct error *err)
{
	struct pipeline_events events = {feed_on_fatal, feed_migrate, feed_on_drained, f};
	const char *path = migrate_path_setting(config->storage_postgres_migrations_path);
	int64_t schema_version;

	signal(SIGPIPE, SIG_IGN);
	f->loop = ev_default_loop(EVFLAG_AUTO);
	if (f->loop == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	f->begun_us = clock_mono_us();
	f->paced = (struct log_reader){.context = f,
		.identity = f->log->identity,
		.begin = f->log->begin,
		.recognise = f->log->recognise == NULL ? NULL : feed_recognise,
		.gaps_only = f->log->gaps_only,
		.loads = f->log->loads,
		.seek = feed_seek,
		.next = feed_next,
		.content = f->log->content == NULL ? NULL : feed_content,
		.drop_window = feed_drop_window,
		.release = feed_release,
		.wants = feed_wants};
	if (!migrate_newest(path, &schema_version, err) ||
		!pipeline_new(&f->pipeline, f->loop, config, pg, schema_version,
			f->options->client_id, &f->paced, f->metrics, events, err) ||
		(f->options->yields && !neighbours_new(&f->neighbours, f->loop, pg, err)))
		return false;
	feed_init_watchers(f);
	return true;
}

bool feed_log(const struct config *config, const struct pg_options *pg,
	const struct log_reader *log, const struct feed_options *options, struct metrics *metrics,
	struct error *err)
{
	struct feed f = {.log = log, .options = options, .metrics = metrics};
	bool ok = feed_make(&f, config, pg, err);

	if (ok) {
		if (f.neighbours != NULL)
			neighbours_ask(f.neighbours);
		pipeline_start(f.pipeline);
		ev_run(f.loop, 0);
		if (options->on_progress != NULL)
			options->on_progress(options->context, metrics);
		ok = !f.failed;
		if (f.failed)
			*err = f.failure;
	}
	neighbours_free(&f.neighbours);
	pipeline_free(&f.pipeline);
	if (f.loop != NULL) {
		/* Signals do again what they did before: what follows is not for us to end. */
		ev_signal_stop(f.loop, &f.on_int);
		ev_signal_stop(f.loop, &f.on_term);
		ev_loop_destroy(f.loop);
	}
	return ok;
}
