#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/check.h"
#include "base/slice.h"

/*
 * Memory with the lifetime of one batch: everything from decoding to the COPY bytes is allocated
 * from one arena and freed by one arena_reset(). The arena reserves its whole size as address space
 * when it is made; pages are only used when touched. A reset keeps the first keep_bytes and the
 * pages used last, and returns the rest to the system, so a series of large batches does not fault
 * its pages in again, and a single one does not make the process large for good. One thread. Under
 * ASan, memory that was reset is poisoned, so a stale pointer is caught immediately.
 */
struct arena {
	uint8_t *base;
	size_t used;
	size_t touched; /* high water mark since the last give-back */
	size_t bytes_max;
	size_t keep_bytes;
	size_t page_bytes; /* only whole pages are given back */
};

/* A position to fall back to. */
struct arena_mark {
	size_t used;
};

/* False only if the address space cannot be reserved. */
MUST_CHECK bool arena_init(struct arena *a, size_t bytes_max, size_t keep_bytes);
void arena_fini(struct arena *a);

/*
 * Ask for pages of 2 MiB; call it before anything is allocated. Where tens of MiB are read in a
 * different order from the one they were written in, the processor spends a tenth of its time
 * looking up small pages. Costs up to one page of memory; has no effect where the kernel has none.
 */
void arena_use_large_pages(struct arena *a);

/* Aligned for any type, not cleared. NULL if it does not fit: the caller closes the batch or
 * rejects the message. */
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

/* After a reset: returns everything but the first keep_bytes to the system, whatever was used last.
 * For an arena that is used rarely enough for faulting pages in to cost nothing. */
void arena_shrink(struct arena *a);

static inline size_t arena_left(const struct arena *a)
{
	return a->bytes_max - a->used;
}

#endif
