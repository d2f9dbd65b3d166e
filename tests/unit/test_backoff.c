#include "unit.h"

#include "base/backoff.h"

static void backoff_waits_stay_between_base_and_cap(void **state)
{
	struct backoff b;

	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		int64_t longest = 0;

		backoff_init(&b, 100, 30000, seed);
		for (int i = 0; i < 100; i++) {
			int64_t wait = backoff_next_us(&b);

			assert_in_range(wait, 100, 30000);
			if (wait > longest)
				longest = wait;
		}
		assert_true(longest > 10000);
	}
}

static void backoff_reset_starts_small_again(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 100, 30000, 42);
	for (int i = 0; i < 50; i++)
		backoff_next_us(&b);
	backoff_reset(&b);
	assert_in_range(backoff_next_us(&b), 100, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backoff_waits_stay_between_base_and_cap),
		cmocka_unit_test(backoff_reset_starts_small_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
