#include "unit.h"

#include "decode/topic.h"

static void topic_match_takes_the_first_pattern_that_fits(void **state)
{
	struct topic_patterns p = {.count = 0};
	struct topic t;
	struct error err;

	(void)state;
	assert_true(topic_patterns_add(&p, "+/{direction}/{version}/{station}", &err));
	assert_true(topic_patterns_add(&p, "ocpp/{station}/#", &err));
	assert_true(topic_match(&p, slice_from_cstr("cs/in/ocpp1.6/cs001"), &t));
	assert_int_equal(t.direction, TOPIC_IN);
	assert_slice_equal(t.version, "ocpp1.6");
	assert_slice_equal(t.station, "cs001");
	assert_true(topic_match(&p, slice_from_cstr("ocpp/KEBA 1/a/b/c"), &t));
	assert_slice_equal(t.station, "KEBA 1");
	assert_int_equal(t.direction, TOPIC_IN);
	assert_true(topic_match(&p, slice_from_cstr("cs/out/ocpp1.6/cs001"), &t));
	assert_int_equal(t.direction, TOPIC_OUT);
	assert_true(topic_match(&p, slice_from_cstr("cs/up/ocpp1.6/cs001"), &t));
	assert_int_equal(t.direction, TOPIC_NEITHER);
	assert_false(topic_match(&p, slice_from_cstr("cs/in/ocpp1.6"), &t));
	assert_false(topic_match(&p, slice_from_cstr("cs/in/ocpp1.6/"), &t));
	assert_false(topic_match(&p, slice_from_cstr("cs/in/ocpp1.6/cs001/more"), &t));
	assert_false(topic_match(&p, slice_from_cstr(""), &t));
}

static void topic_patterns_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {"a/{direction}", "{station}/#/x", "a/{statoin}/{station}",
		"a+/{station}", "", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/{station}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct topic_patterns p = {.count = 0};
		struct error err;

		assert_false(topic_patterns_add(&p, bad[i], &err));
		assert_int_equal(err.kind, ERROR_FATAL);
		assert_int_equal(p.count, 0);
	}
}

static bool fits(const struct topic_patterns *p, const char *filter)
{
	return topic_patterns_fit(p, slice_from_cstr(filter));
}

static void topic_filters_are_compared_with_patterns(void **state)
{
	static const char *const right[] = {"cs/in/+/+", "cs/+/ocpp1.6/cs001", "cs/#", "#",
		"+/+/+/+", "cs/store/+", "cs/store/token", "+/store/#", "ocpp/cs001",
		"ocpp/+/a/b/c", "ocpp/#", "cs/in/1.6/cs1/#"};
	static const char *const wrong[] = {"foo/+/bar", "cs/up/+/+", "cs/in/+", "cs/in/+/+/+",
		"cs", "+", "cs/store/", "cs/in/1.6/"};
	struct topic_patterns p = {.count = 0};
	struct error err;

	(void)state;
	assert_true(topic_patterns_add(&p, "+/{direction}/{version}/{station}", &err));
	assert_false(topic_pattern_lacks_version(&p));
	assert_true(topic_patterns_add(&p, "+/store/{entity}", &err));
	assert_false(topic_pattern_lacks_version(&p));
	assert_true(topic_patterns_add(&p, "ocpp/{station}/#", &err));
	assert_true(topic_pattern_lacks_version(&p));
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		if (!fits(&p, right[i]))
			fail_msg("%s", right[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (fits(&p, wrong[i]))
			fail_msg("%s", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(topic_match_takes_the_first_pattern_that_fits),
		cmocka_unit_test(topic_filters_are_compared_with_patterns),
		cmocka_unit_test(topic_patterns_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
