#include "unit.h"

#include "base/iso8601.h"
#include "replay/json_scan.h"
#include "replay/lines.h"

static struct arena arena;

static int setup_group(void **state)
{
	(void)state;
	return arena_init(&arena, 8 << 20, 0) ? 0 : -1;
}

static int teardown_group(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const struct lines_pattern no_pattern = {.count = 0};

static struct record line(const char *text)
{
	struct record r;
	struct error err;

	if (!lines_record(slice_from_cstr(text), &no_pattern, &arena, &r, &err))
		fail_msg("%s: %s", text, err.message);
	return r;
}

static void assert_time(const struct record *r, const char *text)
{
	char found[ISO8601_BYTES];

	iso8601_format(r->received_us, found);
	assert_string_equal(found, text);
}

#define TRACE "0123456789abcdef0123456789abcdef"

static void captures_of_mosquitto_are_read(void **state)
{
	struct record r;

	(void)state;
	r = line("{\"tst\":\"2026-01-31T06:32:25.038207Z+0100\",\"topic\":\"cs/in/a b\",\"qos\":1,"
		 "\"payloadlen\":8,\"properties\":{\"correlation-data\":"
		 "\"{\\\"traceparent\\\":\\\"00-" TRACE "-0123456789abcdef-01\\\"}\"},"
		 "\"payload\":\"{\\\"x\\\":\\u00fc}\"}");
	assert_time(&r, "2026-01-31T05:32:25.038207Z");
	assert_slice_equal(r.topic, "cs/in/a b");
	assert_slice_equal(r.payload, "{\"x\":\xc3\xbc}");
	assert_slice_equal(r.trace, TRACE);
	assert_int_equal(r.flags, 1);

	r = line("{\"tst\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",\"payload\":{\"a\":[1, "
		 "\"]\"]}}");
	assert_slice_equal(r.payload, "{\"a\":[1, \"]\"]}");
	assert_slice_equal(r.trace, "");

	r = line("1769837545.5 2 cs/in/a b {\"traceparent\":\"00-" TRACE
		 "-0123456789abcdef-01\"} 82A1ff");
	assert_time(&r, "2026-01-31T05:32:25.5Z");
	assert_slice_equal(r.topic, "cs/in/a b");
	assert_slice_equal(r.payload, "\x82\xa1\xff");
	assert_slice_equal(r.trace, TRACE);
	r = line("1769837545 0 cs/in/a b  00");
	assert_slice_equal(r.topic, "cs/in/a b");
	assert_int_equal(r.payload.size, 1);
	r = line("1769837545.038207123 0 t 7b7d");
	assert_time(&r, "2026-01-31T05:32:25.038207Z");
	assert_slice_equal(r.topic, "t");
	assert_slice_equal(r.payload, "{}");
}

static void lines_of_our_own_are_read(void **state)
{
	struct record r =
		line("{\"received_at\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",\"qos\":2,"
		     "\"trace\":\"abc\",\"payload_hex\":\"0001\"}");

	(void)state;
	assert_int_equal(r.payload.size, 2);
	assert_memory_equal(r.payload.data, "\0\1", 2);
	assert_slice_equal(r.trace, "abc");
	assert_int_equal(r.flags, 2);
}

static void what_was_cut_off_stays_marked(void **state)
{
	(void)state;
	assert_int_equal(line("{\"received_at\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",\"qos\":1,"
			      "\"oversized\":true,\"payload_hex\":\"00\"}")
				 .flags,
		1 | RECORD_OVERSIZED);
	assert_int_equal(line("{\"received_at\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",\"qos\":1,"
			      "\"payload_hex\":\"00\"}")
				 .flags,
		1);
}

static void bytes_that_are_no_text_survive(void **state)
{
	struct record r = line("{\"tst\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",\"payloadlen\":4,"
			       "\"payload\":\"\x82\xa1\xff\\\\\"}");

	(void)state;
	assert_slice_equal(r.payload, "\x82\xa1\xff\\");
}

static void what_is_no_message_says_why(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"nonsense", "it is neither JSON nor \"time qos topic payload\""},
		{"1769837545 1 7b7d", "it has no topic"},
		{"1769837545 3 t 7b7d", "it is neither JSON nor \"time qos topic payload\""},
		{"1769837545 1 t 7b7", "its payload has half a byte too much"},
		{"1769837545 1 t 7x", "its payload is not hexadecimal"},
		{"yesterday 1 t 7b", "its time of receipt is none"},
		{"{\"topic\":\"t\"", "it is no whole JSON object"},
		{"{\"topic\":\"t\"} x", "it is no whole JSON object"},
		{"{\"topic\":5}", "it has no topic"},
		{"{\"topic\":\"t\"}", "it has no time of receipt"},
		{"{\"topic\":\"t\",\"tst\":\"x\"}", "its time of receipt is none"},
		{"{\"topic\":\"t\",\"tst\":\"2026-01-31T05:32:25Z\"}", "it has no payload"},
		{"{\"topic\":\"t\",\"tst\":\"2026-01-31T05:32:25Z\",\"payload\":\"\\q\"}",
			"its payload is no text"},
		{"{\"topic\":\"t\",\"tst\":\"2026-01-31T05:32:25Z\",\"payloadlen\":5,"
		 "\"payload\":\"ab\"}",
			"capture truncated at NUL"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct record r;
		struct error err;

		assert_false(lines_record(slice_from_cstr(cases[i].text), &no_pattern, &arena, &r,
			&err));
		assert_int_equal(err.kind, ERROR_POISON);
		assert_string_equal(err.message, cases[i].why);
	}
}

