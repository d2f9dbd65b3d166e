#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/check.h"
#include "base/slice.h"

/*
 * Memory with the lifetime of one batch: everything from decoding to the COPY bytes comes from one
 * arena and goes with one arena_reset(). The size is fixed when it is made; address space is
 * reserved at once, pages are only used when touched. After a reset the pages used last, and the
 * first keep_bytes, are kept, and the rest goes back to the system: several large batches in a row
 * do not fetch their pages again, and a single one does not make the process large for good. One
 * thread. Under ASan memory that was reset is poisoned, so a stale pointer is found at once.
 */
struct arena {
	uint8_t *base;
	size_t used;
	size_t touched; /* high water mark since the last give-back */
	size_t bytes_max;
	size_t keep_bytes;
	size_t page_bytes; /* what is given back are whole ones */
};

/* A position to fall back to. */
struct arena_mark {
	size_t used;
};

/* False only if the address space cannot be had. */
MUST_CHECK bool arena_init(struct arena *a, size_t bytes_max, size_t keep_bytes);
void arena_fini(struct arena *a);

/*
 * Ask for pages of 2 MiB, before anything is in it. Where tens of MiB are read in another order
 * than they were written in, the processor spends a tenth of its time on looking up small ones.
 * Costs up to one page of memory; has no effect where the kernel has none.
 */
void arena_use_large_pages(struct arena *a);

/* Aligned for any type, not cleared. NULL if it does not fit: close the batch, or reject. */
MUST_CHECK void *arena_alloc(struct arena *a, size_t size);

/* Cleared. */
MUST_CHECK void *arena_zalloc(struct arena *a, size_t size);

/* Bytes without alignment, for text. */
MUST_CHECK uint8_t *arena_bytes(struct arena *a, size_t size);

/* A copy with the arena's lifetime; an absent slice if it does not fit. */
MUST_CHECK struct slice arena_copy(struct arena *a, struct slice s);

/* Give back the end of the last arena_bytes() that was not needed. */
void arena_trim(struct arena *a, const uint8_t *end);

struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
void arena_reset(struct arena *a);

static inline size_t arena_left(const struct arena *a)
{
	return a->bytes_max - a->used;
}

#endif
