#ifndef RETENTION_COPY_WALK_H
#define RETENTION_COPY_WALK_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Finds where rows end in the output of COPY ... (FORMAT binary), read in pieces of any size: a
 * header of 19 bytes or more; for each row the number of its columns (16 bits) and each value after
 * its length (32 bits, -1 = NULL); at the end, -1 instead of the number. Keeps none of the bytes.
 */
enum copy_walk_state {
	COPY_WALK_HEADER,
	COPY_WALK_EXTENSION, /* in the header */
	COPY_WALK_ROW,       /* before a number of columns, or the end */
	COPY_WALK_LENGTH,
	COPY_WALK_VALUE,
	COPY_WALK_END,
};

struct copy_walk {
	enum copy_walk_state state;
	size_t columns;      /* in every row */
	size_t columns_left; /* in this row */
	int64_t left;        /* of the value or the extension */
	uint8_t part[19];    /* a number or the header, which may be split between pieces */
	size_t part_size;
	uint64_t rows; /* rows that have ended */
};

void copy_walk_init(struct copy_walk *w, size_t columns);

/*
 * Walks through bytes, which must not be empty, to the end of the header, of a row or of the data,
 * or to the end of the bytes. Returns how many were consumed; 0 with *why_out: this is not such
 * data.
 */
size_t copy_walk_step(struct copy_walk *w, struct slice bytes, const char **why_out);

/* The same, but to the end of one number or value, or of what there is of it. */
size_t copy_walk_part(struct copy_walk *w, struct slice bytes, const char **why_out);

/* Between two rows, or before the first: the bytes passed so far are whole rows. */
bool copy_walk_is_between(const struct copy_walk *w);

#endif
