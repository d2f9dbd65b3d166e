#include "daemon/feed.h"

#include "daemon/pipeline.h"
#include "metrics/metrics.h"
#include "migrate/migrate.h"

#include <ev.h>
#include <stdlib.h>

struct feed {
	struct ev_loop *loop;
	struct pipeline *pipeline;
	struct metrics *metrics;
	ev_prepare watch;
	uint64_t last_seq;
	bool failed;
	struct error failure;
};

static void feed_on_fatal(void *context, const struct error *err)
{
	struct feed *f = context;

	f->failed = true;
	f->failure = *err;
	ev_break(f->loop, EVBREAK_ALL);
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

/* Each time before the loop waits. */
static void feed_on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct feed *f = w->data;

	(void)events;
	if (pipeline_stored_seq(f->pipeline) >= f->last_seq) {
		ev_prepare_stop(loop, w);
		pipeline_stop(f->pipeline);
	}
}

static bool feed_make(struct feed *f, const struct config *config, const struct pg_options *pg,
	struct spool *spool, struct error *err)
{
	struct pipeline_events events = {feed_on_fatal, feed_migrate, feed_on_drained, f};
	int64_t schema_version;

	f->loop = ev_loop_new(EVFLAG_AUTO);
	f->metrics = calloc(1, sizeof(*f->metrics));
	if (f->loop == NULL || f->metrics == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	f->last_seq = spool_last_seq(spool);
	ev_prepare_init(&f->watch, feed_on_prepare);
	f->watch.data = f;
	return migrate_newest(migrate_path_setting(config->storage_postgres_migrations_path),
		       &schema_version, err) &&
	       pipeline_new(&f->pipeline, f->loop, config, pg, schema_version, "", spool,
		       f->metrics, events, err);
}

bool feed_log(const struct config *config, const struct pg_options *pg, struct spool *spool,
	struct feed_totals *totals, struct error *err)
{
	struct feed f = {.failed = false};
	bool ok = feed_make(&f, config, pg, spool, err);

	if (ok) {
		ev_prepare_start(f.loop, &f.watch);
		pipeline_start(f.pipeline);
		ev_run(f.loop, 0);
		ok = !f.failed;
		if (f.failed)
			*err = f.failure;
		totals->stored += f.metrics->messages_stored;
		totals->duplicate += f.metrics->messages_duplicate;
		totals->dead_lettered += f.metrics->messages_dead_lettered;
		totals->skipped += f.metrics->messages_skipped;
	}
	pipeline_free(&f.pipeline);
	free(f.metrics);
	if (f.loop != NULL)
		ev_loop_destroy(f.loop);
	return ok;
}
