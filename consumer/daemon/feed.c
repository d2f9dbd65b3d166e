#include "daemon/feed.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/neighbours.h"
#include "migrate/migrate.h"

#include <ev.h>
#include <signal.h>

/* How often a limited feed checks whether it may continue. */
static const double FEED_PACE_S = 0.01;

/* The size of a batch while it yields. A batch holds locks on its stations and transactions until
 * it is committed: this many records take some 10 ms, 5,000 half a second on a busy machine. */
enum { FEED_YIELDING_RECORDS = 200 };

/* Somebody waits for the command: after a minute (pipeline.h) it ends and says why. */
enum { FEED_REFUSALS_MAX = 3 };

struct feed {
	struct ev_loop *loop;
	struct pipeline *pipeline;
	struct neighbours *neighbours; /* NULL = it does not yield */
	const struct feed_options *options;
	struct metrics *metrics;
	ev_prepare watch;
	ev_timer pace, progress;
	ev_signal on_int, on_term;
	struct sigaction was_int, was_term; /* before these; main.c sets them for process 1 */
	int64_t begun_us;
	bool yielding;
	uint64_t yielded_until; /* how many records may be taken while it yields */
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

static void feed_on_drained(void *context)
{
	struct feed *f = context;

	ev_break(f->loop, EVBREAK_ALL);
}

/* ---- the pace ---- */

/* While others store messages: one batch at a time, with a pause after it. */
static uint64_t feed_yield(struct feed *f)
{
	enum neighbours_answer answer = neighbours_answer(f->neighbours);

	if ((answer == NEIGHBOURS_SEEN) != f->yielding) {
		f->yielding = !f->yielding;
		log_info("yielding", "", "yields=%d", f->yielding);
	}
	if (answer == NEIGHBOURS_UNKNOWN)
		return 0;
	if (!f->yielding)
		return UINT64_MAX;
	if (pipeline_is_idle(f->pipeline))
		f->yielded_until = pipeline_taken(f->pipeline) + FEED_YIELDING_RECORDS;
	return f->yielded_until;
}

static void feed_pace(struct feed *f)
{
	uint64_t allowed = f->neighbours == NULL ? UINT64_MAX : feed_yield(f);
	double due = (double)f->options->rate * (double)(clock_mono_us() - f->begun_us) /
		     (double)US_PER_SECOND;

	if (f->options->rate > 0 && due < (double)allowed)
		allowed = (uint64_t)due + 1;
	pipeline_allow(f->pipeline, allowed);
}

/* ---- the loop ---- */

/* Before each time that the loop waits. */
static void feed_on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct feed *f = w->data;

	(void)events;
	if (pipeline_is_over(f->pipeline)) {
		ev_prepare_stop(loop, w);
		pipeline_stop(f->pipeline);
	}
}

static void feed_on_pace(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	feed_pace(w->data);
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
	error_set(&err, ERROR_STOPPED, REASON_stopped, "stopped by signal %d", w->signum);
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
	(void)sigaction(SIGINT, NULL, &f->was_int);
	(void)sigaction(SIGTERM, NULL, &f->was_term);
	ev_signal_start(f->loop, &f->on_int);
	ev_signal_start(f->loop, &f->on_term);
	if (f->options->rate > 0 || f->options->yields)
		ev_timer_start(f->loop, &f->pace);
	if (f->options->on_progress != NULL || f->options->yields)
		ev_timer_start(f->loop, &f->progress);
}

static bool feed_make(struct feed *f, const struct config *config, const struct pg_options *pg,
	const struct log_reader *log, struct error *err)
{
	/* Migrating is the operator's decision, not a side effect of a command. */
	struct pipeline_events events = {feed_on_fatal, NULL, feed_on_drained, NULL, NULL, f};
	const char *path = migrate_path_setting(config->storage_postgres_migrations_path);
	struct pipeline_options options = f->options->pipeline;

	options.refusals_max = FEED_REFUSALS_MAX;
	signal(SIGPIPE, SIG_IGN);
	f->loop = ev_default_loop(EVFLAG_AUTO);
	if (f->loop == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	f->begun_us = clock_mono_us();
	if (!migrate_newest(path, &options.schema_version, err) ||
		!pipeline_new(&f->pipeline, f->loop, config, pg, &options, log, f->metrics, events,
			err) ||
		(f->options->yields && !neighbours_new(&f->neighbours, f->loop, pg, err)))
		return false;
	feed_init_watchers(f);
	return true;
}

bool feed_log(const struct config *config, const struct pg_options *pg,
	const struct log_reader *log, const struct feed_options *options, struct metrics *metrics,
	struct error *err)
{
	struct feed f = {.options = options, .metrics = metrics};
	bool ok = feed_make(&f, config, pg, log, err);

	if (ok) {
		if (f.neighbours != NULL)
			neighbours_ask(f.neighbours);
		feed_pace(&f);
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
	if (ev_is_active(&f.on_int)) {
		/* From here on signals end the process again. */
		ev_signal_stop(f.loop, &f.on_int);
		ev_signal_stop(f.loop, &f.on_term);
		(void)sigaction(SIGINT, &f.was_int, NULL);
		(void)sigaction(SIGTERM, &f.was_term, NULL);
	}
	if (f.loop != NULL)
		ev_loop_destroy(f.loop);
	return ok;
}
