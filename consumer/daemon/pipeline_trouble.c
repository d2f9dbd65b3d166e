#include "base/clock.h"
#include "daemon/pipeline_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>

/*
 * Makes the next attempt differ from the one that failed.
 *
 * Size: a batch that was refused, or that took too long, is halved, down to one record. With each
 * batch of that size that is stored the size grows again, slowly if time was the problem, until
 * only the settings limit it. It does not return to the full size in one step: if much is refused,
 * batches stay small, and a refusal costs little.
 *
 * Hunt: one record may hold thousands of messages. If PostgreSQL refuses it without naming one, the
 * first one at fault is searched for: some of its first messages are tried and rolled back, half of
 * the unknown ones at a time. The search for the next one begins after that.
 */

/* A batch may grow while it takes less than this fraction of the time that was too long. */
enum { SLOW_MARGIN = 2, SLOW_GROWTH = 4 };

/* After this many failures without anything stored in between, the next batch is smaller in any
 * case: whatever is wrong, such as a server that dies of a batch, may depend on size. */
enum { FAILURES_PATIENT = 2 };

/* ---- size ---- */

void pipeline_trouble_shrink(struct pipeline *p, size_t records)
{
	size_t half = records > 1 ? records / 2 : 1;

	if (p->limit.records == 0 || half < p->limit.records)
		p->limit.records = half;
}

/* us: how long the attempt took. */
static void trouble_slow(struct pipeline *p, const struct batch *b, int64_t us)
{
	p->limit.slow = true;
	p->limit.slow_us = us;
	if (b->records > 1) {
		pipeline_trouble_shrink(p, b->records);
		log_warn("batch_too_slow", "the next one is smaller",
			"records=%zu next=%zu ms=%" PRId64, b->records, p->limit.records,
			us / US_PER_MS);
		return;
	}
	/* It cannot get smaller, so it gets more time. */
	pipeline_trouble_shrink(p, 1);
	p->patience_us = p->patience_us < PIPELINE_PATIENCE_MAX_US / 2 ? p->patience_us * 2
								       : PIPELINE_PATIENCE_MAX_US;
	writer_set_timeout(p->writer, p->patience_us);
	log_warn("record_too_slow",
		"one record alone takes longer than storage.postgres.timeout, or than the server "
		"allows (statement_timeout): it gets more time here",
		"seq=%" PRIu64 " messages=%zu ms=%" PRId64 " next_ms=%" PRId64, b->first_seq,
		b->messages_count, us / US_PER_MS, p->patience_us / US_PER_MS);
}

void pipeline_trouble_stored(struct pipeline *p, const struct batch *b, int64_t us)
{
	struct pipeline_limit *l = &p->limit;

	p->failures = p->dead_refusals = 0;
	pipeline_enter_search(p, SEARCH_NONE);
	poison_forget(&p->poison, b->last_seq);
	if (p->patience_us != p->config->storage_postgres_timeout) {
		p->patience_us = p->config->storage_postgres_timeout;
		writer_set_timeout(p->writer, p->patience_us);
	}
	if (b->records < l->records || (l->slow && us > l->slow_us / SLOW_MARGIN))
		return;
	l->records += l->slow ? l->records / SLOW_GROWTH + 1 : l->records;
	if (l->records >= (size_t)p->config->batch_messages_max)
		*l = (struct pipeline_limit){.records = 0};
}

void pipeline_trouble_full(struct pipeline *p)
{
	p->limit.records = p->filling->records;
}

void pipeline_trouble_failed(struct pipeline *p, const struct batch *b, const struct error *err)
{
	p->failures++;
	if (err->slow)
		trouble_slow(p, b, clock_mono_us() - p->stored_mono_us);
	else if (pg_error_is_too_much(err) ||
		 (p->failures > FAILURES_PATIENT && err->kind != ERROR_REFUSED))
		pipeline_trouble_shrink(p, b->records);
}

/* ---- refused messages ---- */

/* Refusals of one record, after which it is unlikely to pass by itself. */
enum { DEAD_REFUSALS_PATIENT = 6 };

/* A dead letter has nowhere else to go: if it were dropped, it would be lost. So it waits, whoever
 * refuses it. Locks end by themselves. */
bool pipeline_trouble_dead_letters(struct pipeline *p, bool refused, size_t records,
	int64_t wait_us, struct error *err)
{
	if (!refused) {
		p->dead_refusals = 0;
		return false;
	}
	if (records > 1 || pg_error_is_lock(err) || pg_error_is_deadlock(err) ||
		(p->dead_refusals++ < DEAD_REFUSALS_PATIENT && wait_us < PIPELINE_REFUSED_US))
		return false;
	error_becomes(err, err->kind, REASON_dead_letters_refused);
	error_prefix(err, "table dead_letters refuses what should be set aside");
	error_needs_person(err);
	error_hint(err,
		"record %" PRIu64 " and all after it wait in the log; nothing is lost. See the "
		"triggers, policies, constraints and rights of dead_letters, and its disk: once it "
		"accepts rows, storing continues by itself",
		p->stored_seq + 1);
	return true;
}

