#ifndef DAEMON_POISON_H
#define DAEMON_POISON_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Messages of the log that are not stored but become dead letters whatever they hold, until they
 * are stored as such. Holds more than one record can hold (DECODE_MESSAGES_MAX), and never drops
 * one for another. One thread.
 */

/* In place of an index: the record as a whole, undecoded. */
#define POISON_WHOLE_RECORD UINT32_MAX

struct poison {
	uint64_t seq;
	uint32_t index; /* of the message within the record */
	bool used;
	bool bare; /* its dead letter was refused, too: only what cannot be refused */
	enum error_reason code;
	char *detail; /* or NULL */
	char sqlstate[6];
};

struct poison_set {
	struct poison *slots; /* open addressing; NULL while nothing was ever put in */
	size_t room;          /* a power of two */
	size_t count;
	size_t details; /* entries that have their text */
};

void poison_fini(struct poison_set *set);

/* NULL if it is not there. */
const struct poison *poison_find(const struct poison_set *set, uint64_t seq, uint32_t index);

/* Why it is there, as an error of kind POISON. */
void poison_error(const struct poison *p, struct error *out);

enum poison_added {
	POISON_NEWS,
	POISON_KNOWN, /* it was there, and as bare as this */
	POISON_FULL,  /* nothing was changed: store what is there first */
};

/* The first reason stays. */
enum poison_added poison_add(struct poison_set *set, uint64_t seq, uint32_t index, bool bare,
	const struct error *why);

/* All up to seq are stored. */
void poison_forget(struct poison_set *set, uint64_t seq);

#endif
