#include "unit.h"

#include "stations/rng.h"
#include "stations/window.h"

enum { RING_BYTES = 1000, ENTRIES = 16 };

static void put(struct window *w, size_t size, uint64_t number)
{
	uint8_t *at = window_reserve(w, size, 0);

	assert_non_null(at);
	memset(at, (int)number, size);
	window_add(w, size, 0, number, 1);
}

static void window_keeps_packets_until_they_are_done_and_in_the_way(void **state)
{
	struct window w;

	(void)state;
	assert_true(window_init(&w, RING_BYTES, ENTRIES));
	put(&w, 400, 1);
	put(&w, 400, 2);
	assert_null(window_reserve(&w, 400, 0));
	window_at(&w, 1)->state = WINDOW_DONE; /* not the oldest: nothing moves */
	assert_null(window_reserve(&w, 400, 0));
	window_at(&w, 0)->state = WINDOW_DONE;
	put(&w, 400, 3);
	assert_int_equal(w.first, 1);
	assert_int_equal(window_at(&w, 2)->offset, 0);
	assert_null(window_reserve(&w, RING_BYTES + 1, 0));
	window_fini(&w);
}

static void window_counts_what_it_drops_too_early(void **state)
{
	struct window w;

	(void)state;
	assert_true(window_init(&w, RING_BYTES, ENTRIES));
	for (uint64_t i = 0; i < 3; i++) {
		put(&w, 300, i);
		window_at(&w, i)->state = WINDOW_DONE;
		window_at(&w, i)->sent_us = 1000 + (int64_t)i;
		window_at(&w, i)->count = 5;
	}
	assert_non_null(window_reserve(&w, 300, 1000)); /* the first is as old as asked for */
	assert_int_equal(w.early, 0);
	assert_non_null(window_reserve(&w, 900, 1000));
	assert_int_equal(w.early, 10);
	window_fini(&w);
}

static void window_has_a_limit_of_entries(void **state)
{
	struct window w;

	(void)state;
	assert_true(window_init(&w, RING_BYTES, ENTRIES));
	for (uint64_t i = 0; i < ENTRIES; i++)
		put(&w, 1, i);
	assert_null(window_reserve(&w, 1, 0));
	window_at(&w, 0)->state = WINDOW_DONE;
	assert_non_null(window_reserve(&w, 1, 0));
	window_fini(&w);
}

/* Whatever the sizes and the order of acknowledgements, no packet is written over. */
static void window_never_overwrites_what_it_keeps(void **state)
{
	struct window w;
	struct rng rng;
	uint64_t number = 0;

	(void)state;
	rng_init(&rng, 3, 1);
	assert_true(window_init(&w, RING_BYTES, ENTRIES));
	for (int round = 0; round < 100000; round++) {
		size_t size = 1 + rng_below(&rng, 350);
		uint8_t *at = window_reserve(&w, size, 0);

		if (at != NULL && rng_below(&rng, 10) > 0) { /* else: reserved and not used */
			memset(at, (int)(number & 0xff), size);
			window_add(&w, size, 0, number++, 1);
		}
		for (uint64_t i = w.first; i < w.next; i++) {
			struct window_entry *e = window_at(&w, i);
			const uint8_t *packet = window_packet(&w, e);

			if (e->state != WINDOW_DONE) {
				assert_int_equal(packet[0], e->first & 0xff);
				assert_int_equal(packet[e->size - 1], e->first & 0xff);
			}
			if (rng_below(&rng, 4) == 0)
				e->state = WINDOW_DONE;
		}
	}
	assert_true(number > 50000);
	window_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_keeps_packets_until_they_are_done_and_in_the_way),
		cmocka_unit_test(window_counts_what_it_drops_too_early),
		cmocka_unit_test(window_has_a_limit_of_entries),
		cmocka_unit_test(window_never_overwrites_what_it_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
