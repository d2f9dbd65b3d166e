#include "rows/recent_calls.h"
#include "unit.h"

static struct error err;

static struct exchange_id exchange(const char *id, int64_t at, const char *trace)
{
	return (struct exchange_id){.station = slice_from_cstr("s"),
		.id = slice_from_cstr(id),
		.trace = slice_from_cstr(trace),
		.received_us = at};
}

static bool call(struct recent_calls *r, const char *id, int64_t at, const char *action)
{
	struct exchange_id e = exchange(id, at, "");

	return recent_calls_add(r, &e, slice_from_cstr(action));
}

static void named(struct recent_calls *r, const char *id, int64_t at, const char *action)
{
	struct exchange_id e = exchange(id, at, "");
	struct slice found = recent_calls_find(r, &e);

	assert_int_equal(slice_is_absent(found), action == NULL);
	assert_true(action == NULL || slice_equal_cstr(found, action));
}

static struct recent_calls *made(void)
{
	struct recent_calls *r;

	assert_true(recent_calls_new(&r, 60, &err));
	return r;
}

static void an_answer_is_of_the_last_call_before_it(void **state)
{
	struct recent_calls *r = made();

	(void)state;
	named(r, "1", 100, NULL);
	(void)call(r, "1", 100, "Heartbeat");
	(void)call(r, "1", 120, "Authorize");
	(void)call(r, "2", 121, "BootNotification");
	named(r, "1", 99, NULL);
	named(r, "1", 119, "Heartbeat");
	named(r, "1", 120, "Authorize");
	named(r, "1", 180, "Authorize");
	named(r, "1", 181, NULL); /* beyond the window */
	recent_calls_free(&r);
}

static void a_call_of_another_trace_or_side_is_passed_over(void **state)
{
	struct recent_calls *r = made();
	struct exchange_id e = exchange("1", 10, "a"), other = exchange("1", 11, "b");

	(void)state;
	(void)recent_calls_add(r, &e, slice_from_cstr("Heartbeat"));
	assert_true(slice_is_absent(recent_calls_find(r, &other)));
	other.trace = slice_from_cstr("");
	assert_false(slice_is_absent(recent_calls_find(r, &other)));
	other.by_csms = true;
	assert_true(slice_is_absent(recent_calls_find(r, &other)));
	recent_calls_free(&r);
}

/* The longest action has no place; then an answer must not get that of the call before. */
static void a_call_with_a_name_too_long_names_nothing(void **state)
{
	struct recent_calls *r = made();
	char name[100] = "";

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	(void)call(r, "1", 10, name);
	named(r, "1", 11, NULL);
	recent_calls_free(&r);
}

static void calls_leave_halves_only_while_there_is_reason_to(void **state)
{
	struct recent_calls *r = made();
	struct exchange_id e = exchange("waits", 700, "");
	uint32_t halves = 0;
	char id[32];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		halves += call(r, id, i, "MeterValues");
	}
	assert_in_range(halves, 1, 1000);
	recent_calls_miss(r, &e);
	assert_true(call(r, "next", 701, "MeterValues"));
	for (int i = 0; i < 100000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		(void)call(r, id, i, "MeterValues");
	}
	assert_false(call(r, "another", 702, "MeterValues"));
	assert_true(call(r, "waits", 703, "MeterValues")); /* an answer is there already */
	recent_calls_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_of_the_last_call_before_it),
		cmocka_unit_test(a_call_of_another_trace_or_side_is_passed_over),
		cmocka_unit_test(a_call_with_a_name_too_long_names_nothing),
		cmocka_unit_test(calls_leave_halves_only_while_there_is_reason_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
