#include "unit.h"
#include "unit_survives.h"

#include "base/clock.h"
#include "base/iso8601.h"
#include "copy/partitions.h"

static int64_t at(const char *text)
{
	int64_t us = 0;

	assert_int_equal(iso8601_parse(slice_from_cstr(text), &us), ISO8601_EXACT);
	return us;
}

static void a_name_is_table_and_day_or_month(void **state)
{
	static const struct {
		enum table_id table;
		const char *time, *name;
	} cases[] = {
		{TABLE_meter_values, "2026-01-31T23:59:59.999999Z", "meter_values_2026_01_31"},
		{TABLE_meter_values, "2026-02-01T00:00:00Z", "meter_values_2026_02_01"},
		{TABLE_meter_values, "2024-02-29T12:00:00Z", "meter_values_2024_02_29"},
		{TABLE_meter_values, "1969-12-31T23:59:59.999999Z", "meter_values_1969_12_31"},
		{TABLE_transactions, "2025-12-31T23:59:59.999999Z", "transactions_2025_12"},
		{TABLE_transactions, "2026-01-01T00:00:00Z", "transactions_2026_01"},
		{TABLE_transaction_events, "1970-01-01T00:00:00Z", "transaction_events_1970_01"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct partition p = partition_of(cases[i].table, at(cases[i].time)), parsed;
		char name[PARTITION_NAME_BYTES];

		partition_name(p, name);
		assert_string_equal(name, cases[i].name);
		assert_true(partition_name_parse(name, &parsed));
		assert_int_equal(parsed.table, p.table);
		assert_int_equal(parsed.number, p.number);
		assert_true(partition_time(p) <= at(cases[i].time));
		assert_int_equal(partition_of(p.table, partition_time(p)).number, p.number);
		assert_int_equal(partition_of(p.table, partition_time(p) - 1).number, p.number - 1);
	}
}

static void what_has_no_date_has_a_partition_of_its_own(void **state)
{
	struct partition p = partition_of(TABLE_meter_values, TIME_UNDATED), parsed;
	char name[PARTITION_NAME_BYTES];

	(void)state;
	partition_name(p, name);
	assert_string_equal(name, "meter_values_undated");
	assert_int_equal(p.number, PARTITION_UNDATED);
	assert_true(partition_time(p) == TIME_UNDATED);
	assert_true(partition_name_parse(name, &parsed));
	assert_int_equal(parsed.table, TABLE_meter_values);
	assert_int_equal(parsed.number, PARTITION_UNDATED);
}

static void other_names_are_none(void **state)
{
	static const char *const names[] = {"", "meter_values", "meter_values_", "pg_class",
		"meter_values_2026_01", "meter_values_2026_01_31x", "meter_values_2026_13_01",
		"transactions_2026_00", "transactions_2026_01_01", "connector_status_2026_01",
		/* what reads as a day, but is not how we write it */
		"meter_values_2026_1_31", "meter_values_2026_02_31", "meter_values_2026_01_00",
		"meter_values_ 2026_01_31", "meter_values_2026_01_+1", "transactions_2026_1"};
	struct partition p;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_false(partition_name_parse(names[i], &p));
}

static void outside_of_the_window_only_so_many_are_made(void **state)
{
	struct partition far = partition_of(TABLE_meter_values, at("2011-01-01T00:00:00Z"));
	struct partition later = {far.table, far.number + 1}, third = {far.table, far.number + 2};
	struct partition other = partition_of(TABLE_ocpp_events, at("2011-01-01T00:00:00Z"));
	struct partition today = partition_of(TABLE_meter_values, clock_wall_us());
	struct partition undated = {TABLE_meter_values, PARTITION_UNDATED};
	struct partitions *ps;
	struct error err;

	(void)state;
	assert_true(partitions_new(&ps, 2, &err));
	assert_true(partitions_admit(ps, far) && partitions_admit(ps, later));
	assert_false(partitions_has(ps, far)); /* it may be made, but is not there yet */
	assert_false(partitions_admit(ps, third));
	assert_true(partitions_admit(ps, far));
	assert_true(partitions_admit(ps, today) && partitions_admit(ps, undated));
	assert_true(partitions_admit(ps, other)); /* each table has its own limit */
	partitions_add(ps, third);
	assert_true(partitions_has(ps, third) && partitions_admit(ps, third));
	partitions_forget(ps);
	assert_false(partitions_has(ps, third));
	assert_false(partitions_admit(ps, third)); /* the first two may be made any time */
	partitions_add(ps, far);
	partitions_add(ps, later);
	partitions_forget(ps); /* they may be gone as well */
	assert_true(partitions_admit(ps, third));
	partitions_free(&ps);
}

static void what_is_detached_takes_no_rows_until_it_is_attached(void **state)
{
	struct partition today = partition_of(TABLE_meter_values, clock_wall_us());
	struct partitions *ps;
	struct error err;

	(void)state;
	assert_true(partitions_new(&ps, 2, &err));
	assert_false(partitions_is_detached(ps, today));
	partitions_enter(ps, today, PARTITION_DETACHED);
	assert_true(partitions_is_detached(ps, today));
	assert_false(partitions_has(ps, today));
	assert_false(partitions_admit(ps, today));
	partitions_add(ps, today);
	assert_false(partitions_is_detached(ps, today));
	assert_true(partitions_has(ps, today) && partitions_admit(ps, today));
	partitions_free(&ps);
}

static void what_is_loaded_is_not_there_yet(void **state)
{
	struct partition day = partition_of(TABLE_meter_values, at("2011-01-31T10:00:00Z"));
	struct partition far = {day.table, day.number + 1}, third = {day.table, day.number + 2};
	char name[PARTITION_NAME_BYTES];
	struct partition none;
	struct partitions *ps;
	struct error err;

	(void)state;
	partition_loading_name(day, name);
	assert_string_equal(name, "meter_values_2011_01_31_loading");
	assert_false(partition_name_parse(name, &none));
	assert_true(partitions_new(&ps, 2, &err));
	partitions_enter(ps, day, PARTITION_LOADING);
	assert_true(partitions_is_loading(ps, day) && partitions_admit(ps, day));
	assert_false(partitions_has(ps, day));
	partitions_forget(ps); /* its rows wait: nobody else takes its place */
	assert_true(partitions_admit(ps, far) && !partitions_admit(ps, third));
	assert_false(partitions_is_loading(ps, day));
	partitions_promise(ps, third); /* as the database says */
	assert_true(partitions_admit(ps, third));
	partitions_add(ps, far);
	partitions_promise(ps, far);
	assert_true(partitions_has(ps, far));
	partitions_enter(ps, day, PARTITION_ADMITTED); /* somebody else may make it now */
	assert_false(partitions_is_loading(ps, day) || partitions_has(ps, day));
	partitions_enter(ps, day, PARTITION_LOADING);
	partitions_enter(ps, day, PARTITION_ENDING);
	partitions_add(ps, day);
	assert_true(partitions_has(ps, day) && !partitions_is_loading(ps, day));
	partitions_free(&ps);
}

/* The table of partitions.h once more, as text: what may follow each state. */
static const struct {
	const char *name, *next;
} transitions[PARTITION_STATES] = {
	[PARTITION_UNKNOWN] = {"UNKNOWN", "ADMITTED LOADING THERE DETACHED"},
	[PARTITION_ADMITTED] = {"ADMITTED", "LOADING THERE DETACHED UNKNOWN"},
	[PARTITION_LOADING] = {"LOADING", "ENDING ADMITTED"},
	[PARTITION_ENDING] = {"ENDING", "ATTACHING MOVING THERE DETACHED ADMITTED"},
	[PARTITION_ATTACHING] = {"ATTACHING", "THERE ADMITTED LOADING MOVING DETACHED"},
	[PARTITION_MOVING] = {"MOVING", "THERE ATTACHING"},
	[PARTITION_THERE] = {"THERE", "UNKNOWN LOADING DETACHED"},
	[PARTITION_DETACHED] = {"DETACHED", "UNKNOWN LOADING THERE"},
};

static const struct partition some_day = {TABLE_meter_values, 20000};

/* A map that has one partition, in that state. */
static struct partitions *in_state(enum partition_state state)
{
	static const enum partition_state ways[PARTITION_STATES][3] = {
		[PARTITION_ADMITTED] = {PARTITION_ADMITTED},
		[PARTITION_LOADING] = {PARTITION_LOADING},
		[PARTITION_ENDING] = {PARTITION_LOADING, PARTITION_ENDING},
		[PARTITION_ATTACHING] = {PARTITION_LOADING, PARTITION_ENDING, PARTITION_ATTACHING},
		[PARTITION_MOVING] = {PARTITION_LOADING, PARTITION_ENDING, PARTITION_MOVING},
		[PARTITION_THERE] = {PARTITION_THERE},
		[PARTITION_DETACHED] = {PARTITION_DETACHED},
	};
	struct partitions *ps;
	struct error err;

	assert_true(partitions_new(&ps, UINT32_MAX, &err));
	for (int i = 0; i < 3 && ways[state][i] != PARTITION_UNKNOWN; i++)
		partitions_enter(ps, some_day, ways[state][i]);
	assert_int_equal(partitions_state(ps, some_day), state);
	return ps;
}

static void step(void *context, unsigned to)
{
	struct partitions *ps = context;

	partitions_enter(ps, some_day, (enum partition_state)to);
	CHECK(partitions_state(ps, some_day) == (enum partition_state)to);
}

static void every_step_is_in_the_table_or_ends_the_process(void **state)
{
	(void)state;
	for (int from = 0; from < PARTITION_STATES; from++) {
		struct partitions *ps = in_state((enum partition_state)from);

		for (int to = 0; to < PARTITION_STATES; to++) {
			bool allowed = strstr(transitions[from].next, transitions[to].name) != NULL;

			assert_int_equal(partition_may_follow((enum partition_state)from,
						 (enum partition_state)to),
				allowed);
			/* A state may be entered again; UNKNOWN only by forgetting. */
			assert_int_equal(survives(step, ps, (unsigned)to),
				from == to || (allowed && to != PARTITION_UNKNOWN));
		}
		partitions_free(&ps);
	}
}

static void what_is_forgotten_depends_on_who_works_at_it(void **state)
{
	static const enum partition_state forgotten[PARTITION_STATES][2] = {
		/* the session is over, or goes on */
		[PARTITION_UNKNOWN] = {PARTITION_UNKNOWN, PARTITION_UNKNOWN},
		[PARTITION_ADMITTED] = {PARTITION_ADMITTED, PARTITION_ADMITTED},
		[PARTITION_LOADING] = {PARTITION_ADMITTED, PARTITION_LOADING},
		[PARTITION_ENDING] = {PARTITION_ADMITTED, PARTITION_ENDING},
		[PARTITION_ATTACHING] = {PARTITION_ATTACHING, PARTITION_ATTACHING},
		[PARTITION_MOVING] = {PARTITION_ATTACHING, PARTITION_ATTACHING},
		[PARTITION_THERE] = {PARTITION_UNKNOWN, PARTITION_UNKNOWN},
		[PARTITION_DETACHED] = {PARTITION_UNKNOWN, PARTITION_UNKNOWN},
	};

	(void)state;
	for (int from = 0; from < PARTITION_STATES; from++) {
		for (int i = 0; i < 2; i++) {
			struct partitions *ps = in_state((enum partition_state)from);
			struct partition p;
			enum partition_state to = forgotten[from][i];

			(i == 0 ? partitions_forget : partitions_doubt)(ps);
			assert_int_equal(partitions_state(ps, some_day), to);
			assert_true(to == (enum partition_state)from ||
				    partition_may_follow((enum partition_state)from, to));
			assert_int_equal(partitions_count_filled(ps),
				to == PARTITION_LOADING || to == PARTITION_ENDING);
			assert_int_equal(partitions_find_attaching(ps, &p),
				to == PARTITION_ATTACHING);
			partitions_free(&ps);
		}
	}
}

static void table_without_rows_is_given_up_and_attached(void **state)
{
	struct partitions *ps = in_state(PARTITION_LOADING);
	struct partition p, busy = {TABLE_meter_values, 20001};

	(void)state;
	partitions_enter(ps, busy, PARTITION_LOADING);
	for (uint32_t i = 0; i < 3; i++) {
		partitions_begin_batch(ps);
		partitions_use(ps, busy);
		if (i == 0)
			partitions_use(ps, some_day);
		assert_false(partitions_find_idle(ps, 2, &p));
		partitions_batch_stored(ps);
	}
	partitions_begin_batch(ps);
	assert_true(partitions_find_idle(ps, 2, &p) && partition_is_same(p, some_day));
	partitions_use(ps, some_day); /* a row comes after all */
	assert_false(partitions_find_idle(ps, 2, &p));
	partitions_begin_batch(ps); /* that batch failed */
	partitions_enter(ps, some_day, PARTITION_ENDING);
	assert_false(partitions_find_idle(ps, 2, &p));
	assert_false(partitions_find_attaching(ps, &p));
	partitions_batch_stored(ps);
	assert_int_equal(partitions_state(ps, some_day), PARTITION_ATTACHING);
	assert_true(partitions_find_attaching(ps, &p) && partition_is_same(p, some_day));
	assert_int_equal(partitions_count_filled(ps), 1);
	partitions_end_attaching(ps, some_day, true);
	assert_true(partitions_has(ps, some_day) && !partitions_is_renamed(ps, some_day));
	assert_false(partitions_find_attaching(ps, &p));

	/* The batch that gives it up fails: whether the server heard of it is unknown. */
	partitions_enter(ps, busy, PARTITION_ENDING);
	partitions_begin_batch(ps);
	assert_int_equal(partitions_state(ps, busy), PARTITION_ADMITTED);
	partitions_free(&ps);
}

static void partition_that_is_made_meanwhile_gets_the_rows_of_the_table(void **state)
{
	struct partitions *ps = in_state(PARTITION_ATTACHING);
	struct partition p;

	(void)state;
	partitions_add_renamed(ps, some_day);
	assert_int_equal(partitions_state(ps, some_day), PARTITION_MOVING);
	assert_true(partitions_has(ps, some_day) && partitions_is_renamed(ps, some_day));
	assert_true(partitions_find_attaching(ps, &p) && partition_is_same(p, some_day));
	partitions_end_attaching(ps, some_day, false);
	assert_int_equal(partitions_state(ps, some_day), PARTITION_THERE);
	assert_true(partitions_is_renamed(ps, some_day)); /* its rows still go by its table */
	partitions_end_attaching(ps, some_day, false);    /* somebody was faster: nothing more */
	assert_int_equal(partitions_state(ps, some_day), PARTITION_THERE);
	partitions_free(&ps);

	/* Its rows come again: they are loaded, and the attacher has nothing to do with it. */
	ps = in_state(PARTITION_ATTACHING);
	partitions_enter(ps, some_day, PARTITION_LOADING);
	assert_false(partitions_find_attaching(ps, &p));
	partitions_end_attaching(ps, some_day, false);
	assert_true(partitions_is_loading(ps, some_day));
	partitions_free(&ps);
}

static void attacher_gets_them_in_order_and_only_so_many(void **state)
{
	struct partitions *ps;
	struct partition p;
	struct error err;

	(void)state;
	assert_true(partitions_new(&ps, UINT32_MAX, &err));
	for (int32_t i = 0; i <= PARTITIONS_ATTACHING_MAX; i++) {
		struct partition day = {TABLE_meter_values, 20000 + i};
		bool room = i < PARTITIONS_ATTACHING_MAX;

		partitions_enter(ps, day, PARTITION_LOADING);
		partitions_enter(ps, day, PARTITION_ENDING);
		if (i % 2 == 0) {
			partitions_batch_stored(ps);
			assert_int_equal(partitions_state(ps, day),
				room ? PARTITION_ATTACHING : PARTITION_ADMITTED);
		} else {
			partitions_add(ps, day);
			assert_int_equal(partitions_state(ps, day), PARTITION_MOVING);
		}
	}
	for (int32_t i = 0; i < PARTITIONS_ATTACHING_MAX; i++) {
		assert_true(partitions_find_attaching(ps, &p));
		assert_int_equal(p.number, 20000 + i);
		partitions_end_attaching(ps, p, false);
	}
	assert_false(partitions_find_attaching(ps, &p));
	partitions_free(&ps);
}

static void full_map_forgets_but_not_what_is_under_way(void **state)
{
	struct partitions *ps = in_state(PARTITION_LOADING);
	struct partition attaching = {TABLE_meter_values, 20001}, p;

	(void)state;
	partitions_enter(ps, attaching, PARTITION_LOADING);
	partitions_enter(ps, attaching, PARTITION_ENDING);
	partitions_enter(ps, attaching, PARTITION_ATTACHING);
	for (int32_t i = 0; i < 40000; i++)
		partitions_add(ps, (struct partition){TABLE_ocpp_events, i});
	assert_false(partitions_has(ps, (struct partition){TABLE_ocpp_events, 0}));
	assert_true(partitions_has(ps, (struct partition){TABLE_ocpp_events, 39999}));
	assert_true(partitions_is_loading(ps, some_day));
	assert_true(partitions_find_attaching(ps, &p) && partition_is_same(p, attaching));
	partitions_free(&ps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_table_and_day_or_month),
		cmocka_unit_test(what_has_no_date_has_a_partition_of_its_own),
		cmocka_unit_test(other_names_are_none),
		cmocka_unit_test(outside_of_the_window_only_so_many_are_made),
		cmocka_unit_test(what_is_detached_takes_no_rows_until_it_is_attached),
		cmocka_unit_test(what_is_loaded_is_not_there_yet),
		cmocka_unit_test(every_step_is_in_the_table_or_ends_the_process),
		cmocka_unit_test(what_is_forgotten_depends_on_who_works_at_it),
		cmocka_unit_test(table_without_rows_is_given_up_and_attached),
		cmocka_unit_test(partition_that_is_made_meanwhile_gets_the_rows_of_the_table),
		cmocka_unit_test(attacher_gets_them_in_order_and_only_so_many),
		cmocka_unit_test(full_map_forgets_but_not_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
