#ifndef RETENTION_COPY_HIDE_H
#define RETENTION_COPY_HIDE_H

#include "base/error.h"
#include "base/pseudonyms.h"
#include "retention/copy_walk.h"
#include "retention/part.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Rows as COPY ... (FORMAT binary) writes them, in pieces of any size: in the columns that can have
 * tokens (base/token_places.h) each forgotten one becomes its pseudonym. Everything else, and the
 * number of bytes, stays. A value is held back until it is there as a whole. One thread.
 */
struct copy_hide {
	struct pseudonyms *list; /* borrowed */
	enum token_kind kinds[PART_COLUMNS_MAX];
	struct copy_walk walk;
	uint8_t *buffer; /* malloc'ed */
	size_t room;
	size_t given, held; /* bytes of it that were given out last, and those after them */
	uint64_t count;     /* of texts that became pseudonyms */
};

void copy_hide_init(struct copy_hide *h, const struct part_header *header, struct pseudonyms *list);

/* *out: what can be given out, borrowed until the next call. path: of the file, for errors. False:
 * out of memory; DAMAGED: these are not such rows. */
MUST_CHECK bool copy_hide_add(struct copy_hide *h, struct slice piece, const char *path,
	struct slice *out, struct error *err);

void copy_hide_free(struct copy_hide *h);

#endif