static void trouble_log_refused(struct pipeline *p, uint64_t seq, uint32_t index,
	const struct error *why)
{
	uint64_t suppressed;

	if (!log_repeat_due(&p->refused, why, &suppressed))
		return;
	log_failure(LOG_LEVEL_WARN, "message_refused", why);
	if (index == POISON_WHOLE_RECORD)
		log_info("set_aside", "", "seq=%" PRIu64 " message=all suppressed=%" PRIu64, seq,
			suppressed);
	else
		log_info("set_aside", "", "seq=%" PRIu64 " message=%" PRIu32 " suppressed=%" PRIu64,
			seq, index, suppressed);
}

/* False if this tells nothing new. */
static bool trouble_poison(struct pipeline *p, const struct batch *b, uint64_t seq, uint32_t index,
	bool bare, const struct error *why)
{
	switch (poison_add(&p->poison, seq, index, bare, why)) {
	case POISON_NEWS:
		trouble_log_refused(p, seq, index, why);
		return true;
	case POISON_KNOWN:
		return false;
	case POISON_FULL:
		break;
	}
	/* There is always room for the messages of one record. */
	pipeline_trouble_shrink(p, b->records);
	return b->records > 1;
}

/* The next step of a hunt, once it is known how many first messages are accepted (`good`), and that
 * the first `bad` are not. */
static bool trouble_hunt_on(struct pipeline *p, const struct batch *b)
{
	struct pipeline_hunt *h = &p->hunt;
	uint32_t found = h->good;

	if (h->bad - h->good > 1) {
		pipeline_enter_search(p, SEARCH_HALVING);
		h->take = h->good + (h->bad - h->good) / 2;
		return true;
	}
	pipeline_enter_search(p, SEARCH_FOUND);
	h->good = h->bad; /* without the one that was found */
	return trouble_poison(p, b, h->seq, found, h->bad_is_dead, &h->why);
}

/* PostgreSQL refuses the record, or this many of its first messages, and does not say which one. */
static bool trouble_hunt(struct pipeline *p, const struct batch *b, const struct error *why)
{
	struct pipeline_hunt *h = &p->hunt;
	const struct batch_message *last =
		b->messages_count > 0 ? &b->messages[b->messages_count - 1] : NULL;

	if (!pipeline_is_hunting(p)) {
		*h = (struct pipeline_hunt){.seq = b->first_seq};
		pipeline_enter_search(p, SEARCH_BARE);
	}
	if (last == NULL) {
		/* No message is at fault: something refuses whatever is stored. */
		pipeline_enter_search(p, SEARCH_NONE);
		return false;
	}
	h->why = *why;
	h->bad = last->index + 1;
	h->bad_is_dead = last->outcome == OUTCOME_DEAD_LETTERED;
	if (h->good >= h->bad)
		h->good = 0; /* all were checked: what is refused now are dead letters */
	return p->search == SEARCH_BARE || trouble_hunt_on(p, b);
}

/*
 * A message that the database refuses; message < 0: it does not say which. False if no try is left
 * that differs from the last one.
 */
bool pipeline_trouble_refused(struct pipeline *p, const struct batch *b, const struct error *err,
	int64_t message)
{
	if (message >= 0 && (size_t)message < b->messages_count) {
		const struct batch_message *m = &b->messages[message];

		/* If much is refused, a batch built again for one of them should be small. */
		pipeline_trouble_shrink(p, b->records);
		return trouble_poison(p, b, m->seq, m->index, m->outcome == OUTCOME_DEAD_LETTERED,
			err);
	}
	pipeline_trouble_shrink(p, b->records);
	return b->records > 1 || trouble_hunt(p, b, err);
}

void pipeline_trouble_accepted(struct pipeline *p, const struct batch *b)
{
	struct pipeline_hunt *h = &p->hunt;

	p->failures = 0;
	if (!pipeline_is_hunting(p))
		return;
	h->good = h->take;
	(void)trouble_hunt_on(p, b);
}

void pipeline_too_large(struct error *err)
{
	error_set(err, ERROR_POISON, REASON_too_large,
		"the message makes more rows than fit into a transaction");
}

bool pipeline_trouble_too_large(struct pipeline *p, const struct batch *b)
{
	struct error why;

	pipeline_trouble_shrink(p, b->records);
	if (b->records > 1)
		return true;
	pipeline_too_large(&why);
	return trouble_poison(p, b, b->first_seq, POISON_WHOLE_RECORD, false, &why);
}
