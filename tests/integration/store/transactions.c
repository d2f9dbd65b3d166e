#include "cases.h"

/* A sampled value of the energy register, as OCPP 1.6 writes it. */
#define REGISTER(wh)                                                                               \
	"[{\"value\": \"" wh "\", \"measurand\": \"Energy.Active.Import.Register\", "              \
	"\"unit\": \"Wh\"}]"

static struct ocpp_transaction_report report(const char *station, const char *id,
	const struct ocpp_meter_value *values, size_t count)
{
	return (struct ocpp_transaction_report){
		.charge_station_id = station,
		.transaction_id = id,
		.id_token = "ABC",
		.id_token_type = "ISO14443",
		.seq_no = OCPP_NONE,
		.meter_values = values,
		.meter_values_count = count,
	};
}

static const struct ocpp_transaction *find(const char *station, const char *id)
{
	const struct ocpp_transaction *found;

	must_find(ocpp_transaction_find(store, station, id, &found, &err));
	return found;
}

static void transaction_is_created_updated_ended_and_found(void **state)
{
	const struct ocpp_meter_value values[] = {{AT(0), REGISTER("100")},
		{AT(60), REGISTER("150")}, {AT(120), REGISTER("200.5")}};
	struct ocpp_transaction_report t = report("X-1", "one", &values[0], 1);
	const struct ocpp_transaction *found;

	(void)state;
	must_not_find(ocpp_transaction_find(store, "X-1", "one", &found, &err));
	t.seq_no = 0;
	t.offline = true;
	must(ocpp_transaction_create(store, &t, &err));
	t.meter_values = &values[1];
	must(ocpp_transaction_update(store, &t, &err));
	t.meter_values = &values[2];
	t.seq_no = 2;
	t.reason = "EVDisconnected";
	must(ocpp_transaction_end(store, &t, &err));
	must(ocpp_transaction_set_cost(store, "X-1", "one", "0.550", &err));
	found = find("X-1", "one");
	assert_string_equal(found->id_token, "ABC");
	assert_string_equal(found->id_token_type, "ISO14443");
	assert_int_equal(found->started_at, AT(0));
	assert_int_equal(found->stopped_at, AT(120));
	assert_string_equal(found->stopped_reason, "EVDisconnected");
	assert_string_equal(found->meter_start, "100");
	assert_string_equal(found->meter_stop, "200.5");
	assert_int_equal(found->seq_no_start, 0);
	assert_int_equal(found->seq_no_stop, 2);
	assert_true(found->offline);
	assert_string_equal(found->total_cost, "0.550");
	assert_non_null(strstr(found->meter_values, "\"150\""));
	assert_true(
		strstr(found->meter_values, "\"100\"") < strstr(found->meter_values, "\"200.5\""));
	ocpp_free(found);
}

static void update_and_end_of_an_unknown_transaction_create_it(void **state)
{
	const struct ocpp_meter_value value = {AT(60), REGISTER("150")};
	struct ocpp_transaction_report t = report("X-2", "one", &value, 1);
	const struct ocpp_transaction *found;

	(void)state;
	must(ocpp_transaction_update(store, &t, &err));
	found = find("X-2", "one");
	assert_int_equal(found->started_at, 0);
	assert_null(found->id_token);
	ocpp_free(found);
	must(ocpp_transaction_end(store, &t, &err));
	t.time = AT(0);
	t.meter = "100";
	must(ocpp_transaction_create(store, &t, &err)); /* last of all */
	found = find("X-2", "one");
	assert_int_equal(found->started_at, AT(0));
	assert_int_equal(found->stopped_at, AT(60));
	assert_string_equal(found->meter_start, "100");
	assert_string_equal(found->meter_stop, "150");
	ocpp_free(found);
}

static void transaction_reported_twice_is_there_once(void **state)
{
	const struct ocpp_meter_value value = {AT(0), REGISTER("100")};
	struct ocpp_transaction_report t = report("X-3", "one", &value, 1);
	const struct ocpp_transaction *found;
	const char *first;

	(void)state;
	must(ocpp_transaction_create(store, &t, &err));
	must(ocpp_transaction_end(store, &t, &err));
	t.id_token = "OTHER";
	t.time = AT(500);
	must(ocpp_transaction_create(store, &t, &err));
	must(ocpp_transaction_end(store, &t, &err));
	found = find("X-3", "one");
	assert_string_equal(found->id_token, "ABC");
	assert_int_equal(found->started_at, AT(0));
	assert_int_equal(found->stopped_at, AT(0));
	first = strstr(found->meter_values, "\"100\"");
	assert_non_null(first);
	assert_null(strstr(first + 1, "\"100\""));
	ocpp_free(found);
}

static void one_transaction_id_on_two_stations_is_two_transactions(void **state)
{
	struct ocpp_transaction_report a = report("X-4", "same", NULL, 0);
	struct ocpp_transaction_report b = report("X-5", "same", NULL, 0);
	const struct ocpp_transaction *found;

	(void)state;
	b.id_token = "DEF";
	must(ocpp_transaction_create(store, &a, &err));
	must(ocpp_transaction_create(store, &b, &err));
	found = find("X-4", "same");
	assert_string_equal(found->id_token, "ABC");
	ocpp_free(found);
	found = find("X-5", "same");
	assert_string_equal(found->id_token, "DEF");
	ocpp_free(found);
}

