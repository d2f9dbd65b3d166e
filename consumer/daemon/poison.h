#ifndef DAEMON_POISON_H
#define DAEMON_POISON_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages of the log that become dead letters whatever they contain, until they are stored as
 * such. Holds more than a single record can have (DECODE_MESSAGES_MAX), and never drops one for
 * another. One thread.
 */

/* Instead of an index: the whole record, undecoded. */
#define POISON_WHOLE_RECORD UINT32_MAX

struct poison {
	uint64_t seq;
	uint32_t index; /* the message's index within the record */
	bool used;
	bool bare; /* its dead letter was refused, too: keep only what cannot be refused */
	enum error_reason code;
	char *detail; /* or NULL */
	char sqlstate[6];
};

struct poison_set {
	struct poison *slots; /* open addressing; NULL until the first is added */
	size_t room;          /* a power of two */
	size_t count;
	size_t details; /* entries with a detail */
};

void poison_fini(struct poison_set *set);

/* NULL if absent. */
const struct poison *poison_find(const struct poison_set *set, uint64_t seq, uint32_t index);

/* Its reason, as an error of kind POISON. */
void poison_error(const struct poison *p, struct error *out);

enum poison_added {
	POISON_NEWS,
	POISON_KNOWN, /* it was already there, and as bare as this */
	POISON_FULL,  /* nothing was changed: store the existing ones first */
};

/* The first reason is kept. */
enum poison_added poison_add(struct poison_set *set, uint64_t seq, uint32_t index, bool bare,
	const struct error *why);

/* Everything up to seq is stored. */
void poison_forget(struct poison_set *set, uint64_t seq);

#endif
