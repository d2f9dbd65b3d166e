#include "base/clock.h"
#include "daemon/pipeline_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>

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
 *	STALE      tokens were forgotten meanwhile: the progress row is read, and it is made again.
 *	UNCERTAIN  a COMMIT without an answer: connect again, the progress row says how it ended.
 *	OUTDATED   the schema: bring it up to date, if the settings allow it, else stop.
 *	FATAL      stop; so does any kind not listed.
 *
 * Every way back leads through the progress that the database has: the batch is made again from
 * the log from there on, never from memory.
 */
enum { DUPLICATES_PATIENT = 3 };

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
	if (p->events.on_stored != NULL)
		p->events.on_stored(p->events.context);
	pipeline_take_settings(p);
	pipeline_wake(p);
}

/* If a record alone, tried several times, still meets an existing key, it was not another worker
 * that was faster: there is a unique index that is not ours. */
static bool pipeline_is_constraint(const struct pipeline *p, const struct batch *b,
	const struct error *err)
{
	return pg_error_is_duplicate(err) && b->records == 1 &&
	       (p->failures > DUPLICATES_PATIENT || pipeline_is_hunting(p));
}

/* Whether a batch that failed this way is built again; unknown kinds are FATAL. */
static bool pipeline_tries_again(enum error_kind kind)
{
	switch (kind) {
	case ERROR_POISON:
	case ERROR_FULL:
	case ERROR_TRANSIENT:
	case ERROR_REFUSED:
	case ERROR_UNCERTAIN:
	case ERROR_MOVED:
	case ERROR_STALE:
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

/* Decides what to do about a failed batch, and how long to wait. */
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
	if (err->kind == ERROR_STALE)
		return 0; /* nothing failed */
	pipeline_trouble_failed(p, b, err);
	return err->kind == ERROR_REFUSED ? PIPELINE_REFUSED_US : backoff_next_us(&p->backoff);
}

static void pipeline_failed(struct pipeline *p, struct batch *b, const struct error *failure,
	int64_t poison_message)
{
	struct error err = *failure;
	int64_t wait_us;
	bool unsure; /* read the progress again */
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
	if (wait_us > 0) {
		(void)pipeline_trouble_dead_letters(p, b->dead_letters_refused, b->records, wait_us,
			&err);
		pipeline_log_trouble(p, PIPELINE_BATCH_REFUSED,
			err.kind == ERROR_MOVED ? "claim_refused" : "batch_failed", &err, wait_us);
	}
	/* Missing rights are reported when the progress is read. */
	unsure = err.kind == ERROR_MOVED || err.kind == ERROR_STALE ||
		 (wait_us > 0 && b->records == 1 && err.kind == ERROR_REFUSED);
	pipeline_again(p, b, wait_us, unsure);
}

void pipeline_on_stored(void *context, struct batch *b, const struct error *err,
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