static void failure_midway_stores_nothing_of_it(void **state)
{
	const struct ocpp_meter_value value = {AT(0), REGISTER("100")};
	struct ocpp_transaction_report t = report("X-6", "one", &value, 1);
	const struct ocpp_transaction *found;

	(void)state;
	t.meter = "a lot"; /* refused by the second statement */
	assert_false(ocpp_transaction_create(store, &t, &err));
	assert_int_equal(err.kind, ERROR_POISON);
	t.meter_values_count = 0;
	t.meter = NULL;
	must(ocpp_transaction_create(store, &t, &err));
	found = find("X-6", "one");
	assert_null(found->meter_values); /* nor the first statement's rows */
	ocpp_free(found);
}

static void registers_are_found_whatever_their_unit_and_place(void **state)
{
	static const struct {
		const char *samples;
		const char *wh;
	} cases[] = {
		{"[{\"value\": \"5\"}]", "5"}, /* all defaults */
		{"[{\"value\": \"1.5\", \"unit\": \"kWh\"}]", "1500.0"},
		{"[{\"value\": 2, \"unitOfMeasure\": {\"unit\": \"Wh\", \"multiplier\": 3}}]",
			"2000"},
		{"[{\"value\": \"9\", \"measurand\": \"Voltage\"}, {\"value\": \"7\"}]", "7"},
		{"[{\"value\": \"9\", \"phase\": \"L1\"}, {\"value\": \"7\"}]", "7"},
		{"[{\"value\": \"NaN\"}]", NULL},
		{"[]", NULL},
		{"{\"no\": \"array\"}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ocpp_meter_value value = {AT(0), cases[i].samples};
		struct ocpp_transaction_report t;
		const struct ocpp_transaction *found;
		char id[16];

		snprintf(id, sizeof(id), "%zu", i);
		t = report("X-7", id, &value, 1);
		must(ocpp_transaction_create(store, &t, &err));
		found = find("X-7", id);
		if (cases[i].wh == NULL)
			assert_null(found->meter_start);
		else
			assert_string_equal(found->meter_start, cases[i].wh);
		ocpp_free(found);
	}
}

static void transactions_are_listed_newest_first_page_by_page(void **state)
{
	enum { COUNT = 12 };
	struct ocpp_transaction_page page = {.charge_station_id = "XL-1", .limit = 5};
	const struct ocpp_transaction *before = NULL;
	int left = COUNT;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		const struct ocpp_meter_value value = {AT(i / 2), REGISTER("1")}; /* equal times */
		char id[16];
		struct ocpp_transaction_report t;

		snprintf(id, sizeof(id), "%d", i / 2 * 2 + (1 - i % 2)); /* ties by id */
		t = report("XL-1", id, &value, 1);
		must(ocpp_transaction_create(store, &t, &err));
	}
	for (size_t count = 5; count == 5;) {
		const struct ocpp_transaction *some;

		must(ocpp_transaction_list(store, &page, &some, &count, &err));
		for (size_t i = 0; i < count; i++) {
			int expected = (left - 1) / 2 * 2 + left % 2;

			assert_int_equal(strtol(some[i].transaction_id, NULL, 10), expected);
			assert_null(some[i].meter_values);
			left--;
		}
		ocpp_free(before);
		before = some;
		page.after = count > 0 ? &some[count - 1] : NULL;
	}
	ocpp_free(before);
	assert_int_equal(left, 0);
}

static void list_brings_meter_values_in_the_same_statement(void **state)
{
	const struct ocpp_meter_value value = {AT(0), REGISTER("4711")};
	struct ocpp_transaction_report t = report("XV-1", "one", &value, 1);
	struct ocpp_transaction_page page = {.limit = OCPP_ROWS_MAX, .with_values = true};
	struct ocpp_store_stats before, after;
	const struct ocpp_transaction *some;
	size_t count, with_values = 0;

	(void)state;
	must(ocpp_transaction_create(store, &t, &err));
	t.transaction_id = "two";
	must(ocpp_transaction_create(store, &t, &err));
	ocpp_store_get_stats(store, &before);
	must(ocpp_transaction_list(store, &page, &some, &count, &err));
	ocpp_store_get_stats(store, &after);
	for (size_t i = 0; i < count; i++) {
		with_values += strcmp(some[i].charge_station_id, "XV-1") == 0 &&
			       strstr(some[i].meter_values, "4711") != NULL;
	}
	assert_int_equal(with_values, 2);
	assert_int_equal(after.taken_total - before.taken_total, 1); /* one statement for all */
	ocpp_free(some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transaction_is_created_updated_ended_and_found),
		cmocka_unit_test(update_and_end_of_an_unknown_transaction_create_it),
		cmocka_unit_test(transaction_reported_twice_is_there_once),
		cmocka_unit_test(one_transaction_id_on_two_stations_is_two_transactions),
		cmocka_unit_test(failure_midway_stores_nothing_of_it),
		cmocka_unit_test(registers_are_found_whatever_their_unit_and_place),
		cmocka_unit_test(transactions_are_listed_newest_first_page_by_page),
		cmocka_unit_test(list_brings_meter_values_in_the_same_statement),
	};

	return cmocka_run_group_tests(tests, store_cases_open, store_cases_close);
}
