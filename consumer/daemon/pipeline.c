#include "daemon/pipeline.h"

#include "base/clock.h"
#include "daemon/pipeline_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <stdlib.h>

/*
 * What happens when something goes wrong, by kind of error:
 *
 *	POISON     one message is at fault: it becomes a dead letter, the rest goes on. If nobody
 *	           says which, it is searched for (pipeline_trouble.c).
 *	FULL       the arena has no room: fewer records; one alone is a dead letter.
 *	ROUTE      a partition is not what we believed: the writer looks again; as TRANSIENT.
 *	TRANSIENT  wait, longer each time, and try again; the log grows meanwhile.
 *	REFUSED    somebody has to change a right or a setting: as TRANSIENT, every 30 s.
 *	MOVED      a claim was refused: as TRANSIENT, after the progress row was read again.
 *	UNCERTAIN  a COMMIT without an answer: connect again, the progress row says how it ended.
 *	OUTDATED   the schema: bring it up to date, if the settings allow it, else stop.
 *	FATAL      stop; so does any kind not listed.
 *
 * Every way back leads through the progress that the database has: the batch is made again from
 * the log from there on, never from memory.
 */
static const int64_t RETRY_BASE_US = 50 * US_PER_MS;
static const int64_t RETRY_CAP_US = 10 * US_PER_SECOND;
enum { DUPLICATES_PATIENT = 3, PIPELINE_RECENT = 8 /* batches that the mean is of, about */ };
static const int64_t PARTITIONS_AHEAD_US = 3600 * US_PER_SECOND;
static const int64_t PRUNE_US = 60 * US_PER_SECOND;
static const double TICK_S = 1.;

/* ---- the state ---- */

static void pipeline_end(struct pipeline *p)
{
	pipeline_enter(p, PIPELINE_ENDED);
	ev_timer_stop(p->loop, &p->retry);
}

static void pipeline_drained(struct pipeline *p)
{
	pipeline_end(p);
	p->events.on_drained(p->events.context);
}

static void pipeline_fatal(struct pipeline *p, const struct error *err)
{
	bool awaited = p->state == PIPELINE_LAST;

	pipeline_end(p);
	p->events.on_fatal(p->events.context, err);
	if (awaited)
		p->events.on_drained(p->events.context);
}

/* FAILPOINT_HASTE=20: pauses are a twentieth, for tests of what comes after many of them. */
static double pipeline_pause_s(int64_t us)
{
	long haste = 1;
#ifdef FAILPOINTS
	const char *text =
		getenv("FAILPOINT_HASTE"); /* NOLINT(concurrency-mt-unsafe): as in fs.c */

	if (text != NULL)
		haste = strtol(text, NULL, 10);
#endif
	return (double)us / (double)US_PER_SECOND / (double)(haste > 1 ? haste : 1);
}

static void pipeline_retry_in(struct pipeline *p, int64_t us)
{
	ev_timer_stop(p->loop, &p->retry);
	ev_timer_set(&p->retry, pipeline_pause_s(us), 0.);
	ev_timer_start(p->loop, &p->retry);
}

/* In a state that pipeline_on_retry() ends. */
static void pipeline_wait(struct pipeline *p, enum pipeline_state state, int64_t us)
{
	pipeline_enter(p, state);
	pipeline_retry_in(p, us);
}

/* ---- going on ---- */

void pipeline_start(struct pipeline *p)
{
	pipeline_enter(p, PIPELINE_CONNECTING);
	ev_timer_start(p->loop, &p->tick);
	writer_open(p->writer);
}

/*
 * While a batch is written the next one is made, in slices: the database waits for us if its
 * connection is not served in between.
 */
static void pipeline_on_slack(struct ev_loop *loop, ev_idle *w, int events)
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

