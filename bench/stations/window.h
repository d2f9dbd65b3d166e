#ifndef STATIONS_WINDOW_H
#define STATIONS_WINDOW_H

#include "base/check.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The packets of one connection that may have to be sent (again): a ring of bytes of fixed size,
 * in which packets are encoded once and from which the socket writes, and beside it one entry per
 * packet, numbered in the order of their making. A packet stays until it is done and its place is
 * needed, so the recent past can be published again after a broken connection. One thread.
 */
enum window_state {
	WINDOW_WAITING,  /* to be written to the socket */
	WINDOW_SENT,     /* being written, or written and not acknowledged (QoS 1, 2) */
	WINDOW_RELEASED, /* QoS 2: PUBREC came, PUBREL is out */
	WINDOW_UNROUTED, /* the broker had no subscriber for it: to be sent again later */
	WINDOW_DONE,     /* acknowledged, refused for good, or (QoS 0) written */
};

struct window_entry {
	size_t offset; /* of the packet in the ring */
	uint32_t size;
	uint32_t count; /* OCPP messages in it, numbered first, first + 1, ... */
	uint64_t first;
	int64_t sent_us;   /* monotonic, of the last time; 0 = never */
	uint32_t id_at;    /* position of the packet id within the packet */
	uint16_t id;       /* packet id while SENT or RELEASED (QoS 1, 2) */
	uint8_t state;     /* enum window_state */
	bool acknowledged; /* told so once; stays true when it is sent again */
	bool unrouted;     /* QoS 2: what PUBREC said */
};

struct window {
	uint8_t *bytes;
	size_t bytes_max;
	struct window_entry *entries; /* entry number modulo entries_max, a power of two */
	uint64_t entries_max;
	uint64_t first, next; /* numbers of the entries held: first .. next - 1 */
	size_t head;          /* where the next packet goes */
	uint64_t early;       /* OCPP messages dropped while still young enough to be wanted */
};

/* False only if memory cannot be had. Pages are used when first touched. */
MUST_CHECK
bool window_init(struct window *w, size_t bytes_max, uint64_t entries_max);
void window_fini(struct window *w);

/*
 * Room for a packet of this size; NULL if what is there cannot go yet. Entries that were sent
 * after young_us count as dropped early when they have to make room.
 */
MUST_CHECK
uint8_t *window_reserve(struct window *w, size_t size, int64_t young_us);

/* Add the packet that was written to the room just reserved. */
void window_add(struct window *w, size_t size, size_t id_at, uint64_t first, uint32_t count);

static inline struct window_entry *window_at(const struct window *w, uint64_t number)
{
	return &w->entries[number & (w->entries_max - 1)];
}

static inline uint8_t *window_packet(const struct window *w, const struct window_entry *e)
{
	return w->bytes + e->offset;
}

#endif
