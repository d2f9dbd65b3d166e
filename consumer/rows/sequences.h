#ifndef ROWS_SEQUENCES_H
#define ROWS_SEQUENCES_H

#include "base/error.h"
#include "rows/schema.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What was learned about lists of samples, by the forms of their maps (decode/value.h). Samples of
 * the same forms in the same order differ only in their values, so that their layout need not be
 * put together again. Forms are numbers of one decoder.
 *
 * Only lists that are completely in their columns, with nothing left over, are kept here. Memory is
 * fixed: what was learned stays, and a full store learns nothing more. One thread.
 */
enum { SEQUENCE_SAMPLES_MAX = 32 };

struct sequence {
	/* What it is found by. */
	const struct schema_block *block;
	uint32_t count;
	uint16_t forms[SEQUENCE_SAMPLES_MAX];

	uint8_t values[SEQUENCE_SAMPLES_MAX]; /* which member of each map is its value */
	uint64_t layout_id;
	int64_t flags; /* of the row */
	bool marked;   /* some say that they are the first or last of their transaction */
};

struct sequences;

MUST_CHECK bool sequences_new(struct sequences **out, struct error *err);
void sequences_free(struct sequences **sequences);

/* What has block, count and forms of key; NULL if it is not known. It stays where it is. */
const struct sequence *sequences_find(const struct sequences *s, const struct sequence *key);

void sequences_learn(struct sequences *s, const struct sequence *learned);

#endif
