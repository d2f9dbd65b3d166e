#include "unit.h"

#include "base/limits.h"
#include "daemon/poison.h"

static struct error why;
static struct poison_set set;

static int clear(void **state)
{
	(void)state;
	poison_fini(&set);
	error_set(&why, ERROR_POISON, REASON_constraint, "not this one");
	memcpy(why.sqlstate, "23514", 6);
	return 0;
}

static enum poison_added add(uint64_t seq, uint32_t index)
{
	return poison_add(&set, seq, index, false, &why);
}

static void poison_add_holds_all_messages_of_a_record(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < DECODE_MESSAGES_MAX; i++)
		assert_int_equal(add(7, i), POISON_NEWS);
	for (uint32_t i = 0; i < DECODE_MESSAGES_MAX; i++) {
		const struct poison *p = poison_find(&set, 7, i);

		assert_non_null(p);
		assert_int_equal(p->index, i);
	}
	assert_null(poison_find(&set, 7, DECODE_MESSAGES_MAX));
	assert_null(poison_find(&set, 8, 0));
}

static void poison_add_says_when_it_is_full_and_keeps_what_it_has(void **state)
{
	uint64_t seq = 0;

	(void)state;
	while (add(++seq, 0) == POISON_NEWS)
		;
	assert_int_equal(add(seq, 0), POISON_FULL);
	assert_true(seq > DECODE_MESSAGES_MAX);
	for (uint64_t known = 1; known < seq; known++)
		assert_non_null(poison_find(&set, known, 0));
	/* What is stored makes room. */
	poison_forget(&set, seq - 2);
	assert_int_equal(set.count, 1);
	assert_non_null(poison_find(&set, seq - 1, 0));
	assert_int_equal(add(seq, 0), POISON_NEWS);
	poison_forget(&set, UINT64_MAX);
	assert_int_equal(set.count, 0);
}

static void poison_add_tells_news_from_what_is_known(void **state)
{
	struct error out;

	(void)state;
	assert_null(poison_find(&set, 1, POISON_WHOLE_RECORD));
	assert_int_equal(add(1, POISON_WHOLE_RECORD), POISON_NEWS);
	assert_int_equal(add(1, POISON_WHOLE_RECORD), POISON_KNOWN);
	assert_int_equal(poison_add(&set, 1, POISON_WHOLE_RECORD, true, &why), POISON_NEWS);
	assert_int_equal(poison_add(&set, 1, POISON_WHOLE_RECORD, true, &why), POISON_KNOWN);
	assert_true(poison_find(&set, 1, POISON_WHOLE_RECORD)->bare);
	poison_error(poison_find(&set, 1, POISON_WHOLE_RECORD), &out);
	assert_int_equal(out.kind, ERROR_POISON);
	assert_string_equal(out.reason, "constraint");
	assert_string_equal(out.message, "not this one");
	assert_string_equal(out.sqlstate, "23514");
}

/* Counters, documents and alerts know reasons: those of other errors are not among them. */
static void poison_add_has_one_reason_for_what_the_server_does_not_call_poison(void **state)
{
	struct error timeout, out;

	(void)state;
	error_set(&timeout, ERROR_TRANSIENT, REASON_timeout, "canceling statement");
	assert_int_equal(poison_add(&set, 1, 0, false, &timeout), POISON_NEWS);
	poison_error(poison_find(&set, 1, 0), &out);
	assert_string_equal(out.reason, "constraint");
	assert_string_equal(out.message, "canceling statement");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(poison_add_holds_all_messages_of_a_record, clear),
		cmocka_unit_test_setup(poison_add_says_when_it_is_full_and_keeps_what_it_has,
			clear),
		cmocka_unit_test_setup(poison_add_tells_news_from_what_is_known, clear),
		cmocka_unit_test_setup(
			poison_add_has_one_reason_for_what_the_server_does_not_call_poison, clear),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	poison_fini(&set);
	return failed;
}
