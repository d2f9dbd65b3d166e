#include "unit.h"

#include "base/nearest.h"

static const char *nearest_of(const char *word)
{
	static const char *const names[] = {"replay", "run", "verify", "mqtt.url", "mqtt.user"};
	struct nearest n = {.word = word};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		nearest_try(&n, names[i]);
	return n.found == NULL ? "" : n.found;
}

static void nearest_is_what_was_meant(void **state)
{
	(void)state;
	assert_string_equal(nearest_of("replay"), "replay");
	assert_string_equal(nearest_of("replya"), "replay"); /* swapped */
	assert_string_equal(nearest_of("reply"), "replay");
	assert_string_equal(nearest_of("rnu"), "run");
	assert_string_equal(nearest_of("verifyy"), "verify");
	assert_string_equal(nearest_of("mqtt.ulr"), "mqtt.url");
	assert_string_equal(nearest_of("mqtt.usr"), "mqtt.user");
}

static void nearest_is_nothing_that_is_far(void **state)
{
	char endless[500];

	(void)state;
	assert_string_equal(nearest_of(""), "");
	assert_string_equal(nearest_of("x"), "");
	assert_string_equal(nearest_of("frobnicate"), "");
	memset(endless, 'r', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_string_equal(nearest_of(endless), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_is_what_was_meant),
		cmocka_unit_test(nearest_is_nothing_that_is_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
