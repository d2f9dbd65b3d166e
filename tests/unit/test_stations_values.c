#include "unit.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/iso8601.h"
#include "stations/amount.h"
#include "stations/pace.h"
#include "stations/rng.h"
#include "stations/stamp.h"

static void assert_amount(struct amount a, const char *text, const char *shortest)
{
	uint8_t out[AMOUNT_BYTES];

	assert_slice_equal(slice_of(out, amount_text(a, out)), text);
	assert_slice_equal(slice_of(out, amount_shortest(a, out)), shortest);
}

static void amount_text_is_what_the_station_writes(void **state)
{
	(void)state;
	assert_amount((struct amount){1532, 0, 0}, "1532", "1532");
	assert_amount((struct amount){110, 2, 0}, "1.10", "1.1");
	assert_amount((struct amount){0, 3, 0}, "0.000", "0");
	assert_amount((struct amount){5, 3, 0}, "0.005", "0.005");
	assert_amount((struct amount){-1250, 3, 0}, "-1.250", "-1.25");
	assert_amount((struct amount){-5, 2, 0}, "-0.05", "-0.05");
	assert_amount((struct amount){25, 1, 1}, "2.5e1", "25");
	assert_amount((struct amount){100, 0, 0}, "100", "100");
	assert_amount((struct amount){999999999999999, 6, 0}, "999999999.999999",
		"999999999.999999");
}

/* What a decoder makes of a float must be what we say it is. */
static void amount_shortest_is_the_shortest_decimal_of_the_float(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 1, 1);
	for (int i = 0; i < 20000; i++) {
		struct amount a = {rng_between(&rng, -99999999, 99999999999),
			(uint8_t)rng_below(&rng, 7), (uint8_t)rng_below(&rng, 2)};
		uint8_t ours[AMOUNT_BYTES];
		char theirs[DECIMAL_FLOAT_BYTES];
		size_t size = amount_shortest(a, ours);

		assert_int_equal(decimal_from_double(amount_double(a), theirs), size);
		assert_memory_equal(ours, theirs, size);
	}
}

static void amount_scale_keeps_the_value(void **state)
{
	uint8_t out[AMOUNT_BYTES];
	struct amount kwh = {12345, 3, 0};

	(void)state;
	assert_slice_equal(slice_of(out, amount_text(amount_scale(kwh, 3), out)), "12345");
	assert_slice_equal(slice_of(out, amount_text(amount_scale(kwh, 0), out)), "12.345");
	assert_slice_equal(slice_of(out, amount_text(amount_scale(kwh, -3), out)), "0.012345");
	assert_slice_equal(slice_of(out, amount_text(amount_scale(kwh, 5), out)), "1234500");
}

static void stamp_format_writes_each_style(void **state)
{
	int64_t us;
	struct stamp s;

	(void)state;
	assert_int_equal(iso8601_parse(slice_from_cstr("2023-09-18T08:25:40.209Z"), &us),
		ISO8601_EXACT);
	stamp_format(&s, us, (struct stamp_style){.zulu = true, .decimals = 2});
	assert_slice_equal(stamp_slice(&s), "2023-09-18T08:25:40.20Z");
	stamp_format(&s, us, (struct stamp_style){.zulu = true});
	assert_slice_equal(stamp_slice(&s), "2023-09-18T08:25:40Z");
	stamp_format(&s, us, (struct stamp_style){.decimals = 3});
	assert_slice_equal(stamp_slice(&s), "2023-09-18T08:25:40.209+00:00");
	stamp_format(&s, us, (struct stamp_style){.offset_minutes = 330, .decimals = 1});
	assert_slice_equal(stamp_slice(&s), "2023-09-18T13:55:40.2+05:30");
	stamp_format(&s, us, (struct stamp_style){.offset_minutes = -9 * 60});
	assert_slice_equal(stamp_slice(&s), "2023-09-17T23:25:40-09:00");
}

static void stamp_format_says_the_moment_up_to_its_decimals(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 2, 1);
	for (int i = 0; i < 20000; i++) {
		struct stamp_style style = {
			.offset_minutes = (int16_t)(rng_between(&rng, -14 * 4, 14 * 4) * 15),
			.zulu = false,
			.decimals = (uint8_t)rng_below(&rng, 4),
		};
		int64_t us = rng_between(&rng, 2 * US_PER_DAY, 40000 * US_PER_DAY), read_us;
		struct stamp s;

		stamp_format(&s, us, style);
		assert_int_equal(iso8601_parse(stamp_slice(&s), &read_us), ISO8601_EXACT);
		assert_int_equal(read_us, us - us % stamp_step_us(style));
	}
}

static void pace_due_us_obeys_the_slowest_limit(void **state)
{
	struct pace p = {.begin_us = 1000, .begin_wall_us = 500000000, .start_us = 400000000};

	(void)state;
	assert_int_equal(pace_due_us(&p, 7, 499000000), 1000);
	p.rate = 4;
	assert_int_equal(pace_due_us(&p, 7, 400000000), 1000 + 1750000);
	p.speedup = 10 * 1000;
	assert_int_equal(pace_due_us(&p, 7, 400000000), 1000 + 1750000);
	assert_int_equal(pace_due_us(&p, 7, 430000000), 1000 + 3000000);
	p.speedup = 500;
	assert_int_equal(pace_due_us(&p, 0, 401000001), 1000 + 2000002);
	p.waits_for_clock = true;
	p.speedup = 1000000;
	assert_int_equal(pace_due_us(&p, 0, 503000000), 1000 + 3000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amount_text_is_what_the_station_writes),
		cmocka_unit_test(amount_shortest_is_the_shortest_decimal_of_the_float),
		cmocka_unit_test(amount_scale_keeps_the_value),
		cmocka_unit_test(stamp_format_writes_each_style),
		cmocka_unit_test(stamp_format_says_the_moment_up_to_its_decimals),
		cmocka_unit_test(pace_due_us_obeys_the_slowest_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
