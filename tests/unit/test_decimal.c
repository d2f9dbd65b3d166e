#include "unit.h"

#include "base/bytes.h"
#include "base/decimal.h"

#include <float.h>
#include <math.h>

static enum decimal_kind form_of(const char *text)
{
	struct decimal d;

	return decimal_parse(slice_from_cstr(text), &d);
}

static void decimal_plain_is_what_numeric_gives_back(void **state)
{
	static const char *const plain[] = {"0", "1", "-1", "1532", "165544.5", "1.10", "0.000",
		"-0.5", "12345678901234567890123456789012345678"};
	static const char *const other[] = {"1e3", "1E-3", "+5.10", "007", "-0", "-0.00", ".5",
		"5.", " 5", "5 ", "00", "123456789012345678901234567890123456789", "1.5e+2"};
	static const char *const none[] = {"", " ", "-", "+", ".", "NaN", "nan", "inf", "Infinity",
		"1,5", "0x10", "1e", "1e+", "--1", "1 2", "1.2.3", "e5", "5Wh", "1e200000",
		"1e-20000", "\xd9\xa1"};

	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		assert_int_equal(form_of(plain[i]), DECIMAL_PLAIN);
	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
		assert_int_equal(form_of(other[i]), DECIMAL_OTHER);
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(form_of(none[i]), DECIMAL_NONE);
}

/* Bytes as numeric_send() of PostgreSQL 15 gives them: select encode(numeric_send(x), 'hex'). */
static void decimal_to_numeric_matches_postgresql(void **state)
{
	static const struct {
		const char *text, *hex;
	} cases[] = {
		{"0", "0000000000000000"},
		{"0.000", "0000000000000003"},
		{"1", "00010000000000000001"},
		{"-1", "00010000400000000001"},
		{"10000", "00010001000000000001"},
		{"1532", "000100000000000005fc"},
		{"165544.5", "0003000100000001001015a81388"},
		{"1.10", "000200000000000200010"
			 "3e8"},
		{"0.0001", "0001ffff000000040001"},
		{"0.00012", "0002ffff0000000500"
			    "0107d0"},
		{"0.00001", "0001fffe0000000503e8"},
		{"1e3", "000100000000000003e8"},
		{"1.5e+2", "00010000000000000096"},
		{"1.50e1", "0001000000000001000f"},
		{"12e-3", "0001ffff000000030078"},
		{"1e20", "00010005000000000001"},
		{"007.5", "0002000000000001000"
			  "71388"},
		{"-0", "0000000000000000"},
		{"100000000", "00010002000000000001"},
		{"123456789.123456789", "0006000200000009000109291a8504d2162e2328"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct decimal d;
		uint8_t out[256];
		char hex[512];
		size_t n;

		assert_int_not_equal(decimal_parse(slice_from_cstr(cases[i].text), &d),
			DECIMAL_NONE);
		n = decimal_to_numeric(&d, out);
		assert_true(n <= decimal_numeric_bytes_max(&d));
		for (size_t j = 0; j < n; j++)
			snprintf(hex + 2 * j, 3, "%02x", out[j]);
		assert_string_equal(hex, cases[i].hex);
	}
}

static void decimal_from_double_reads_back_and_is_short(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"}, {1, "1"}, {-1.5, "-1.5"}, {15320.5, "15320.5"}, {0.1, "0.1"},
		{1e3, "1000"}, {230.12, "230.12"}, {-0.0, "-0"}, {1e300, "1e+300"}, {0.3, "0.3"},
		{1.0 / 3, "0.333333333333333"}, {5e-324, "4.94065645841247e-324"}};
	uint64_t random = 88172645463325252u;
	char out[DECIMAL_FLOAT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = decimal_from_double(cases[i].value, out);

		if (cases[i].value != 1.0 / 3)
			assert_slice_equal(slice_of(out, n), cases[i].text);
	}
	for (int i = 0; i < 100000; i++) {
		double value;
		float single;
		size_t n;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		memcpy(&value, &random, sizeof(value));
		memcpy(&single, &random, sizeof(single));
		if (isfinite(value)) {
			n = decimal_from_double(value, out);
			out[n] = '\0';
			assert_true(strtod(out, NULL) == value);
		}
		if (isfinite(single)) {
			n = decimal_from_float(single, out);
			out[n] = '\0';
			assert_true(strtof(out, NULL) == single);
		}
		value = (double)(int64_t)(random >> 30) / 1000;
		n = decimal_from_double(value, out);
		out[n] = '\0';
		assert_true(strtod(out, NULL) == value);
		assert_true(form_of(out) == DECIMAL_PLAIN);
	}
}

static void decimal_to_int64_takes_whole_numbers_in_range(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} cases[] = {{"0", true, 0}, {"5.0", true, 5}, {"1e1", true, 10}, {"-7", true, -7},
		{"5.5", false, 0}, {"1e30", false, 0}, {"0e30", true, 0}, {"120e-1", true, 12},
		{"9223372036854775807", true, INT64_MAX}, {"9223372036854775808", false, 0},
		{"-9223372036854775808", true, INT64_MIN}, {"x", false, 0},
		{"9223372036854766666", true, 9223372036854766666}, {"0.5e1", true, 5},
		{"1.05e1", false, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t value = 99;
		bool ok = decimal_to_int64(slice_from_cstr(cases[i].text), INT64_MIN, INT64_MAX,
			&value);

		assert_int_equal(ok, cases[i].ok);
		assert_int_equal(value, ok ? cases[i].value : 99);
	}
	assert_false(decimal_to_int64(slice_from_cstr("11"), 0, 10, &(int64_t){0}));
}

static void decimal_compare_is_exact(void **state)
{
	static const char *const ascending[] = {"-1e3", "-999.9", "-0.5", "-0.49", "0", "1e-30",
		"0.1", "0.10000000000000000000001", "0.5", "5", "5.0001", "10", "12.5", "99", "1e2",
		"100.1", "9223372036854766666", "9223372036854766667", "1e40"};
	static const char *const equal[][2] = {{"0", "-0.00"}, {"1.10", "1.1"}, {"1e3", "1000"},
		{"007", "7"}, {"150e-1", "15"}, {"0.05e2", "5.0"}, {".5", "+0.5"}};
	enum { COUNT = sizeof(ascending) / sizeof(*ascending) };

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		for (int j = 0; j < COUNT; j++) {
			int order = decimal_compare(slice_from_cstr(ascending[i]),
				slice_from_cstr(ascending[j]));

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
	}
	for (size_t i = 0; i < sizeof(equal) / sizeof(*equal); i++)
		assert_int_equal(
			decimal_compare(slice_from_cstr(equal[i][0]), slice_from_cstr(equal[i][1])),
			0);
}

static void decimal_to_double_is_near(void **state)
{
	static const struct {
		const char *text;
		double value;
	} cases[] = {{"0", 0}, {"1532.50", 1532.5}, {"-7.25", -7.25}, {"1e3", 1000}, {"25e-1", 2.5},
		{".5", .5}, {"123456789012345678901234567890", 1.2345678901234568e29}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		double value = decimal_to_double(slice_from_cstr(cases[i].text));

		assert_true(fabs(value - cases[i].value) <= 1e-12 * fabs(cases[i].value));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_plain_is_what_numeric_gives_back),
		cmocka_unit_test(decimal_to_numeric_matches_postgresql),
		cmocka_unit_test(decimal_from_double_reads_back_and_is_short),
		cmocka_unit_test(decimal_compare_is_exact),
		cmocka_unit_test(decimal_to_double_is_near),
		cmocka_unit_test(decimal_to_int64_takes_whole_numbers_in_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
