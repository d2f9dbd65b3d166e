#ifndef STATIONS_MESSAGE_H
#define STATIONS_MESSAGE_H

#include "base/check.h"
#include "base/slice.h"

#include <stdint.h>

/*
 * One OCPP message ready to be published: its bytes, the facts that must be in the database once
 * it is stored, and when its turn is. Messages come from a pool that only grows, so that none is
 * allocated once the fleet runs evenly. One thread.
 */
struct station;
struct record;

enum message_direction { MESSAGE_IN, MESSAGE_OUT }; /* from the station, to the station */
enum message_kind { MESSAGE_CALL = 2, MESSAGE_RESULT = 3, MESSAGE_ERROR = 4 };

enum { MESSAGE_ID_BYTES = 40 };

struct message {
	int64_t due_us;  /* simulated time of publishing */
	uint64_t serial; /* order among those due at once */
	struct message *next_free;
	const struct station *station;
	struct message *copy;  /* a later duplicate of this one, to be told our number; or NULL */
	struct record *record; /* of the session to which this one matters, or NULL */
	uint64_t duplicate_of; /* number of the message that this one repeats, or 0 */
	uint64_t trace[2];     /* W3C trace id: equal in call and result */
	uint64_t span;
	uint32_t role; /* within record */
	uint32_t payload_size, facts_size;
	uint8_t pool; /* index of the size class */
	uint8_t direction;
	uint8_t kind;
	uint8_t action; /* index for action_name() */
	uint8_t id_size;
	uint8_t id[MESSAGE_ID_BYTES];
	uint8_t bytes[]; /* payload, then facts: a JSON array, or nothing if facts are not wanted */
};

static inline struct slice message_payload(const struct message *m)
{
	return slice_of(m->bytes, m->payload_size);
}

static inline struct slice message_facts(const struct message *m)
{
	return slice_of(m->bytes + m->payload_size, m->facts_size);
}

/* Sizes are powers of two from 512 bytes on. */
enum { MESSAGE_POOLS = 10, MESSAGE_POOL_SHIFT = 9 };

struct message_pools {
	struct message *free[MESSAGE_POOLS];
	void *chunks; /* a list of what was allocated */
};

void message_pools_fini(struct message_pools *p);

/* With this many bytes of room; the rest is not set. Ends the program if there is no memory. */
struct message *message_new(struct message_pools *p, size_t bytes);
struct message *message_copy(struct message_pools *p, const struct message *m);
void message_free(struct message_pools *p, struct message *m);

/*
 * Messages in the order of their turn: a binary heap. Its order is (due_us, serial), so it does
 * not depend on anything but the messages.
 */
struct outbox {
	struct message **heap;
	size_t count, count_max;
	uint64_t serial;
};

MUST_CHECK
bool outbox_init(struct outbox *o, size_t count_max);
void outbox_fini(struct outbox *o);
void outbox_put(struct outbox *o, struct message *m); /* there must be room */
struct message *outbox_take(struct outbox *o);        /* there must be one */

/* The one whose turn is next, or NULL. */
static inline struct message *outbox_first(const struct outbox *o)
{
	return o->count == 0 ? NULL : o->heap[0];
}

static inline size_t outbox_room(const struct outbox *o)
{
	return o->count_max - o->count;
}

#endif
