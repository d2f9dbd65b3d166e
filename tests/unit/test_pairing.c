#include "copy/pairing.h"
#include "rows/transaction.h"
#include "unit.h"

static struct arena arena;
static const struct pairing_limits limits = {.window_us = 60, .keep_us = 1000};

/* station "s", id "1"; who: digest and row of the half. */
static struct half made(char kind, int64_t at, int64_t who, const char *action, const char *trace,
	bool fresh)
{
	struct row *row = row_new(&arena, TABLE_exchange_halves);

	assert_non_null(row);
	cell_set_text(row, TABLE_exchange_halves_charge_station_id, slice_from_cstr("s"));
	cell_set_text(row, TABLE_exchange_halves_message_id, slice_from_cstr("1"));
	cell_set_number(row, TABLE_exchange_halves_half, kind);
	cell_set_number(row, TABLE_exchange_halves_received_at, at);
	cell_set_number(row, TABLE_exchange_halves_digest, who);
	cell_set_number(row, TABLE_exchange_halves_event_time, who);
	cell_set_text(row, TABLE_exchange_halves_action, slice_from_cstr(action));
	if (trace != NULL)
		cell_set_text(row, TABLE_exchange_halves_trace_id, slice_from_cstr(trace));
	return half_of(row, fresh);
}

static struct half call(int64_t at, int64_t who)
{
	return made('c', at, who, "Authorize", NULL, true);
}

static struct half result(int64_t at, int64_t who)
{
	return made('r', at, who, "", NULL, true);
}

/* The call, by its number, that the result at that time belongs to; 0 = none. */
static int64_t owner(struct half *halves, size_t count, int64_t result_at)
{
	struct pairs pairs;

	qsort(halves, count, sizeof(*halves), half_compare);
	assert_true(pairing_find(halves, count, &limits, &arena, &pairs));
	for (size_t i = 0; i < pairs.count; i++) {
		const struct pair *p = &pairs.pairs[i];

		if (p->result->received_us == result_at && p->call != NULL)
			return p->call->row->cells[TABLE_exchange_halves_digest].number;
	}
	return 0;
}

static void pairing_last_call_before_a_result_has_it(void **state)
{
	struct half halves[] = {call(10, 1), call(20, 2), result(25, 9), call(26, 3),
		result(30, 8)};

	(void)state;
	assert_int_equal(owner(halves, 5, 25), 2);
	assert_int_equal(owner(halves, 5, 30), 3);
}

static void pairing_result_that_came_first_belongs_to_the_next_call(void **state)
{
	struct half halves[] = {result(25, 9), call(26, 3), call(27, 4)};

	(void)state;
	assert_int_equal(owner(halves, 3, 25), 3);
}

static void pairing_trace_goes_before_time(void **state)
{
	struct half halves[] = {made('c', 1, 1, "Authorize", "a", true),
		made('c', 500, 2, "Authorize", "b", true),
		made('c', 501, 3, "Authorize", NULL, true),
		made('r', 502, 9, "Authorize", "a", true),
		made('r', 503, 8, "Authorize", "c", true)};

	(void)state;
	assert_int_equal(owner(halves, 5, 502), 1);
	assert_int_equal(owner(halves, 5, 503), 3); /* one with another trace is skipped */
}

static void pairing_late_result_needs_to_be_the_only_one(void **state)
{
	struct half alone[] = {call(0, 1), result(300, 9)};
	struct half copies[] = {call(0, 1), call(3, 1), result(300, 9), result(310, 9)};
	struct half calls[] = {call(0, 1), call(1200, 2), result(300, 9)};
	struct half results[] = {call(0, 1), result(300, 9), result(400, 8)};
	struct half far[] = {call(0, 1), result(1001, 9)};

	(void)state;
	assert_int_equal(owner(alone, 2, 300), 1);
	assert_int_equal(owner(copies, 4, 310), 1);
	assert_int_equal(owner(calls, 3, 300), 0);
	assert_int_equal(owner(results, 3, 300), 0);
	assert_int_equal(owner(far, 2, 1001), 0);
}