static void frames_are_found_by_a_pattern(void **state)
{
	struct lines_pattern p;
	struct record r;
	struct error err;

	(void)state;
	assert_true(lines_pattern_parse("[{time}] {skip} {direction}/{version} <{station}> {frame}",
		&p, &err));
	assert_true(lines_record(slice_from_cstr("[2026-01-31T05:32:25Z] INFO out/ocpp2.0.1 <cs 1> "
						 "[2,\"1\",\"Reset\",{\"a\": 1}]"),
		&p, &arena, &r, &err));
	assert_slice_equal(r.topic, "cs/out/ocpp2.0.1/cs 1");
	assert_slice_equal(r.payload, "[2,\"1\",\"Reset\",{\"a\": 1}]");
	assert_time(&r, "2026-01-31T05:32:25Z");
	assert_false(
		lines_record(slice_from_cstr("[2026-01-31T05:32:25Z] INFO"), &p, &arena, &r, &err));

	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	assert_true(lines_record(slice_from_cstr("1769837545 cs1 [2]"), &p, &arena, &r, &err));
	assert_slice_equal(r.topic, "cs/in/ocpp1.6/cs1");
	assert_false(lines_pattern_parse("{time} {frame}", &p, &err));
	assert_false(lines_pattern_parse("{time} {frame} {station}", &p, &err));
	assert_false(lines_pattern_parse("{time} {station} {what} {frame}", &p, &err));
}

/* Every cut of a line is a line or is refused; nothing is read beyond its end (ASan). */
static void a_line_may_end_anywhere(void **state)
{
	static const char text[] =
		"{\"tst\":\"2026-01-31T06:32:25.038207Z+0100\",\"topic\":\"t\",\"payloadlen\":7,"
		"\"payload\":\"{\\\"x\\\":\\ud83d\\ude00\\u00e4}\",\"o\":[{\"a\":[]}]}";

	(void)state;
	for (size_t size = 1; size < sizeof(text) - 1; size++) {
		uint8_t *copy = malloc(size);
		struct record r;
		struct error err;

		assert_non_null(copy);
		memcpy(copy, text, size);
		assert_false(lines_record(slice_of(copy, size), &no_pattern, &arena, &r, &err));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captures_of_mosquitto_are_read),
		cmocka_unit_test(lines_of_our_own_are_read),
		cmocka_unit_test(what_was_cut_off_stays_marked),
		cmocka_unit_test(bytes_that_are_no_text_survive),
		cmocka_unit_test(what_is_no_message_says_why),
		cmocka_unit_test(frames_are_found_by_a_pattern),
		cmocka_unit_test(a_line_may_end_anywhere),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