/* Between two batches, also if there is always another: true if the writer is busy with it now. */
static bool pipeline_maintain(struct pipeline *p)
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
 * How long the batch may yet wait for more messages. A transaction of two messages costs PostgreSQL
 * as much as one of twenty, so while messages keep coming each batch is sent only when its first
 * message would else be stored later than batch.latency_target. After a pause the first one is sent
 * at once, and so is each if no other is likely to come in time. A batch that is full, or that
 * leaves more in the log, never waits.
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

/* Messages come as far apart as those of this batch did, since the one before it was sent. */
static void pipeline_note_apart(struct pipeline *p, const struct batch *b, int64_t now_us)
{
	int64_t apart_us = (now_us - p->stored_mono_us) / (int64_t)b->records;
	int64_t most_us = 2 * p->config->batch_latency_target; /* a pause is not remembered long */

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

static void pipeline_on_pace(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	pipeline_wake(w->data);
}

/* What is filled, if its time has come. */
static void pipeline_send(struct pipeline *p)
{
	int64_t now_us = clock_mono_us();

	if (p->filling->records == 0 || pipeline_waits_for_more(p))
		return;
	pipeline_take_batch(p);
	/* Nothing is left out: only trials are about other records than the next ones. */
	CHECK(p->storing->trial || p->storing->apart || p->storing->follows == p->stored_seq);
	pipeline_enter(p, PIPELINE_STORING);
	pipeline_note_apart(p, p->storing, now_us);
	p->stored_mono_us = now_us;
	writer_store(p->writer, p->storing);
	if (p->supply == SUPPLY_OPEN)
		ev_idle_start(p->loop, &p->slack);
}

static void pipeline_on_idle(void *context)
{
	pipeline_wake(context);
}

void pipeline_stop(struct pipeline *p)
{
	if (p->state == PIPELINE_STORING)
		pipeline_enter(p, PIPELINE_LAST);
	else if (p->state == PIPELINE_ENDED) /* by a failure: nothing under way is waited for */
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

/* ---- other settings ---- */

/* What is too old to be stored is gone for good: of our clock and the database's the one that is
 * later does not count. */
static void pipeline_set_now(struct pipeline *p)
{
	int64_t now_us = clock_cautious_us(&p->begun);
	int64_t database_ahead_us = writer_clock_offset_us(p->writer);

	rows_set_now(&p->maker.builder,
		database_ahead_us < 0 ? now_us + database_ahead_us : now_us);
}

/* Nothing of what was filled is left; what waits goes on at once. */
static bool pipeline_resume(struct pipeline *p, bool reconnect, struct error *err)
{
	if (p->state == PIPELINE_NEW)
		return true;
	if (p->state == PIPELINE_LOST || p->state == PIPELINE_MIGRATING) {
		pipeline_retry_in(p, 0);
		return true;
	}
	if (reconnect) {
		pipeline_wait(p, PIPELINE_LOST, 0);
		return true;
	}
	layouts_forget(p->maker.layouts); /* some count as known that will not be written */
	if (!pipeline_rewind(p, p->stored_seq, err))
		return false;
	if (p->state != PIPELINE_READY)
		pipeline_retry_in(p, 0);
	return true;
}

/* Those that wait, unless a batch is being stored. */
static void pipeline_take_settings(struct pipeline *p)
{
	bool reconnect = p->next.reconnect || p->state == PIPELINE_CONNECTING;
	struct error err;

	if (p->next.config == NULL || p->storing != NULL || p->state == PIPELINE_ENDED)
		return;
	if (!pipeline_renew(p, reconnect, &err) || !pipeline_resume(p, reconnect, &err)) {
		pipeline_fatal(p, &err);
		return;
	}
	pipeline_set_now(p);
	p->events.on_reloaded(p->events.context);
}

void pipeline_reload(struct pipeline *p, const struct config *config, const struct pg_options *pg,
	bool reconnect)
{
	p->next = (struct pipeline_next){config, *pg, p->next.reconnect || reconnect};
	pipeline_take_settings(p);
	pipeline_wake(p);
}

/* ---- the connection ---- */

/* If this is the log that the database has read up to there. lost: records that neither has any
 * more; not numbers that were left out. */
static bool pipeline_position(struct pipeline *p, const struct position *at, uint64_t *lost_out,
	struct error *err)
{
	struct position log = *at;

	if ((p->log->recognise != NULL && !p->log->recognise(p->log->context, at, &log, err)) ||
		!p->log->seek(p->log->context, at->seq, lost_out, err))
		return false;
	if (*lost_out > 0 && log.counted && at->counted && log.records >= at->records)
		*lost_out = log.records - at->records;
	writer_recognised(p->writer, &log);
	return true;
}

/*
 * The database says how far it is, and we continue from there: ahead of what we knew (a COMMIT
 * whose answer was lost), behind it (restored to an earlier point), or the same.
 */
static void pipeline_on_ready(void *context, const struct position *at)
{
	struct pipeline *p = context;
	struct error err;
	uint64_t lost = 0, seq = at->seq;

	if (p->state == PIPELINE_ENDED)
		return;
	metrics_add(&p->metrics->database_connects, 1);
	if (p->stored_known && p->stored_seq > seq)
		log_warn("database_went_back",
			"the database is behind what it had confirmed: it was restored or failed "
			"over; "
			"the log feeds it again",
			"had=%" PRIu64 " has=%" PRIu64, p->stored_seq, seq);
	batch_reset(&p->batches[0]);
	batch_reset(&p->batches[1]);
	p->log->drop_window(p->log->context);
	p->supply = SUPPLY_OPEN;
	if (!pipeline_position(p, at, &lost, &err)) {
		pipeline_fatal(p, &err);
		return;
	}
	if (lost > 0) {
		log_error("gap", "records are neither in the database nor in the log any more",
			"first_seq=%" PRIu64 " records=%" PRIu64, seq + 1, lost);
		metrics_add(&p->metrics->gap_records, lost);
	}
	if (!p->stored_known || p->stored_seq != seq || lost > 0) {
		pipeline_enter_search(p, SEARCH_NONE);
		p->probe = (struct pipeline_probe){.seq = 0};
	}
	p->stored_seq = seq;
	p->stored_known = true;
	pipeline_set_now(p);
	pipeline_enter(p, PIPELINE_READY);
	log_info("database_connected", "", "seq=%" PRIu64, seq);
	p->partitions_made_us = p->pruned_us = INT64_MIN / 2; /* due */
	pipeline_wake(p);
}

static void pipeline_log_trouble(struct pipeline *p, enum pipeline_trouble trouble,
	const char *event, const struct error *err, int64_t wait_us)
{
	uint64_t suppressed;

	p->troubled = trouble;
	p->troubled_why = err->code;
	if (!log_repeat_due(&p->trouble, &suppressed))
		return;
	log_failure(LOG_LEVEL_ERROR, event, err);
	log_will_retry(err, "database", wait_us, suppressed);
}

/* The connection is lost with a batch: it may be what ends the server's process. */
static void pipeline_lost_with(struct pipeline *p, const struct batch *b, const struct error *err)
{
	bool suspect = pipeline_probe_suspects(p, b, err);

	if (suspect && pipeline_is_probing(p) && b->trial)
		pipeline_probe_answered(p, b, false);
	else if (suspect && b->records == 1)
		(void)pipeline_probe_failed(p, b, err);
	else
		pipeline_trouble_failed(p, b, err);
}

/* records: of the batch that was lost with the connection; refused: as struct batch has it. */
static void pipeline_wait_for_database(struct pipeline *p, struct error *err, size_t records,
	bool refused)
{
	enum pipeline_trouble trouble = PIPELINE_NO_DATABASE;
	int64_t wait_us;

	if (err->kind == ERROR_FATAL || err->kind == ERROR_OUTDATED) {
		pipeline_fatal(p, err);
		return;
	}
	wait_us = err->kind == ERROR_REFUSED ? PIPELINE_REFUSED_US : backoff_next_us(&p->backoff);
	if (records > 0 && pipeline_trouble_dead_letters(p, refused, records, wait_us, err))
		trouble = PIPELINE_BATCH_REFUSED;
	pipeline_log_trouble(p, trouble, "database_lost", err, wait_us);
	pipeline_wait(p, PIPELINE_LOST, wait_us);
}

static void pipeline_on_lost(void *context, const struct error *lost)
{
	struct pipeline *p = context;
	struct error err = *lost;
	bool dead_letters = p->storing != NULL && p->storing->dead_letters_refused;
	size_t records = p->storing != NULL ? p->storing->records : 0;

	if (p->state == PIPELINE_ENDED)
		return;
	if (p->storing != NULL)
		pipeline_lost_with(p, p->storing, &err);
	p->storing = NULL;
	if (p->state == PIPELINE_LAST)
		pipeline_drained(p);
	else if (err.kind == ERROR_OUTDATED && p->events.migrate != NULL)
		pipeline_wait(p, PIPELINE_MIGRATING, 0);
	else
		pipeline_wait_for_database(p, &err, records, dead_letters);
	pipeline_take_settings(p);
}

static void pipeline_on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
	struct pipeline *p = w->data;
	struct error err;

	(void)loop;
	(void)events;
	if (p->state == PIPELINE_MIGRATING && !p->events.migrate(p->events.context, &err)) {
		pipeline_wait_for_database(p, &err, 0, false);
	} else if (p->state == PIPELINE_LOST || p->state == PIPELINE_MIGRATING) {
		pipeline_enter(p, PIPELINE_CONNECTING);
		writer_open(p->writer);
	} else if (p->state == PIPELINE_UNSURE) {
		pipeline_enter(p, PIPELINE_CONNECTING);
		writer_reposition(p->writer);
	} else {
		pipeline_enter(p, PIPELINE_READY);
		pipeline_wake(p);
	}
}

/* ---- batches ---- */

static void pipeline_stored(struct pipeline *p, struct batch *b)
{
	pipeline_measure_stored(p, b);
	p->stored_seq = b->last_seq;
	log_debug("stored", "", "seq=%" PRIu64 " records=%zu messages=%zu us=%" PRId64, b->last_seq,
		b->records, b->messages_count, clock_mono_us() - p->stored_mono_us);
	pipeline_probe_stored(p, b);
	pipeline_trouble_stored(p, b, clock_mono_us() - p->stored_mono_us);
	p->storing_us += (clock_mono_us() - p->stored_mono_us - p->storing_us) / PIPELINE_RECENT;
	backoff_reset(&p->backoff);
	p->troubled = PIPELINE_NO_TROUBLE;
	if (log_repeat_over(&p->trouble))
		log_info("storing_again", "the trouble is over", "seq=%" PRIu64, p->stored_seq);
	p->storing = NULL;
	batch_reset(b);
	if (p->state == PIPELINE_LAST) {
		pipeline_drained(p);
		return;
	}
	pipeline_enter(p, PIPELINE_READY);
	pipeline_take_settings(p);
	pipeline_wake(p);
}

/* The batch is dropped and, after a while, made again from what is stored on. unsure: from what
 * the database says then. */
static void pipeline_again(struct pipeline *p, struct batch *b, int64_t wait_us, bool unsure)
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

	if (!pipeline_probe_is_over(p)) { /* after whatever else the loop has to do */
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

/* Nothing is stored at the moment. */
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

/* If a record alone, tried several times, meets a key that is there already, no other worker was
 * faster: there is a unique index that is not ours. */
static bool pipeline_is_constraint(const struct pipeline *p, const struct batch *b,
	const struct error *err)
{
	return pg_error_is_duplicate(err) && b->records == 1 &&
	       (p->failures > DUPLICATES_PATIENT || pipeline_is_hunting(p));
}

/* Whether a batch that failed so is made again; what the pipeline does not know of is FATAL. */
static bool pipeline_tries_again(enum error_kind kind)
{
	switch (kind) {
	case ERROR_POISON:
	case ERROR_FULL:
	case ERROR_TRANSIENT:
	case ERROR_REFUSED:
	case ERROR_UNCERTAIN:
	case ERROR_MOVED:
	case ERROR_ROUTE:
		return true;
	case ERROR_OUTDATED:
	case ERROR_FATAL:
	case ERROR_STOPPED:
	case ERROR_NO_SPACE:
	case ERROR_DAMAGED:
	case ERROR_FOREIGN:
	case ERROR_ABSENT:
		break;
	}
	return false;
}

/* What is done about a batch that failed, and how long it waits then. */
static int64_t pipeline_settle(struct pipeline *p, struct batch *b, bool suspect,
	int64_t poison_message, struct error *err)
{
	bool changed;

	if (suspect)
		return pipeline_probe_failed(p, b, err);
	if (err->kind == ERROR_POISON || err->kind == ERROR_FULL) {
		changed = err->kind == ERROR_POISON
				  ? pipeline_trouble_refused(p, b, err, poison_message)
				  : pipeline_trouble_too_large(p, b);
		return changed ? 0 : PIPELINE_REFUSED_US;
	}
	if (b->is_outdated)
		return 0; /* nothing failed */
	pipeline_trouble_failed(p, b, err);
	return err->kind == ERROR_REFUSED ? PIPELINE_REFUSED_US : backoff_next_us(&p->backoff);
}

static void pipeline_failed(struct pipeline *p, struct batch *b, const struct error *failure,
	int64_t poison_message)
{
	struct error err = *failure;
	int64_t wait_us;
	bool moved; /* the progress, by somebody else */
	bool suspect = pipeline_probe_suspects(p, b, failure);

	metrics_add(&p->metrics->batches_failed, 1);
	if (!pipeline_tries_again(err.kind)) {
		pipeline_fatal(p, &err);
		return;
	}
	if (pipeline_is_constraint(p, b, &err))
		error_becomes(&err, ERROR_POISON, REASON_constraint);
	if (pipeline_is_probing(p) && b->trial && (suspect || err.kind == ERROR_POISON)) {
		pipeline_probe_answered(p, b, false);
		pipeline_again(p, b, 0, false);
		return;
	}
	if (pipeline_is_probing(p))
		pipeline_enter_search(p, SEARCH_NONE);
	wait_us = pipeline_settle(p, b, suspect, poison_message, &err);
	moved = err.kind == ERROR_MOVED;
	if (wait_us > 0) {
		(void)pipeline_trouble_dead_letters(p, b->dead_letters_refused, b->records, wait_us,
			&err);
		pipeline_log_trouble(p, PIPELINE_BATCH_REFUSED,
			moved ? "claim_refused" : "batch_failed", &err, wait_us);
	}
	/* Rights that are missing are named when the progress is read. */
	moved |= wait_us > 0 && b->records == 1 && err.kind == ERROR_REFUSED;
	pipeline_again(p, b, wait_us, moved);
}

static void pipeline_on_stored(void *context, struct batch *b, const struct error *err,
	int64_t poison_message)
{
	struct pipeline *p = context;

	if (p->state == PIPELINE_ENDED)
		return;
	if (err != NULL) {
		pipeline_failed(p, b, err, poison_message);
	} else if (b->trial) {
		if (pipeline_is_probing(p))
			pipeline_probe_answered(p, b, true);
		else
			pipeline_trouble_accepted(p, b);
		pipeline_again(p, b, 0, false);
	} else {
		pipeline_stored(p, b);
	}
}

static void pipeline_on_durable(void *context, uint64_t seq)
{
	struct pipeline *p = context;

	if (p->log->release != NULL)
		p->log->release(p->log->context, seq);
}

/* ---- housekeeping ---- */

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
	if (!p->options.missing_only) /* rows of a table ask for no answer */
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
