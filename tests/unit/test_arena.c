#include "unit.h"

#include "base/arena.h"

#include <sys/mman.h>

static void arena_alloc_is_aligned_and_bounded(void **state)
{
	struct arena a;

	(void)state;
	assert_true(arena_init(&a, 4096, 4096));
	assert_non_null(arena_bytes(&a, 3));
	assert_int_equal((uintptr_t)arena_alloc(&a, 8) % 16, 0);
	assert_null(arena_alloc(&a, 4096));
	assert_null(arena_bytes(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	assert_non_null(arena_bytes(&a, arena_left(&a)));
	assert_int_equal(arena_left(&a), 0);
	assert_null(arena_bytes(&a, 1));
	arena_fini(&a);
}

static void arena_rewind_gives_the_same_bytes_again(void **state)
{
	struct arena a;
	struct arena_mark mark;
	void *first;

	(void)state;
	assert_true(arena_init(&a, 4096, 4096));
	mark = arena_mark(&a);
	first = arena_alloc(&a, 64);
	arena_rewind(&a, mark);
	assert_ptr_equal(arena_alloc(&a, 64), first);
	arena_fini(&a);
}

static void arena_reset_keeps_working_after_a_large_batch(void **state)
{
	struct arena a;
	uint8_t *p;

	(void)state;
	assert_true(arena_init(&a, 1 << 20, 8192));
	p = arena_bytes(&a, 1 << 20);
	assert_non_null(p);
	memset(p, 7, 1 << 20);
	arena_reset(&a);
	p = arena_zalloc(&a, 100000);
	assert_non_null(p);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(p[i], 0);
	arena_fini(&a);
}

static bool is_resident(const uint8_t *page)
{
	unsigned char state = 0;

	assert_int_equal(mincore((void *)(uintptr_t)page, 4096, &state), 0);
	return (state & 1) != 0;
}

static void arena_reset_keeps_what_was_used_last(void **state)
{
	struct arena a;
	const uint8_t *far;
	uint8_t *p;

	(void)state;
	assert_true(arena_init(&a, 1 << 20, 8192));
	far = a.base + (1 << 19);
	p = arena_bytes(&a, 1 << 20);
	assert_non_null(p);
	memset(p, 7, 1 << 20);
	arena_reset(&a);
	assert_true(is_resident(far));
	p = arena_bytes(&a, 100000);
	assert_non_null(p);
	memset(p, 7, 100000);
	arena_reset(&a);
	assert_false(is_resident(far));
	assert_true(is_resident(a.base + 8 * 4096));
	arena_reset(&a); /* nothing was used */
	assert_false(is_resident(a.base + 8 * 4096));
	arena_fini(&a);
}

static void arena_shrink_keeps_only_its_share(void **state)
{
	struct arena a;
	uint8_t *p;

	(void)state;
	assert_true(arena_init(&a, 1 << 20, 8192));
	p = arena_bytes(&a, 1 << 20);
	assert_non_null(p);
	memset(p, 7, 1 << 20);
	arena_reset(&a);
	arena_shrink(&a);
	assert_true(is_resident(a.base + 4096));
	assert_false(is_resident(a.base + 8192));
	assert_false(is_resident(a.base + (1 << 19)));
	arena_fini(&a);
}

static void arena_with_large_pages_gives_back_whole_ones(void **state)
{
	enum { PAGE_BYTES = 2 << 20 };
	struct arena a;
	uint8_t *p;

	(void)state;
	assert_true(arena_init(&a, 8 * PAGE_BYTES, 8192));
	arena_use_large_pages(&a);
	p = arena_bytes(&a, 8 * PAGE_BYTES);
	assert_non_null(p);
	memset(p, 7, 8 * PAGE_BYTES);
	arena_reset(&a);
	p = arena_bytes(&a, PAGE_BYTES + 1);
	assert_non_null(p);
	arena_reset(&a);
	assert_true(is_resident(a.base + PAGE_BYTES));
	p = a.base + 2 * PAGE_BYTES; /* the page that this is in may be kept */
	assert_false(is_resident(p + PAGE_BYTES));
	assert_false(is_resident(p + 5 * PAGE_BYTES + 4096));
	arena_fini(&a);
}

static void arena_trim_gives_back_the_end(void **state)
{
	struct arena a;
	uint8_t *p;
	struct slice copy;

	(void)state;
	assert_true(arena_init(&a, 64, 64));
	p = arena_bytes(&a, 64);
	arena_trim(&a, p + 10);
	assert_int_equal(arena_left(&a), 54);
	copy = arena_copy(&a, (struct slice)SLICE("abc"));
	assert_slice_equal(copy, "abc");
	assert_true(slice_is_absent(arena_copy(&a, slice_of("x", 1000))));
	arena_fini(&a);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_alloc_is_aligned_and_bounded),
		cmocka_unit_test(arena_rewind_gives_the_same_bytes_again),
		cmocka_unit_test(arena_reset_keeps_working_after_a_large_batch),
		cmocka_unit_test(arena_reset_keeps_what_was_used_last),
		cmocka_unit_test(arena_shrink_keeps_only_its_share),
		cmocka_unit_test(arena_with_large_pages_gives_back_whole_ones),
		cmocka_unit_test(arena_trim_gives_back_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