static void pairing_call_that_comes_late_takes_what_is_its_own(void **state)
{
	struct half halves[] = {call(10, 1), call(20, 2), result(12, 7), result(25, 9)};
	struct pairs pairs;

	(void)state;
	halves[0].fresh = halves[2].fresh = halves[3].fresh = false;
	qsort(halves, 4, sizeof(*halves), half_compare);
	assert_true(pairing_find(halves, 4, &limits, &arena, &pairs));
	assert_int_equal(pairs.count, 2);
	assert_int_equal(pairs.pairs[0].result->received_us, 25);
	assert_int_equal(pairs.pairs[0].call->received_us, 20);
	assert_int_equal(pairs.pairs[0].lost->received_us, 10);
	/* What the other call still has is reported again. */
	assert_int_equal(pairs.pairs[1].result->received_us, 12);
	assert_int_equal(pairs.pairs[1].call->received_us, 10);
	assert_null(pairs.pairs[1].lost);
}

/* Halves one by one, in any order: what each result has in the end is the same. */
static void pairing_order_of_arrival_does_not_matter(void **state)
{
	enum { COUNT = 12, ROUNDS = 2000 };

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct half halves[COUNT], sorted[COUNT];
		int64_t owners[COUNT + 1] = {0}, all[COUNT + 1] = {0};
		struct pairs pairs;

		srand(round);
		for (int i = 0; i < COUNT; i++)
			halves[i] = made(rand() % 2 ? 'c' : 'r', rand() % 600, i + 1, "Authorize",
				rand() % 4   ? NULL
				: rand() % 2 ? "a"
					     : "b",
				true);
		for (int n = 1; n <= COUNT; n++) {
			for (int i = 0; i < n; i++) {
				sorted[i] = halves[i];
				sorted[i].fresh = i == n - 1;
			}
			qsort(sorted, (size_t)n, sizeof(*sorted), half_compare);
			assert_true(pairing_find(sorted, (size_t)n, &limits, &arena, &pairs));
			for (size_t i = 0; i < pairs.count; i++) {
				const struct pair *p = &pairs.pairs[i];
				int64_t who =
					p->result->row->cells[TABLE_exchange_halves_digest].number;

				owners[who] = p->call == NULL ? 0 : p->call->received_us + 1;
			}
		}
		for (int i = 0; i < COUNT; i++)
			halves[i].fresh = true;
		qsort(halves, COUNT, sizeof(*halves), half_compare);
		assert_true(pairing_find(halves, COUNT, &limits, &arena, &pairs));
		for (size_t i = 0; i < pairs.count; i++) {
			const struct pair *p = &pairs.pairs[i];

			all[p->result->row->cells[TABLE_exchange_halves_digest].number] =
				p->call == NULL ? 0 : p->call->received_us + 1;
		}
		assert_memory_equal(owners, all, sizeof(all));
		arena_reset(&arena);
	}
}

static void pairing_answers_of_the_csms_count_for_the_nearest_few(void **state)
{
	struct half halves[40];
	struct pairs pairs;

	(void)state;
	for (int i = 0; i < 39; i++)
		halves[i] = made('C', i, i + 1, "Reset", NULL, true);
	halves[39] = made('R', 20, 99, "", NULL, true);
	qsort(halves, 40, sizeof(*halves), half_compare);
	assert_true(pairing_find_all(halves, 40, &limits, &arena, &pairs));
	assert_int_equal(pairs.count, PAIRING_ALL_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairing_last_call_before_a_result_has_it),
		cmocka_unit_test(pairing_result_that_came_first_belongs_to_the_next_call),
		cmocka_unit_test(pairing_trace_goes_before_time),
		cmocka_unit_test(pairing_late_result_needs_to_be_the_only_one),
		cmocka_unit_test(pairing_call_that_comes_late_takes_what_is_its_own),
		cmocka_unit_test(pairing_order_of_arrival_does_not_matter),
		cmocka_unit_test(pairing_answers_of_the_csms_count_for_the_nearest_few),
	};

	if (!arena_init(&arena, 64 << 20, 1 << 20))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
