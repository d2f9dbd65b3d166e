#ifndef STATIONS_RECORD_H
#define STATIONS_RECORD_H

#include "base/check.h"
#include "base/slice.h"

#include <stdint.h>

/*
 * What must be known about a session in the end, and the messages that say it: the line of a
 * transaction in the ledger. It can be written when the session is over and all these messages
 * have been published and so have their numbers; with reordering that may be in any order.
 * One thread.
 */
enum { RECORD_NEEDS_MAX = 8, RECORD_TEXT_BYTES = 1024 };

struct record {
	struct record *next; /* in the list of free ones */
	uint64_t needs[RECORD_NEEDS_MAX];
	uint32_t needs_count; /* messages that matter */
	uint32_t known_count; /* of these, published */
	size_t text_size;     /* > 0 = the session is over */
	uint8_t text[RECORD_TEXT_BYTES];
};

struct record_pool {
	struct record *free;
	void *chunks; /* a list of what was allocated */
};

void record_pool_fini(struct record_pool *p);

/* Ends the program if there is no memory. */
struct record *record_new(struct record_pool *p);
void record_free(struct record_pool *p, struct record *r);

/* One more message matters; returns its role. */
uint32_t record_expect(struct record *r);

/* The message of this role has been published under this number. */
void record_number(struct record *r, uint32_t role, uint64_t number);

/* The session is over. */
void record_close(struct record *r, struct slice text);

static inline bool record_is_ready(const struct record *r)
{
	return r->text_size > 0 && r->known_count == r->needs_count;
}

#endif
