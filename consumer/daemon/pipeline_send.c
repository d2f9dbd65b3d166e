#include "base/clock.h"
#include "daemon/pipeline_private.h"

/* When a batch is sent, and what happens between two. Batches are as large as what arrived while
 * the previous one was written; while messages keep coming, a small batch waits for more. */
static const int64_t PARTITIONS_AHEAD_US = 3600 * US_PER_SECOND;
static const int64_t PRUNE_US = 60 * US_PER_SECOND;

/* While one batch is being written the next is filled, in slices: otherwise the database would wait
 * for us to serve its connection. */
void pipeline_on_slack(struct ev_loop *loop, ev_idle *w, int events)
{
	struct pipeline *p = w->data;
	struct error err;

	(void)events;
	if (p->state != PIPELINE_STORING || p->supply != SUPPLY_OPEN || pipeline_is_probing(p)) {
		ev_idle_stop(loop, w);
	} else if (!pipeline_fill(p, PIPELINE_SLICE_RECORDS, &err)) {
		ev_idle_stop(loop, w);
		pipeline_fatal(p, &err);
	}
}

/* Between two batches, even if there is always another: true if the writer is now busy with it. */
bool pipeline_maintain(struct pipeline *p)
{
	int64_t now_us = clock_mono_us();

	if (now_us - p->partitions_made_us > PARTITIONS_AHEAD_US) {
		p->partitions_made_us = now_us;
		writer_make_partitions_ahead(p->writer, p->config->partitions_ahead_days);
	} else if (now_us - p->pruned_us > PRUNE_US) {
		p->pruned_us = now_us;
		writer_prune(p->writer, p->config->pairing_keep, p->config->store_tombstones);
	}
	return !writer_is_ready(p->writer);
}

/*
 * How much longer the batch may wait for more messages. A transaction of two messages costs
 * PostgreSQL as much as one of twenty, so while messages keep coming, each batch is sent only when
 * its first message would otherwise be stored later than batch.latency_target. After a pause the
 * first one is sent immediately, and so is each one if no other is likely to come in time. A batch
 * that is full, or that leaves more in the log, never waits.
 */
static int64_t pipeline_early_us(const struct pipeline *p)
{
	int64_t target_us = p->config->batch_latency_target;
	int64_t waited_us = clock_wall_us() - p->filling->oldest_received_us, early_us;

	if (p->supply != SUPPLY_CAUGHT_UP || p->search != SEARCH_NONE || p->limit.records > 0 ||
		clock_mono_us() - p->stored_mono_us >= target_us)
		return 0;
	if (waited_us < 0)
		waited_us = 0; /* the clock was set back */
	early_us = target_us - p->storing_us - waited_us;
	return early_us > p->apart_us ? early_us : 0;
}

/* Estimates the time between messages from those of this batch, since the previous one was sent. */
static void pipeline_note_apart(struct pipeline *p, const struct batch *b, int64_t now_us)
{
	int64_t apart_us = (now_us - p->stored_mono_us) / (int64_t)b->records;
	int64_t most_us =
		2 * p->config->batch_latency_target; /* do not remember a pause for long */

	if (apart_us > most_us)
		apart_us = most_us;
	p->apart_us += (apart_us - p->apart_us) / PIPELINE_RECENT;
}

static bool pipeline_waits_for_more(struct pipeline *p)
{
	int64_t early_us = pipeline_early_us(p);

	ev_timer_stop(p->loop, &p->pace);
	if (early_us <= 0)
		return false;
	ev_timer_set(&p->pace, (double)early_us / (double)US_PER_SECOND, 0.);
	ev_timer_start(p->loop, &p->pace);
	return true;
}

void pipeline_on_pace(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	pipeline_wake(w->data);
}

/* Sends the filled batch, if its time has come. */
static void pipeline_send(struct pipeline *p)
{
	int64_t now_us = clock_mono_us();

	if (p->filling->records == 0 || pipeline_waits_for_more(p))
		return;
	pipeline_take_batch(p);
	/* Nothing is left out: only trials may have other records than the next ones. */
	CHECK(p->storing->trial || p->storing->apart || p->storing->follows == p->stored_seq);
	pipeline_enter(p, PIPELINE_STORING);
	pipeline_note_apart(p, p->storing, now_us);
	p->stored_mono_us = now_us;
	writer_store(p->writer, p->storing);
	if (p->supply == SUPPLY_OPEN)
		ev_idle_start(p->loop, &p->slack);
}

void pipeline_again(struct pipeline *p, struct batch *b, int64_t wait_us, bool unsure)
{
	struct error err;

	p->storing = NULL;
	batch_reset(b);
	if (!pipeline_rewind(p, p->stored_seq, &err))
		pipeline_fatal(p, &err);
	else if (p->state == PIPELINE_LAST)
		pipeline_drained(p);
	else
		pipeline_wait(p, unsure ? PIPELINE_UNSURE : PIPELINE_PAUSED, wait_us);
	pipeline_take_settings(p);
}

static void pipeline_go_on_probing(struct pipeline *p)
{
	struct error err;
	int64_t wait_us;

	if (!pipeline_probe_is_over(p)) { /* let the loop do its other work first */
		pipeline_wait(p, PIPELINE_PAUSED, 0);
		return;
	}
	wait_us = pipeline_probe_end(p, &err);
	if (wait_us > 0) {
		(void)pipeline_trouble_dead_letters(p, p->probe.dead_letters_refused, 1, wait_us,
			&err);
		pipeline_log_trouble(p, PIPELINE_BATCH_REFUSED, "batch_failed", &err, wait_us);
	}
	pipeline_again(p, p->filling, wait_us, wait_us > 0);
}

/* Nothing is being stored. */
static void pipeline_go_on(struct pipeline *p)
{
	struct error err;

	if (!(pipeline_is_probing(p) ? pipeline_probe_fill(p, &err)
				     : pipeline_fill(p, SIZE_MAX, &err))) {
		pipeline_fatal(p, &err);
		return;
	}
	if (!writer_is_ready(p->writer) || pipeline_maintain(p))
		return;
	if (pipeline_is_probing(p) && p->filling->records == 0)
		pipeline_go_on_probing(p);
	else
		pipeline_send(p);
}

void pipeline_wake(struct pipeline *p)
{
	if (p->supply == SUPPLY_CAUGHT_UP)
		p->supply = SUPPLY_OPEN;
	if (p->state == PIPELINE_READY)
		pipeline_go_on(p);
	else if (p->state == PIPELINE_STORING)
		ev_idle_start(p->loop, &p->slack);
}
