#include "daemon/pipeline.h"

#include "base/clock.h"
#include "daemon/pipeline_private.h"

#include <stdlib.h>

static const int64_t RETRY_BASE_US = 50 * US_PER_MS;
static const int64_t RETRY_CAP_US = 10 * US_PER_SECOND;
static const double TICK_S = 1.;

/* ---- from outside ---- */

void pipeline_start(struct pipeline *p)
{
	pipeline_enter(p, PIPELINE_CONNECTING);
	ev_timer_start(p->loop, &p->tick);
	writer_open(p->writer);
}

void pipeline_stop(struct pipeline *p)
{
	if (p->state == PIPELINE_STORING)
		pipeline_enter(p, PIPELINE_LAST);
	else if (p->state ==
		 PIPELINE_ENDED) /* by a failure: do not wait for anything in progress */
		p->events.on_drained(p->events.context);
	else if (p->state != PIPELINE_LAST)
		pipeline_drained(p);
}

bool pipeline_is_ready(const struct pipeline *p)
{
	return pipeline_positioned(p);
}

enum pipeline_trouble pipeline_trouble(const struct pipeline *p, enum error_reason *why_out)
{
	*why_out = p->troubled_why;
	return p->troubled;
}

bool pipeline_is_idle(const struct pipeline *p)
{
	return p->state == PIPELINE_READY && p->filling->records == 0;
}

bool pipeline_is_over(const struct pipeline *p)
{
	return p->supply == SUPPLY_ENDED && pipeline_is_idle(p) && !writer_is_attaching(p->writer);
}

uint64_t pipeline_stored_seq(const struct pipeline *p)
{
	return p->stored_seq;
}

void pipeline_allow(struct pipeline *p, uint64_t records)
{
	p->allowed = records;
	pipeline_wake(p);
}

uint64_t pipeline_taken(const struct pipeline *p)
{
	return p->taken;
}

void pipeline_reload(struct pipeline *p, const struct config *config, const struct pg_options *pg,
	bool reconnect)
{
	p->next = (struct pipeline_next){config, *pg, p->next.reconnect || reconnect};
	pipeline_take_settings(p);
	pipeline_wake(p);
}

/* ---- from the writer and the clock ---- */

static void pipeline_on_idle(void *context)
{
	pipeline_wake(context);
}

static void pipeline_on_durable(void *context, uint64_t seq)
{
	struct pipeline *p = context;

	if (p->log->release != NULL)
		p->log->release(p->log->context, seq);
}

static void pipeline_on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct pipeline *p = w->data;
	struct error err;

	(void)loop;
	(void)events;
	if (p->state == PIPELINE_ENDED)
		return;
	pipeline_set_now(p);
	if (p->log->failed != NULL && p->log->failed(p->log->context, &err)) {
		pipeline_fatal(p, &err);
		return;
	}
	if (p->state != PIPELINE_READY || !writer_is_ready(p->writer))
		return;
	if (!pipeline_maintain(p))
		writer_poll_durable(p->writer);
}

/* ---- making ---- */

static bool pipeline_make_rows(struct pipeline *p, struct error *err)
{
	if (!row_maker_open(&p->maker, p->config, PIPELINE_PAYLOAD_BYTES_MAX, err) ||
		!recent_calls_new(&p->calls, p->config->pairing_window, err))
		return false;
	if (!p->options.missing_only) /* rows from a table need no answers */
		p->maker.builder.calls = p->calls;
	return true;
}

static bool pipeline_make_writer(struct pipeline *p, const struct pg_options *pg, struct error *err)
{
	struct writer_options options = pipeline_writer_options(p, pg);
	struct writer_events events = {pipeline_on_ready, pipeline_on_lost, pipeline_on_stored,
		pipeline_on_durable, pipeline_on_idle, p};

	return partitions_new(&p->partitions, (uint32_t)p->config->partitions_outside_max, err) &&
	       writer_new(&p->writer, p->loop, &options, events, p->partitions, p->maker.layouts,
		       p->maker.pseudonyms, err);
}

bool pipeline_new(struct pipeline **out, struct ev_loop *loop, const struct config *config,
	const struct pg_options *pg, const struct pipeline_options *options,
	const struct log_reader *log, struct metrics *metrics, struct pipeline_events events,
	struct error *err)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	p->loop = loop;
	p->begun = clock_cautious_begin();
	p->config = config;
	p->events = events;
	p->options = *options;
	p->log = log;
	p->allowed = UINT64_MAX;
	p->metrics = metrics;
	p->filling = &p->batches[0];
	p->patience_us = config->storage_postgres_timeout;
	backoff_init(&p->backoff, RETRY_BASE_US, RETRY_CAP_US, (uint64_t)clock_mono_us());
	ev_init(&p->retry, pipeline_on_retry);
	ev_init(&p->pace, pipeline_on_pace);
	ev_timer_init(&p->tick, pipeline_on_tick, TICK_S, TICK_S);
	ev_idle_init(&p->slack, pipeline_on_slack);
	p->retry.data = p->pace.data = p->tick.data = p->slack.data = p;
	if (!batch_init(&p->batches[0], PIPELINE_ARENA_BYTES, config->dedupe_window, err) ||
		!batch_init(&p->batches[1], PIPELINE_ARENA_BYTES, config->dedupe_window, err) ||
		!pipeline_make_rows(p, err) || !pipeline_make_writer(p, pg, err)) {
		pipeline_free(&p);
		return false;
	}
	p->batches[0].missing_only = p->batches[1].missing_only = options->missing_only;
	p->batches[0].live = p->batches[1].live = options->live;
	*out = p;
	return true;
}

void pipeline_free(struct pipeline **pipeline)
{
	struct pipeline *p = *pipeline;

	*pipeline = NULL;
	if (p == NULL)
		return;
	ev_timer_stop(p->loop, &p->retry);
	ev_timer_stop(p->loop, &p->pace);
	ev_timer_stop(p->loop, &p->tick);
	ev_idle_stop(p->loop, &p->slack);
	writer_free(&p->writer);
	partitions_free(&p->partitions);
	recent_calls_free(&p->calls);
	row_maker_close(&p->maker);
	batch_fini(&p->batches[0]);
	batch_fini(&p->batches[1]);
	poison_fini(&p->poison);
	free(p);
}
