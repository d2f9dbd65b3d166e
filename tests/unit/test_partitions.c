#include "unit.h"

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
		"transactions_2026_00", "transactions_2026_01_01", "connector_status_2026_01"};
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
	partitions_add_detached(ps, today);
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
	partitions_add_loading(ps, day);
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
	partitions_end_loading(ps, day); /* somebody else may make it now */
	assert_false(partitions_is_loading(ps, day) || partitions_has(ps, day));
	partitions_add_loading(ps, day);
	partitions_add(ps, day);
	assert_true(partitions_has(ps, day) && !partitions_is_loading(ps, day));
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
