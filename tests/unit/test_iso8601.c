#include "unit.h"

#include "base/iso8601.h"

static void iso8601_parse_knows_every_form(void **state)
{
	static const struct {
		const char *text;
		enum iso8601_kind form;
		const char *instant;
	} cases[] = {
		{"2023-09-18T08:25:40.20Z", ISO8601_EXACT, "2023-09-18T08:25:40.2Z"},
		{"2023-09-18t08:25:40z", ISO8601_EXACT, "2023-09-18T08:25:40Z"},
		{"2023-09-18 08:25:40+02:00", ISO8601_EXACT, "2023-09-18T06:25:40Z"},
		{"2023-09-18T08:25:40-0530", ISO8601_EXACT, "2023-09-18T13:55:40Z"},
		{"2023-09-18T08:25:40+14", ISO8601_EXACT, "2023-09-17T18:25:40Z"},
		{"2023-09-18T08:25Z", ISO8601_EXACT, "2023-09-18T08:25:00Z"},
		{"2023-09-18T08:25:40.123456Z", ISO8601_EXACT, "2023-09-18T08:25:40.123456Z"},
		{"2023-09-18T08:25:40.123456000Z", ISO8601_EXACT, "2023-09-18T08:25:40.123456Z"},
		{"2023-09-18T08:25:40,5Z", ISO8601_EXACT, "2023-09-18T08:25:40.5Z"},
		{"2023-09-18T08:25:40.123456789Z", ISO8601_ADJUSTED, "2023-09-18T08:25:40.123456Z"},
		{"2023-09-18T24:00:00Z", ISO8601_ADJUSTED, "2023-09-19T00:00:00Z"},
		{"2016-12-31T23:59:60Z", ISO8601_ADJUSTED, "2017-01-01T00:00:00Z"},
		{"2023-09-18T08:25:40", ISO8601_ZONELESS, "2023-09-18T08:25:40Z"},
		{"2024-02-29T00:00:00Z", ISO8601_EXACT, "2024-02-29T00:00:00Z"},
		{"1970-01-01T00:00:00Z", ISO8601_EXACT, "1970-01-01T00:00:00Z"},
		{"1969-12-31T23:59:59.5Z", ISO8601_EXACT, "1969-12-31T23:59:59.5Z"},
		{"9999-12-31T23:59:59Z", ISO8601_EXACT, "9999-12-31T23:59:59Z"},
		{"0001-01-01T00:00:00Z", ISO8601_EXACT, "0001-01-01T00:00:00Z"},
		{"2023-02-29T00:00:00Z", ISO8601_INVALID, NULL},
		/* Beyond the four digits of a year, seen from Greenwich. */
		{"9999-12-31T23:59:60Z", ISO8601_INVALID, NULL},
		{"9999-12-31T23:00:00-02:00", ISO8601_INVALID, NULL},
		{"0000-01-01T00:00:00+01:00", ISO8601_INVALID, NULL},
		{"2000-00-00T00:00:00Z", ISO8601_INVALID, NULL},
		{"0000-00-00", ISO8601_INVALID, NULL},
		{"2023-13-01T00:00:00Z", ISO8601_INVALID, NULL},
		{"2023-09-31T00:00:00Z", ISO8601_INVALID, NULL},
		{"2023-09-18T24:00:01Z", ISO8601_INVALID, NULL},
		{"2023-09-18T25:00:00Z", ISO8601_INVALID, NULL},
		{"2023-09-18T08:60:00Z", ISO8601_INVALID, NULL},
		{"2023-09-18T08:25:61Z", ISO8601_INVALID, NULL},
		{"2023-09-18T08:25:40.Z", ISO8601_INVALID, NULL},
		{"2023-09-18T08:25:40Zx", ISO8601_INVALID, NULL},
		{"2023-09-18T08:25:40+1", ISO8601_INVALID, NULL},
		{"2023-09-18T08:25:40+24:00", ISO8601_INVALID, NULL},
		{"2023-09-18", ISO8601_INVALID, NULL},
		{"18.09.2023 08:25", ISO8601_INVALID, NULL},
		{"", ISO8601_INVALID, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char out[ISO8601_BYTES];
		int64_t us = 77;

		assert_int_equal(iso8601_parse(slice_from_cstr(cases[i].text), &us), cases[i].form);
		if (cases[i].instant == NULL) {
			assert_int_equal(us, 77);
			continue;
		}
		assert_int_equal(iso8601_format(us, out), strlen(cases[i].instant));
		assert_string_equal(out, cases[i].instant);
	}
}

static void iso8601_every_day_of_a_millennium_comes_back(void **state)
{
	int64_t first = iso8601_days(1900, 1, 1), year;
	int month, day;

	(void)state;
	assert_int_equal(iso8601_days(1970, 1, 1), 0);
	assert_int_equal(iso8601_days(2000, 3, 1), 11017);
	for (int64_t days = first; days < first + 365250; days++) {
		iso8601_date(days, &year, &month, &day);
		assert_int_equal(iso8601_days(year, month, day), days);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iso8601_parse_knows_every_form),
		cmocka_unit_test(iso8601_every_day_of_a_millennium_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
