#include "base/arena.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define arena_poison(at, size) __asan_poison_memory_region(at, size)
#define arena_unpoison(at, size) __asan_unpoison_memory_region(at, size)
#else
#define arena_poison(at, size) ((void)(at), (void)(size))
#define arena_unpoison(at, size) ((void)(at), (void)(size))
#endif

enum { ARENA_ALIGN = 16, ARENA_PAGE_BYTES = 4096, ARENA_LARGE_PAGE_BYTES = 2 << 20 };

bool arena_init(struct arena *a, size_t bytes_max, size_t keep_bytes)
{
	void *base = mmap(NULL, bytes_max, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return false;
	*a = (struct arena){.base = base,
		.bytes_max = bytes_max,
		.keep_bytes = keep_bytes,
		.page_bytes = ARENA_PAGE_BYTES};
	arena_poison(a->base, bytes_max);
	return true;
}

void arena_use_large_pages(struct arena *a)
{
	CHECK(a->touched == 0);
	(void)madvise(a->base, a->bytes_max, MADV_HUGEPAGE);
	a->page_bytes = ARENA_LARGE_PAGE_BYTES;
}

void arena_fini(struct arena *a)
{
	if (a->base == NULL)
		return;
	arena_unpoison(a->base, a->bytes_max);
	munmap(a->base, a->bytes_max);
	a->base = NULL;
}

uint8_t *arena_bytes(struct arena *a, size_t size)
{
	uint8_t *at = a->base + a->used;

	if (size > a->bytes_max - a->used)
		return NULL;
	a->used += size;
	if (a->used > a->touched)
		a->touched = a->used;
	arena_unpoison(at, size);
	return at;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t start = (a->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

	if (start > a->bytes_max || size > a->bytes_max - start)
		return NULL;
	a->used = start;
	return arena_bytes(a, size);
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *at = arena_alloc(a, size);

	if (at != NULL)
		memset(at, 0, size);
	return at;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	uint8_t *at = arena_bytes(a, s.size);

	if (at == NULL)
		return (struct slice){NULL, 0};
	if (s.size > 0)
		memcpy(at, s.data, s.size);
	return slice_of(at, s.size);
}

void arena_trim(struct arena *a, const uint8_t *end)
{
	size_t used = (size_t)(end - a->base);

	CHECK(used <= a->used);
	arena_poison(a->base + used, a->used - used);
	a->used = used;
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){a->used};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
	arena_trim(a, a->base + mark.used);
}

/* Where the page that holds this byte of the arena ends, or the arena. */
static size_t arena_page_end(const struct arena *a, size_t at)
{
	size_t in_page = (size_t)((uintptr_t)(a->base + at) & (a->page_bytes - 1));
	size_t end = in_page == 0 ? at : at + a->page_bytes - in_page;

	return end < a->bytes_max ? end : a->bytes_max;
}

/* Also the untouched rest of the last page: of a large one that is given back in part, the kernel
 * keeps the rest as small pages. */
static void arena_keep(struct arena *a, size_t keep)
{
	size_t from = arena_page_end(a, keep), to = arena_page_end(a, a->touched);

	if (to > from)
		madvise(a->base + from, to - from, MADV_DONTNEED);
	if (a->touched > keep)
		a->touched = keep;
}

void arena_reset(struct arena *a)
{
	size_t keep = a->used > a->keep_bytes ? a->used : a->keep_bytes;

	arena_poison(a->base, a->used);
	a->used = 0;
	arena_keep(a, keep);
}

void arena_shrink(struct arena *a)
{
	CHECK(a->used == 0);
	arena_keep(a, a->keep_bytes);
}
