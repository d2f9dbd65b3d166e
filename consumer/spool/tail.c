#include "spool/tail.h"

#include "base/digest.h"
#include "spool/spool_private.h"

#include <stdlib.h>
#include <string.h>

enum {
	TAIL_PACKETS = 65536,
	/* Address space: more than a window and twice the largest record. */
	TAIL_ARENA_BYTES = 64 << 20,
	/* How many records to read at most per message of the window: a log without QoS may have
	 * any size. */
	TAIL_SPARSE = 64,
};

/* Records are counted from 1, those of the earlier run first; 0 = none. */
struct tail_entry {
	uint64_t digest;
	uint64_t number;
};

/* A record of an earlier run: number is its place in the list, plus 1. */
struct tail_old {
	uint64_t digest;
	uint8_t packet;
	bool packet_known;
	bool used;
};

struct spool_tail {
	size_t window;
	uint64_t count;
	struct tail_entry packets[TAIL_PACKETS]; /* the newest for each packet id */
	struct tail_old *old;
	size_t old_count;
	size_t old_next; /* redeliveries come in order, so the next match is likely here */
};

/* Digest of what a redelivery has in common with its original. */
static uint64_t tail_digest(const struct record *r)
{
	const uint16_t same =
		RECORD_QOS_MASK | RECORD_RETAIN | RECORD_JSON | RECORD_MSGPACK | RECORD_OVERSIZED;
	const uint64_t parts[] = {digest64(r->topic.data, r->topic.size),
		digest64(r->payload.data, r->payload.size), digest64(r->trace.data, r->trace.size),
		r->flags & same};

	return digest64(parts, sizeof(parts));
}

/* ---- the previous run ---- */

static void tail_old_add(struct spool_tail *t, const struct record *r)
{
	if ((r->flags & RECORD_QOS_MASK) == 0)
		return;
	t->old[t->count++ % t->window] = (struct tail_old){.digest = tail_digest(r),
		.packet = (uint8_t)(r->flags >> RECORD_PACKET_SHIFT),
		.packet_known = (r->flags & RECORD_PACKET_KNOWN) != 0};
}

/* Reads everything newer than seq, in order, and keeps the last records with a QoS. */
static bool tail_read(struct spool_tail *t, struct spool *s, uint64_t seq, struct error *err)
{
	struct spool_cursor *c = NULL;
	struct arena arena = {.base = NULL};
	enum spool_next next = SPOOL_ERROR;
	struct record r;

	t->count = 0;
	if (!arena_init(&arena, TAIL_ARENA_BYTES, 0)) {
		error_set(err, ERROR_FATAL, REASON_memory,
			"out of memory reading the end of the log");
		return false;
	}
	if (spool_cursor_open_to_peek(&c, s, seq, err)) {
		while ((next = spool_cursor_next(c, &arena, &r, err)) == SPOOL_RECORD) {
			tail_old_add(t, &r);
			if (arena.used > SEGMENT_RESET_BYTES) {
				spool_cursor_drop_window(c);
				arena_reset(&arena);
			}
		}
	}
	spool_cursor_close(&c);
	arena_fini(&arena);
	return next == SPOOL_EMPTY;
}

/* The number after which there are that many records, or the whole log, or everything that is not
 * packed. */
static uint64_t tail_seq(struct spool *s, uint64_t records, bool packed)
{
	uint64_t seq;

	pthread_mutex_lock(&s->lock);
	seq = s->end.seq;
	for (size_t i = s->segments_count; i-- > 0;) {
		const struct spool_segment *segment = &s->segments[i];
		uint64_t count = segment->last_seq + 1 - segment->first_seq;

		if (segment->archived && !packed)
			break;
		seq = count > records ? segment->last_seq - records : segment->first_seq - 1;
		if (count >= records)
			break;
		records -= count;
	}
	pthread_mutex_unlock(&s->lock);
	return seq;
}

/* In the order of the list, oldest first. */
static bool tail_settle(struct spool_tail *t, struct error *err)
{
	struct tail_old *ordered;
	size_t first;

	t->old_count = t->count < t->window ? (size_t)t->count : t->window;
	first = t->count < t->window ? 0 : (size_t)(t->count % t->window);
	ordered = calloc(t->old_count + 1, sizeof(*ordered));
	if (ordered == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	for (size_t i = 0; i < t->old_count; i++)
		ordered[i] = t->old[(first + i) % t->window];
	free(t->old);
	t->old = ordered;
	t->count = t->old_count;
	return true;
}

/* Records without a QoS do not count, so more records than messages may have to be read. Reading
 * packed segments needs room on the disk, which a start must not need. */
static bool tail_load(struct spool_tail *t, struct spool *s, struct error *err)
{
	uint64_t records = t->window;
	bool packed = true;

	for (;;) {
		uint64_t seq = tail_seq(s, records, packed);

		if (tail_read(t, s, seq, err)) {
			if (t->count >= t->window || records >= t->window * TAIL_SPARSE ||
				seq <= tail_seq(s, UINT64_MAX, packed))
				return tail_settle(t, err);
			records *= 4;
		} else if (packed && err->kind == ERROR_NO_SPACE) {
			log_failure(LOG_LEVEL_WARN, "spool_tail_not_read", err);
			packed = false;
		} else {
			return false;
		}
	}
}

bool spool_tail_open(struct spool_tail **out, struct spool *s, size_t window, struct error *err)
{
	struct spool_tail *t = calloc(1, sizeof(*t));

	CHECK(window > 0);
	if (t != NULL)
		t->old = calloc(window, sizeof(*t->old));
	if (t == NULL || t->old == NULL) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		spool_tail_close(&t);
		return false;
	}
	t->window = window;
	if (!tail_load(t, s, err)) {
		spool_tail_close(&t);
		return false;
	}
	*out = t;
	return true;
}

void spool_tail_close(struct spool_tail **tail)
{
	if (*tail != NULL)
		free((*tail)->old);
	free(*tail);
	*tail = NULL;
}

void spool_tail_widen(struct spool_tail *t, size_t window)
{
	if (window > t->window)
		t->window = window;
}

void spool_tail_forget(struct spool_tail *t)
{
	memset(t->packets, 0, sizeof(t->packets));
	t->old_count = 0;
}

/* ---- messages ---- */

void spool_tail_add(struct spool_tail *t, const struct record *r, uint16_t packet)
{
	t->packets[packet] = (struct tail_entry){tail_digest(r), ++t->count};
}

static bool tail_in_window(const struct spool_tail *t, uint64_t number)
{
	return t->count - number < t->window;
}

static bool tail_old_has(struct spool_tail *t, uint64_t digest, uint16_t packet)
{
	for (size_t n = 0; n < t->old_count; n++) {
		size_t i = (t->old_next + n) % t->old_count;
		struct tail_old *old = &t->old[i];

		if (old->used || old->digest != digest || !tail_in_window(t, i + 1) ||
			(old->packet_known && old->packet != (uint8_t)packet))
			continue;
		old->used = true;
		t->old_next = i + 1;
		t->packets[packet] = (struct tail_entry){digest, i + 1};
		return true;
	}
	return false;
}

bool spool_tail_has(struct spool_tail *t, const struct record *r, uint16_t packet)
{
	const struct tail_entry *newest = &t->packets[packet];
	uint64_t digest = tail_digest(r);

	if (newest->number > 0)
		return newest->digest == digest && tail_in_window(t, newest->number);
	return tail_old_has(t, digest, packet);
}
