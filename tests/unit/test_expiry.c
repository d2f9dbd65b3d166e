#include "unit.h"

#include "base/clock.h"
#include "base/iso8601.h"
#include "rows/rows.h"

static int64_t at(const char *text)
{
	int64_t us = 0;

	assert_int_equal(iso8601_parse(slice_from_cstr(text), &us), ISO8601_EXACT);
	return us;
}

static void expired_is_what_is_before_a_partition_that_stays(void **state)
{
	static const struct {
		const char *now, *day, *month;
	} cases[] = {
		{"2026-04-10T00:00:00Z", "2026-03-11T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"2026-04-10T23:59:59.999999Z", "2026-03-11T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"2026-03-31T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"2026-03-30T23:59:59.999999Z", "2026-02-28T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"2026-01-30T12:00:00Z", "2025-12-31T00:00:00Z", "2025-12-01T00:00:00Z"},
	};
	struct rows_builder b = {.schemas = NULL};

	(void)state;
	b.options.retention_us[TABLE_meter_values] = 30 * US_PER_DAY;
	b.options.retention_us[TABLE_ocpp_events] = 30 * US_PER_DAY;
	b.options.retention_us[TABLE_authorizations] = 100 * 365 * US_PER_DAY;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		rows_set_now(&b, at(cases[i].now));
		assert_int_equal(b.expired_before_us[TABLE_meter_values], at(cases[i].day));
		assert_int_equal(b.expired_before_us[TABLE_ocpp_events], at(cases[i].month));
		/* Forever, or since before there was OCPP. */
		assert_int_equal(b.expired_before_us[TABLE_transaction_events], 0);
		assert_int_equal(b.expired_before_us[TABLE_authorizations], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expired_is_what_is_before_a_partition_that_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
