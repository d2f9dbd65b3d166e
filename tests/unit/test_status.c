#include "unit.h"

#include "base/clock.h"
#include "daemon/status.h"
#include "daemon/status_page.h"

static const int64_t MINUTE_US = 60 * US_PER_SECOND;
static const int64_t STARTED_US = INT64_C(1764500000000000);

static struct status status;
static struct metrics metrics;
static struct status_facts facts;
static struct arena arena;

static int begin(void **state)
{
	(void)state;
	memset(&status, 0, sizeof(status));
	memset(&metrics, 0, sizeof(metrics));
	metrics.process_started_us = (uint64_t)STARTED_US;
	metrics.process_max_fds = 1024;
	metrics.stations_heard = 1;
	facts = (struct status_facts){.wall_us = STARTED_US + MINUTE_US,
		.mono_us = MINUTE_US,
		.metrics = &metrics,
		.phase = STATUS_WORKING,
		.broker_up = true,
		.database_up = true,
		.spool_bytes_max = 1 << 30};
	return arena_init(&arena, 1 << 20, 1 << 20) ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static void pass(int64_t us)
{
	facts.wall_us += us;
	facts.mono_us += us;
	status_note(&status, &facts);
}

/* What the page would be told now. */
static const char *json(void)
{
	static char out[32 * 1024];
	struct slice s;

	arena_reset(&arena);
	status_note(&status, &facts);
	s = status_json(&status, &facts, &arena);
	assert_false(slice_is_absent(s));
	snprintf(out, sizeof(out), "%.*s", (int)s.size, (const char *)s.data);
	return out;
}

/* The names of what is wrong, in order, each with a blank after it. */
static const char *problems(void)
{
	static const char *const names[] = {
#define RULE(name, level, why, text, todo) #name,
#include "daemon/status_rules.def"
#undef RULE
	};
	static char out[512];

	status_note(&status, &facts);
	out[0] = '\0';
	for (size_t i = 0; i < STATUS_RULES; i++) {
		if (status.since_us[i] != 0)
			snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s ", names[i]);
	}
	return out;
}

static void nothing_is_wrong_with_a_quiet_program(void **state)
{
	(void)state;
	assert_string_equal(problems(), "");
	assert_non_null(strstr(json(), "\"verdict\":\"All is well\",\"problems\":[],"));
}

static void a_connection_that_is_away_is_trouble_with_its_reason(void **state)
{
	(void)state;
	facts.database_up = false;
	facts.database_why = "connection";
	assert_string_equal(problems(), "database_away ");
	pass(MINUTE_US);
	assert_non_null(strstr(json(), "\"reason\":\"connection\",\"since\":1764500060.000,"));
	assert_non_null(strstr(json(), "\"database\":{\"up\":false,\"since\":1764500060.000}"));
	facts.broker_up = false;
	assert_string_equal(problems(), "broker_away database_away ");
	facts.broker_silent = true;
	assert_string_equal(problems(), "broker_silent database_away ");
	facts.batch_refused = true;
	assert_string_equal(problems(), "broker_silent batch_refused ");
	facts.broker_up = facts.database_up = true;
	facts.batch_refused = false;
	assert_string_equal(problems(), "");
}

static void a_start_is_no_trouble_until_it_takes_long_or_has_a_reason(void **state)
{
	(void)state;
	facts.wall_us = STARTED_US + US_PER_SECOND;
	facts.broker_up = facts.database_up = false;
	assert_string_equal(problems(), "starting ");
	facts.broker_why = "broker";
	assert_string_equal(problems(), "broker_away starting ");
	facts.broker_why = NULL;
	facts.wall_us = STARTED_US + MINUTE_US;
	assert_string_equal(problems(), "broker_away database_away ");
	facts.phase = STATUS_STARTING;
	assert_string_equal(problems(), "starting ");
	facts.phase = STATUS_NO_ROOM;
	assert_string_equal(problems(), "no_room ");
	facts.phase = STATUS_STOPPING;
	assert_string_equal(problems(), "stopping ");
	facts.phase = STATUS_MIGRATING;
	facts.broker_up = true;
	assert_string_equal(problems(), "migrating ");
	facts.phase = STATUS_DRAINING;
	facts.broker_up = false;
	facts.database_up = true;
	assert_string_equal(problems(), "draining ");
}

static void the_log_is_full_or_fills(void **state)
{
	(void)state;
	metrics.spool_bytes = 9 * (uint64_t)facts.spool_bytes_max / 10;
	assert_string_equal(problems(), ""); /* what is stored makes room by itself */
	metrics.backlog_age_us = 61 * (uint64_t)US_PER_SECOND;
	assert_string_equal(problems(), "log_fills ");
	metrics.spool_full = 1;
	assert_string_equal(problems(), "log_full ");
	metrics.spool_disk_full = 1;
	assert_string_equal(problems(), "no_room ");
	metrics.spool_full = metrics.spool_disk_full = metrics.spool_bytes = 0;
	metrics.backlog_age_us = 301 * (uint64_t)US_PER_SECOND;
	assert_string_equal(problems(), "backlog ");
	facts.database_up = false;
	assert_string_equal(problems(), "database_away ");
}

static void what_happened_is_said_for_15_minutes(void **state)
{
	(void)state;
	status_note(&status, &facts);
	metrics.messages_dead_lettered = metrics.received_qos0 = metrics.gap_records = 1;
	metrics_family_add(&metrics.dead_lettered_reasons, "bad_json", 1);
	pass(5 * US_PER_SECOND);
	assert_string_equal(problems(), "gap dead_letters qos0 ");
	assert_non_null(strstr(json(), "\"dead_letters\":{\"bad_json\":1}"));
	for (int minute = 0; minute < 14; minute++) {
		for (int i = 0; i < 12; i++)
			pass(5 * US_PER_SECOND);
	}
	assert_string_equal(problems(), "gap dead_letters qos0 ");
	for (int i = 0; i < 13; i++)
		pass(5 * US_PER_SECOND);
	assert_string_equal(problems(), "");
	assert_non_null(strstr(json(), "\"dead_letters\":{\"bad_json\":1}")); /* since the start */
}

static void no_station_for_5_minutes_of_connection_is_worth_a_look(void **state)
{
	(void)state;
	metrics.stations_heard = 0;
	assert_string_equal(problems(), "");
	pass(5 * MINUTE_US);
	assert_string_equal(problems(), "");
	pass(US_PER_SECOND);
	assert_string_equal(problems(), "no_stations ");
	facts.broker_up = false;
	assert_string_equal(problems(), "broker_away ");
	facts.broker_up = true;
	assert_string_equal(problems(), "");
}

static void limits_and_settings(void **state)
{
	(void)state;
	metrics.spool_damaged = 1;
	metrics.clock_offset_us = 6 * (uint64_t)US_PER_SECOND;
	metrics.process_open_fds = 1000;
	facts.not_reloaded = true;
	assert_string_equal(problems(), "log_damaged clock not_reloaded files ");
}

static void rates_are_those_between_samples_and_reach_15_minutes_back(void **state)
{
	(void)state;
	status_note(&status, &facts);
	assert_non_null(strstr(json(), "\"rates\":[]"));
	metrics.received_qos1 = 100;
	metrics.rows_meter_values = 40;
	metrics.rows_ocpp_events = 10;
	pass(5 * US_PER_SECOND);
	pass(US_PER_SECOND);
	assert_non_null(strstr(json(), "\"rates\":[[-1.0,20.00,10.00]]"));
	assert_non_null(strstr(json(), "\"received\":100,\"rows\":50,"));
	/* The loop was busy with something else: the rate is that of the time that has passed. */
	metrics.received_qos1 = 200;
	pass(19 * US_PER_SECOND);
	assert_non_null(strstr(json(), "\"rates\":[[-20.0,20.00,10.00],[0.0,5.00,0.00]]"));
	for (int i = 0; i < 1000; i++)
		pass(5 * US_PER_SECOND);
	assert_int_equal(status.samples.count, SAMPLES_COUNT);
	assert_non_null(strstr(json(), "\"rates\":[[-895.0,0.00,0.00],[-890.0,"));
	assert_true(arena.used < 16 * 1024);
}

static void the_page_may_run_only_what_it_has(void **state)
{
	static struct status_page page;
	struct error err;
	const char *html;

	(void)state;
	assert_true(status_page_init(&page, &err));
	assert_non_null(strstr(page.policy, "default-src 'none'; script-src 'sha256-"));
	assert_null(strstr(page.policy, "unsafe"));
	html = (const char *)page.html.data; /* terminated */
	assert_non_null(strstr(html, "<!DOCTYPE html>"));
	assert_null(strstr(html, "://")); /* nothing from elsewhere */
	assert_null(strstr(html, "innerHTML"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_wrong_with_a_quiet_program),
		TEST(a_connection_that_is_away_is_trouble_with_its_reason),
		TEST(a_start_is_no_trouble_until_it_takes_long_or_has_a_reason),
		TEST(the_log_is_full_or_fills),
		TEST(what_happened_is_said_for_15_minutes),
		TEST(no_station_for_5_minutes_of_connection_is_worth_a_look),
		TEST(limits_and_settings),
		TEST(rates_are_those_between_samples_and_reach_15_minutes_back),
		TEST(the_page_may_run_only_what_it_has),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
