#ifndef ROWS_SEQUENCES_H
#define ROWS_SEQUENCES_H

#include "base/error.h"
#include "rows/schema.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What was learned about lists of samples, by the forms of their maps (decode/value.h). Samples of
 * the same forms in the same order differ only in their values, so their layout need not be built
 * again. Form numbers belong to one decoder.
 *
 * Only lists whose content is entirely in columns, with nothing left over, are kept here. Memory is
 * fixed: what was learned stays, and a full store learns nothing more. One thread.
 */
enum { SEQUENCE_SAMPLES_MAX = 32 };

struct sequence {
	/* The search key. */
	const struct schema_block *block;
	uint32_t count;
	uint16_t forms[SEQUENCE_SAMPLES_MAX];

	uint8_t values[SEQUENCE_SAMPLES_MAX]; /* index of each map's value */
	uint64_t layout_id;
	int64_t flags; /* of the row */
	bool marked;   /* some are marked as first or last of their transaction */
};

struct sequences;

MUST_CHECK bool sequences_new(struct sequences **out, struct error *err);
void sequences_free(struct sequences **sequences);

/* The sequence with the block, count and forms of key; NULL if unknown. Its address is stable. */
const struct sequence *sequences_find(const struct sequences *s, const struct sequence *key);

void sequences_learn(struct sequences *s, const struct sequence *learned);

#endif
