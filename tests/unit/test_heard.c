#include "unit.h"

#include "base/clock.h"
#include "daemon/heard.h"

static const int64_t MINUTE_US = 60 * US_PER_SECOND;
static struct config config;
static struct heard heard;

static int begin(void **state)
{
	struct error err;

	(void)state;
	memset(&heard, 0, sizeof(heard));
	return config_init(&config, &err) && heard_init(&heard, &config, &err) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	heard_fini(&heard);
	config_fini(&config);
	return 0;
}

static void note(const char *topic, int64_t now_us)
{
	heard_note(&heard, slice_from_cstr(topic), now_us);
}

static void note_number(uint32_t number, int64_t now_us)
{
	char topic[64];

	snprintf(topic, sizeof(topic), "cs/in/ocpp1.6/station-%u", number);
	note(topic, now_us);
}

static void stations_count_once_and_for_five_minutes(void **state)
{
	(void)state;
	assert_int_equal(heard_count(&heard, MINUTE_US), 0);
	note("cs/in/ocpp1.6/a", MINUTE_US);
	note("cs/in/ocpp2.0.1/a", MINUTE_US);
	note("cs/in/ocpp1.6/b", 2 * MINUTE_US);
	assert_int_equal(heard_count(&heard, 2 * MINUTE_US), 2);
	assert_int_equal(heard_count(&heard, 6 * MINUTE_US - 1), 2);
	assert_int_equal(heard_count(&heard, 6 * MINUTE_US), 1);
	note("cs/in/ocpp1.6/a", 6 * MINUTE_US);
	assert_int_equal(heard_count(&heard, 7 * MINUTE_US), 1);
	assert_int_equal(heard_count(&heard, 11 * MINUTE_US), 0);
}

static void only_what_stations_send_counts(void **state)
{
	(void)state;
	note("cs/out/ocpp1.6/a", MINUTE_US);
	note("cs/store/token", MINUTE_US);
	note("nothing/that/is/known/here", MINUTE_US);
	note("cs/in/ocpp1.6/", MINUTE_US);
	note("", MINUTE_US);
	assert_int_equal(heard_count(&heard, MINUTE_US), 0);
}

static void the_table_grows_up_to_its_limit_and_forgets(void **state)
{
	size_t room = heard.room;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		note_number(i, MINUTE_US + i);
	assert_int_equal(heard_count(&heard, 2 * MINUTE_US), 100000);
	assert_true(heard.room > room);
	for (uint32_t i = 0; i < 300000; i++)
		note_number(i, 3 * MINUTE_US);
	assert_int_equal(heard_count(&heard, 3 * MINUTE_US), HEARD_STATIONS_MAX);
	room = heard.room;
	/* Those who come when the others have long been silent have room. */
	for (uint32_t i = 0; i < 1000; i++)
		note_number(500000 + i, 30 * MINUTE_US);
	assert_int_equal(heard_count(&heard, 30 * MINUTE_US), 1000);
	assert_true(heard.room < room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stations_count_once_and_for_five_minutes, begin,
			end),
		cmocka_unit_test_setup_teardown(only_what_stations_send_counts, begin, end),
		cmocka_unit_test_setup_teardown(the_table_grows_up_to_its_limit_and_forgets, begin,
			end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
