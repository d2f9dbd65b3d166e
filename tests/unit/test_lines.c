#include "unit.h"

#include "base/iso8601.h"
#include "replay/readers/json_scan.h"
#include "replay/readers/lines.h"

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

	r = line("1769837545.5 2 cs/in/a {\"traceparent\": \"00-" TRACE
		 "-0123456789abcdef-01\"} 82A1ff");
	assert_time(&r, "2026-01-31T05:32:25.5Z");
	assert_slice_equal(r.topic, "cs/in/a");
	assert_slice_equal(r.payload, "\x82\xa1\xff");
	assert_slice_equal(r.trace, TRACE);
	r = line("1769837545 0 cs/in/a  00");
	assert_slice_equal(r.topic, "cs/in/a");
	assert_int_equal(r.payload.size, 1);
	r = line("1769837545.038207123 0 t 7b7d");
	assert_time(&r, "2026-01-31T05:32:25.038207Z");
	assert_slice_equal(r.topic, "t");
	assert_slice_equal(r.payload, "{}");
}

/* As mosquitto_sub writes it with tabs: nothing in a topic or correlation data is taken for the
 * other. */
static void captures_with_tabs_are_read(void **state)
{
	struct record r;

	(void)state;
	r = line("1769837545.5\t1\t0\tcs/in/a b\t{\"traceparent\":\"00-" TRACE
		 "-0123456789abcdef-01\"}\t82A1ff");
	assert_time(&r, "2026-01-31T05:32:25.5Z");
	assert_slice_equal(r.topic, "cs/in/a b");
	assert_slice_equal(r.payload, "\x82\xa1\xff");
	assert_slice_equal(r.trace, TRACE);
	assert_int_equal(r.flags, 1);
	r = line("1769837545\t2\t1\tcs/in/cdx\t4711-abc\t7b7d");
	assert_slice_equal(r.topic, "cs/in/cdx");
	assert_slice_equal(r.trace, "");
	assert_int_equal(r.flags, 2 | RECORD_RETAIN);
	r = line("1769837545\t0\t0\tcs/in/cdx\ta\tb {c}\t7b7d");
	assert_slice_equal(r.topic, "cs/in/cdx");
	assert_slice_equal(r.payload, "{}");
	r = line("1769837545\t0\t0\tt\t\t");
	assert_slice_equal(r.topic, "t");
	assert_int_equal(r.payload.size, 0);
}

/* The trace id is part of the identity of a message: one found where live finds none, or missing
 * where live finds one, stores the message once more. */
static void traces_are_found_where_live_finds_them(void **state)
{
	static const struct {
		const char *properties, *trace;
	} cases[] = {
		{"{\"correlation-data\":\"{\\\"tracestate\\\":\\\"x\\\",\\\"traceparent\\\": "
		 "\\\"00-" TRACE "-0123456789abcdef-01\\\"}\"}",
			TRACE},
		{"{\"user-properties\":{\"traceparent\":\"00-" TRACE "-0123456789abcdef-01\"}}",
			""},
		{"{\"user-properties\":{\"traceparent\":\"00-" TRACE "-0123456789abcdef-01\"},"
		 "\"correlation-data\":\"4711\"}",
			""},
		{"{\"correlation-data\":\"{\\\"traceparent\\\":\\\"00-"
		 "0123456789ABCDEF0123456789abcdef-"
		 "0123456789abcdef-01\\\"}\"}",
			""},
		{"{\"correlation-data\":\"00-" TRACE "-0123456789abcdef-01\"}", ""},
		{"{\"response-topic\":\"x/00-" TRACE "-0\"}", ""},
		{"{}", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[512];
		struct record r;

		snprintf(text, sizeof(text),
			"{\"tst\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",\"properties\":%s,"
			"\"payload\":\"x\"}",
			cases[i].properties);
		r = line(text);
		assert_slice_equal(r.trace, cases[i].trace);
	}
	assert_slice_equal(line("1 1 t {\"other\":\"00-" TRACE "-0123456789abcdef-01\"} 7b").trace,
		"");
}

/* mosquitto_sub writes payloads of %J again: where their size shows it, that is noted. */
static void payloads_that_were_written_again_are_noted(void **state)
{
	static const struct {
		const char *size;
		bool rewritten;
	} cases[] = {{"\"payloadlen\":11,", false}, {"\"payloadlen\":12,", true}, {"", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct lines_memory memory = {.time_us = INT64_MIN};
		struct lines_pattern pattern = {.memory = &memory};
		struct record r;
		struct error err;
		char text[256];

		snprintf(text, sizeof(text),
			"{\"tst\":\"2026-01-31T05:32:25Z\",\"topic\":\"t\",%s\"payload\":{\"kWh\":"
			"1.1}}",
			cases[i].size);
		assert_true(lines_record(slice_from_cstr(text), &pattern, &arena, &r, &err));
		assert_slice_equal(r.payload, "{\"kWh\":1.1}");
		assert_int_equal(memory.rewritten, cases[i].rewritten);
	}
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
		{"1769837545 1 t 7b7", "its payload has half a byte too many"},
		{"1769837545 1 t 7x", "its payload is not hexadecimal"},
		{"1769837545 1 cs/in/cdx 4711-abc 7b7d",
			"its topic has a blank, or its correlation data is no JSON object: "
			"capture it with tabs (docs/replay.md)"},
		{"1769837545 1 cs/in/a b  7b7d",
			"its topic has a blank, or its correlation data is no JSON object: "
			"capture it with tabs (docs/replay.md)"},
		{"1769837545 1 cs/in/a x {b} 7b7d",
			"its topic has a blank, or its correlation data is no JSON object: "
			"capture it with tabs (docs/replay.md)"},
		{"1769837545\t1\tt\t\t7b",
			"it is not \"time qos retain topic correlation payload\", with tabs"},
		{"1769837545\t1\t0\tt\t7b",
			"it is not \"time qos retain topic correlation payload\", with tabs"},
		{"1769837545\t1\t0\tt",
			"it is not \"time qos retain topic correlation payload\", with tabs"},
		{"1769837545\t1\t0\t\t\t7b", "it has no topic"},
		{"yesterday 1 t 7b", "its time of receipt is invalid"},
		{"{\"topic\":\"t\"", "it is not a whole JSON object"},
		{"{\"topic\":\"t\"} x", "it is not a whole JSON object"},
		{"{\"topic\":5}", "it has no topic"},
		{"{\"topic\":\"t\"}", "it has no time of receipt"},
		{"{\"topic\":\"t\",\"tst\":\"x\"}", "its time of receipt is invalid"},
		{"{\"topic\":\"t\",\"tst\":\"2026-01-31T05:32:25Z\"}", "it has no payload"},
		{"{\"topic\":\"t\",\"tst\":\"2026-01-31T05:32:25Z\",\"payload\":\"\\q\"}",
			"its payload is not text"},
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

static void a_version_that_nobody_named_is_refused(void **state)
{
	static const char frame[] = "2026-01-31T05:32:25Z cs1 [2,\"1\",\"TransactionEvent\",{}]";
	struct lines_pattern pattern;
	struct record r;
	struct error err;

	(void)state;
	assert_true(lines_pattern_parse("{time} {station} {frame}", &pattern, &err));
	assert_false(lines_record(slice_from_cstr(frame), &pattern, &arena, &r, &err));
	assert_int_equal(err.kind, ERROR_FATAL);
	assert_true(lines_record(slice_from_cstr("2026-01-31T05:32:25Z cs1 "
						 "[2,\"1\",\"Heartbeat\",{}]"),
		&pattern, &arena, &r, &err));
	assert_slice_equal(r.topic, "cs/in/ocpp1.6/cs1");
	pattern.version = slice_from_cstr("2.0.1");
	assert_true(lines_record(slice_from_cstr(frame), &pattern, &arena, &r, &err));
	assert_slice_equal(r.topic, "cs/in/ocpp2.0.1/cs1");
}

/* A line for which there is no room is read again: it must go the same way then. */
static void a_line_without_room_changes_nothing(void **state)
{
	static const char *const calls[] = {"2026-01-31T05:32:25Z cs1 [2,\"7\",\"Heartbeat\",{}]",
		"2026-01-31T05:32:25Z cs1 [2,\"7\",\"Reset\",{\"type\":\"Soft\"}]"};
	static const char answer[] = "2026-01-31T05:32:25Z cs1 [3,\"7\",{}]";
	static struct lines_memory memory, fresh;
	struct lines_pattern pattern;
	struct record r;
	struct error err;

	(void)state;
	assert_true(lines_pattern_parse("{time} {station} {frame}", &pattern, &err));
	for (int tight = 0; tight < 2; tight++) {
		memory = fresh;
		memory.time_us = INT64_MIN;
		pattern.memory = &memory;
		for (int i = 0; i < 2; i++)
			assert_true(lines_record(slice_from_cstr(calls[i]), &pattern, &arena, &r,
				&err));
		for (size_t bytes = tight ? 1 : 4096;; bytes++) {
			struct arena small;
			bool ok;

			assert_true(arena_init(&small, bytes, 0));
			ok = lines_record(slice_from_cstr(answer), &pattern, &small, &r, &err);
			if (ok)
				assert_slice_equal(r.topic, "cs/in/ocpp1.6/cs1");
			else
				assert_int_equal(err.kind, ERROR_FULL);
			arena_fini(&small);
			if (ok)
				break;
		}
	}
}

static void times_that_are_numbers_are_read(void **state)
{
	struct record r;

	(void)state;
	r = line("{\"tst\":1769837545,\"topic\":\"t\",\"qos\":0,\"retain\":0,\"payloadlen\":2,"
		 "\"payload\":\"{}\"}");
	assert_time(&r, "2026-01-31T05:32:25Z");
	assert_int_equal(r.flags, 0);
	r = line("{\"tst\":1769837545,\"topic\":\"t\",\"qos\":1,\"retain\":1,\"payload\":\"{}\"}");
	assert_int_equal(r.flags, 1 | RECORD_RETAIN);
	r = line("{\"tst\":1769837545.25,\"topic\":\"t\",\"payload\":\"{}\"}");
	assert_time(&r, "2026-01-31T05:32:25.25Z");
}

/* One line of each as it stands in public reports, with the pattern of docs/replay.md. */
static void logs_of_central_systems_are_read(void **state)
{
	static const struct {
		const char *pattern, *text, *topic, *payload, *time;
	} cases[] = {
		{"{time} INFO ({skip}) [ocpp] {station}: {direction} {frame}",
			"2024-12-10 12:19:59.054 INFO (MainThread) [ocpp] GRS-1: receive message "
			"[3,\"60\",{\"status\":\"NotSupported\"}]",
			"cs/in/ocpp1.6/GRS-1", "[3,\"60\",{\"status\":\"NotSupported\"}]",
			"2024-12-10T11:19:59.054Z"},
		{"{time} INFO ({skip}) [ocpp] {station}: {direction} {frame}",
			"2024-07-10 12:19:59 INFO (MainThread) [ocpp] GRS-1: send "
			"[2,\"1c\",\"Reset\",{}]  ",
			"cs/out/ocpp1.6/GRS-1", "[2,\"1c\",\"Reset\",{}]", "2024-07-10T10:19:59Z"},
		{"{time} {skip}:ocpp:{station}: {direction} {frame}",
			"2024-12-10 12:19:59,054 INFO:ocpp:CP_1: receive message "
			"[2,\"1\",\"Heartbeat\",{}]",
			"cs/in/ocpp1.6/CP_1", "[2,\"1\",\"Heartbeat\",{}]",
			"2024-12-10T11:19:59.054Z"},
		{"[{skip}] {time} {skip}[chargeBoxId={station}, {skip}] {direction}: {frame}",
			"[INFO ] 2025-12-13 16:30:16,627 de.rwth.idsg.steve.ocpp.ws."
			"WebSocketLogger (qtp1330912871-50) - [chargeBoxId=100, "
			"sessionId=53a8f814] Sending: [3,\"ff\",{}]",
			"cs/out/ocpp1.6/100", "[3,\"ff\",{}]", "2025-12-13T15:30:16.627Z"},
		{"{skip}TRACE {time} {direction} {station}: {frame}",
			"evcc  | [ocpp  ] TRACE 2026/07/23 10:21:46 recv 4oSn: "
			"[2,\"76\",\"StatusNotification\",{\"connectorId\":1}]",
			"cs/in/ocpp1.6/4oSn",
			"[2,\"76\",\"StatusNotification\",{\"connectorId\":1}]",
			"2026-07-23T08:21:46Z"},
		{"{time} {station} {direction} {frame}",
			"2026-01-31 05:32:25 +01:00 cs1 <- [2,\"1\",\"Heartbeat\",{}]",
			"cs/in/ocpp1.6/cs1", "[2,\"1\",\"Heartbeat\",{}]", "2026-01-31T04:32:25Z"},
		{"{time} {station} {direction} {frame}",
			"2026-01-31 05:32:25.5 UTC cs1 <- [3,\"1\",{}]", "cs/in/ocpp1.6/cs1",
			"[3,\"1\",{}]", "2026-01-31T05:32:25.5Z"},
		{"[{time}] {station} {direction} {frame}",
			"[2026/01/31 05:32:25 GMT] UTC <- [3,\"1\",{}]", "cs/in/ocpp1.6/UTC",
			"[3,\"1\",{}]", "2026-01-31T05:32:25Z"},
		{"{time} {station} {direction} {frame}", "2026-01-31T05:32:25Z cs1 -> [3,\"1\",{}]",
			"cs/out/ocpp1.6/cs1", "[3,\"1\",{}]", "2026-01-31T05:32:25Z"},
	};
	struct zone zone;
	struct error err;

	(void)state;
	assert_true(zone_parse(&zone, "Europe/Berlin", &err));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct lines_pattern p;
		struct record r;

		assert_true(lines_pattern_parse(cases[i].pattern, &p, &err));
		p.zone = &zone;
		if (!lines_record(slice_from_cstr(cases[i].text), &p, &arena, &r, &err))
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_slice_equal(r.topic, cases[i].topic);
		assert_slice_equal(r.payload, cases[i].payload);
		assert_time(&r, cases[i].time);
	}
}

static void directions_have_many_words(void **state)
{
	static const char *const in[] = {"in", "IN", "receive", "Received", "receive message", "<-",
		"recv", " <= "};
	static const char *const out[] = {"out", "Out", "send", "Sent", "sending", "->", "=>"};
	static const char *const none[] = {"", "sender", "inn", "x", "-", "2"};

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++)
		assert_string_equal(lines_direction_of_word(slice_from_cstr(in[i])), "in");
	for (size_t i = 0; i < sizeof(out) / sizeof(*out); i++)
		assert_string_equal(lines_direction_of_word(slice_from_cstr(out[i])), "out");
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_null(lines_direction_of_word(slice_from_cstr(none[i])));
}

static void a_result_goes_the_other_way_than_its_call(void **state)
{
	static struct lines_memory memory = {.time_us = INT64_MIN};
	static const struct {
		const char *text, *topic;
	} cases[] = {
		{"1769837545 cs1 [2,\"1\",\"Heartbeat\",{}]", "cs/in/ocpp1.6/cs1"},
		{"1769837545 cs1 [3,\"1\",{}]", "cs/out/ocpp1.6/cs1"},
		{"1769837545 cs1 [2, \"7\", \"Reset\", {\"type\":\"Soft\"}]", "cs/out/ocpp1.6/cs1"},
		{"1769837545 cs2 [3,\"7\",{}]", "cs/out/ocpp1.6/cs2"}, /* another station */
		{"1769837545 cs1 [4,\"7\",\"GenericError\",\"\",{}]", "cs/in/ocpp1.6/cs1"},
		{"1769837545 cs1 [5,\"7\",\"GenericError\",\"\",{}]", "cs/out/ocpp1.6/cs1"},
		{"1769837545 cs1 [6,\"8\",\"NotifyPeriodicEventStream\",{}]", "cs/in/ocpp1.6/cs1"},
		/* Ids of both sides, and of a station that has restarted, are the same numbers. */
		{"1769837545 cs1 [2,\"7\",\"BootNotification\",{}]", "cs/in/ocpp1.6/cs1"},
		{"1769837545 cs1 [3,\"7\",{}]", "cs/out/ocpp1.6/cs1"},
		{"1769837545 cs1 [2,\"7\",\"ClearCache\",{}]", "cs/out/ocpp1.6/cs1"},
		{"1769837545 cs1 [6,\"7\",\"NotifyPeriodicEventStream\",{}]", "cs/in/ocpp1.6/cs1"},
		{"1769837545 cs1 [3,\"7\",{}]", "cs/in/ocpp1.6/cs1"},
		/* Both sides have a call with one id at once. */
		{"1769837545 cs3 [2,\"1\",\"Heartbeat\",{}]", "cs/in/ocpp1.6/cs3"},
		{"1769837545 cs3 [2,\"1\",\"Reset\",{\"type\":\"Soft\"}]", "cs/out/ocpp1.6/cs3"},
		{"1769837545 cs3 [3,\"1\",{\"currentTime\":\"x\"}]", "cs/out/ocpp1.6/cs3"},
		{"1769837545 cs3 [3,\"1\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs3"},
		{"1769837545 cs4 [2,\"1\",\"ClearCache\",{}]", "cs/out/ocpp1.6/cs4"},
		{"1769837545 cs4 [2,\"1\",\"MeterValues\",{}]", "cs/in/ocpp1.6/cs4"},
		{"1769837545 cs4 [3,\"1\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs4"},
		{"1769837545 cs4 [3,\"1\", { } ]", "cs/out/ocpp1.6/cs4"},
		/* Where the answer could be of either: of the later call, then of the other one. */
		{"1769837545 cs5 [2,\"1\",\"DataTransfer\",{}]", "cs/in/ocpp1.6/cs5"},
		{"1769837545 cs5 [2,\"1\",\"ClearCache\",{}]", "cs/out/ocpp1.6/cs5"},
		{"1769837545 cs5 [3,\"1\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs5"},
		{"1769837545 cs5 [3,\"1\",{\"status\":\"Accepted\"}]", "cs/out/ocpp1.6/cs5"},
		/* An id may be a number, or have escapes in it; a frame may be an envelope. */
		{"1769837545 cs6 [2,17,\"Reset\",{\"type\":\"Soft\"}]", "cs/out/ocpp1.6/cs6"},
		{"1769837545 cs6 [3,17,{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs6"},
		{"1769837545 cs6 [2,18,\"ClearCache\",{}]", "cs/out/ocpp1.6/cs6"},
		{"1769837545 cs6 [3,\"18\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs6"},
		{"1769837545 cs6 [2,\"\",\"ClearCache\",{}]", "cs/out/ocpp1.6/cs6"},
		{"1769837545 cs6 [4,\"\",\"GenericError\",\"\",{}]", "cs/in/ocpp1.6/cs6"},
		{"1769837545 cs6 [2,\"a\\\"b\",\"Reset\",{}]", "cs/out/ocpp1.6/cs6"},
		{"1769837545 cs6 [3,\"a\\u0022b\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs6"},
		{"1769837545 cs6 {\"type\":2,\"action\":\"Reset\",\"id\":\"e\"}",
			"cs/out/ocpp1.6/cs6"},
		{"1769837545 cs6 [3,\"e\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs6"},
		{"1769837545 cs6 {\"id\":\"f\",\"type\":3,\"action\":\"Reset\",\"response\":{}}",
			"cs/in/ocpp1.6/cs6"},
		{"1769837545 cs6 [[2,\"g\",\"Reset\",{}],[2,\"h\",\"Reset\",{}]]",
			"cs/out/ocpp1.6/cs6"},
		{"1769837545 cs7 [3", "cs/out/ocpp1.6/cs7"},
	};
	struct lines_pattern p;
	struct record r;
	struct error err;

	(void)state;
	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	p.memory = &memory;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(lines_record(slice_from_cstr(cases[i].text), &p, &arena, &r, &err));
		assert_slice_equal(r.topic, cases[i].topic);
	}
}

static void an_answer_is_of_a_call_that_it_fits(void **state)
{
	static struct lines_memory memory = {.time_us = INT64_MIN};
	static const struct {
		const char *text, *topic;
	} cases[] = {
		/* The answer to one comes again, or late, while the other waits. */
		{"1769837545 cs8 [2,\"1\",\"Heartbeat\",{}]", "cs/in/ocpp1.6/cs8"},
		{"1769837545 cs8 [3,\"1\",{\"currentTime\":\"x\"}]", "cs/out/ocpp1.6/cs8"},
		{"1769837545 cs8 [2,\"1\",\"Reset\",{}]", "cs/out/ocpp1.6/cs8"},
		{"1769837545 cs8 [3,\"1\",{\"currentTime\":\"x\"}]", "cs/out/ocpp1.6/cs8"},
		{"1769837545 cs8 [3,\"1\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs8"},
		/* Words of a value are not keys. */
		{"1769837545 cs8 [2,\"2\",\"DataTransfer\",{}]", "cs/in/ocpp1.6/cs8"},
		{"1769837545 cs8 [2,\"2\",\"GetVariables\",{}]", "cs/out/ocpp1.6/cs8"},
		{"1769837545 cs8 "
		 "[3,\"2\",{\"status\":\"Accepted\",\"data\":{\"getVariableResult\":1}}]",
			"cs/out/ocpp1.6/cs8"},
		/* The log lacks the call: what answers another one is not its answer. */
		{"1769837545 cs9 [2,\"1\",\"Reset\",{}]", "cs/out/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"1\",{\"idTagInfo\":{\"status\":\"Accepted\"}}]",
			"cs/out/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"1\",{}]", "cs/out/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"1\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs9"},
		{"1769837545 cs9 [2,\"2\",\"Heartbeat\",{}]", "cs/in/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"2\",{\"status\":\"Accepted\"}]", "cs/in/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"2\",{\"currentTime\":\"x\"}]", "cs/out/ocpp1.6/cs9"},
		{"1769837545 cs9 [2,\"3\",\"StatusNotification\",{}]", "cs/in/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"3\",{\"configurationKey\":[]}]", "cs/in/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"3\",{}]", "cs/out/ocpp1.6/cs9"},
		/* What nobody knows may be answered with anything. */
		{"1769837545 cs9 [2,\"4\",\"VendorCall\",{}]", "cs/in/ocpp1.6/cs9"},
		{"1769837545 cs9 [3,\"4\",{\"listVersion\":1}]", "cs/out/ocpp1.6/cs9"},
	};
	struct lines_pattern p;
	struct record r;
	struct error err;

	(void)state;
	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	p.version = slice_from_cstr("1.6"); /* whatever the actions */
	p.memory = &memory;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(lines_record(slice_from_cstr(cases[i].text), &p, &arena, &r, &err));
		assert_slice_equal(r.topic, cases[i].topic);
	}
}

/* Many stations, each with a call that is not answered yet. */
static void a_result_goes_the_other_way_than_its_call_among_many(void **state)
{
	enum { STATIONS = 4000 };
	static struct lines_memory memory = {.time_us = INT64_MIN};
	struct lines_pattern p;
	struct record r;
	struct error err;
	char text[96], topic[48];

	(void)state;
	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	p.memory = &memory;
	for (int line = 0; line < 2 * STATIONS; line++) {
		bool call = line < STATIONS;

		arena_reset(&arena);
		snprintf(text, sizeof(text), "1769837545 cs%d [%s]", line % STATIONS,
			call ? "2,\"1\",\"Reset\",{}" : "3,\"1\",{\"status\":\"Accepted\"}");
		snprintf(topic, sizeof(topic), "cs/%s/ocpp1.6/cs%d", call ? "out" : "in",
			line % STATIONS);
		assert_true(lines_record(slice_from_cstr(text), &p, &arena, &r, &err));
		assert_slice_equal(r.topic, topic);
	}
}

static void a_time_without_a_zone_is_refused(void **state)
{
	struct lines_pattern p;
	struct record r;
	struct error err;

	(void)state;
	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	assert_false(
		lines_record(slice_from_cstr("2026-01-31 05:32:25 cs1 [2]"), &p, &arena, &r, &err));
	assert_int_equal(err.kind, ERROR_FATAL);
	assert_non_null(strstr(err.message, "--zone"));
	/* Neither a zone nor a part of the time is taken for a station. */
	assert_false(lines_record(slice_from_cstr("yesterday cs1 [2]"), &p, &arena, &r, &err));
	assert_int_equal(err.kind, ERROR_POISON);
}

static void clocks_are_put_forward_and_back(void **state)
{
	static const struct {
		const char *local, *utc; /* side by side */
	} cases[] = {
		{"2026-03-29 01:59:59", "2026-03-29T00:59:59Z"},
		{"2026-03-29 02:30:00", NULL},
		{"2026-03-29 03:00:00", "2026-03-29T01:00:00Z"},
		{"2026-10-25 01:59:59", "2026-10-24T23:59:59Z"},
		{"2026-10-25 02:30:00", "2026-10-25T00:30:00Z"},
		{"2026-10-25 02:29:59.5", "2026-10-25T00:29:59.5Z"}, /* a little out of order */
		{"2026-10-25 02:59:59", "2026-10-25T00:59:59Z"},
		{"2026-10-25 02:00:01", "2026-10-25T01:00:01Z"},
		{"2026-10-25 02:59:59", "2026-10-25T01:59:59Z"},
		{"2026-10-25 03:00:00", "2026-10-25T02:00:00Z"},
		{"2026-10-25 02:30:00", "2026-10-25T01:30:00Z"}, /* nearer to the line before */
		{"1970-01-01 00:30:00", NULL},
		{"1971-01-01 00:30:00", "1970-12-31T23:30:00Z"},
		{"2026-10-25 02:30:00", "2026-10-25T00:30:00Z"},
	};
	static struct lines_memory memory = {.time_us = INT64_MIN};
	struct zone zone;
	struct lines_pattern p;
	struct error err;

	(void)state;
	assert_true(zone_parse(&zone, "Europe/Berlin", &err));
	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	p.zone = &zone;
	p.memory = &memory;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[64];
		struct record r;
		bool ok;

		snprintf(text, sizeof(text), "%s cs1 [2]", cases[i].local);
		ok = lines_record(slice_from_cstr(text), &p, &arena, &r, &err);
		assert_int_equal(ok, cases[i].utc != NULL);
		if (ok)
			assert_time(&r, cases[i].utc);
	}
	for (size_t i = 0; i < 2; i++) {
		static const char *const fixed[] = {"+05:30", "UTC"};
		static const char *const utc[] = {"2026-01-31T00:02:25Z", "2026-01-31T05:32:25Z"};
		struct record r;

		assert_true(zone_parse(&zone, fixed[i], &err));
		assert_true(lines_record(slice_from_cstr("2026-01-31 05:32:25 cs1 [2]"), &p, &arena,
			&r, &err));
		assert_time(&r, utc[i]);
	}
	assert_false(zone_parse(&zone, "Berlin", &err));
	assert_false(zone_parse(&zone, "../zoneinfo/Europe/Berlin", &err));
	assert_false(zone_parse(&zone, "", &err));
	assert_false(zone_parse(&zone, "+25:00", &err));
}

static const struct {
	const char *zone, *time, *utc;
} zone_words[] = {
	{"Europe/Berlin", "2026-11-20 08:00:00 CET", "2026-11-20T07:00:00Z"},
	{"Europe/Berlin", "2026-11-20 08:00:00,5 (CET)", "2026-11-20T07:00:00.5Z"},
	{"Europe/Berlin", "2026-07-20 08:00:00 cest", "2026-07-20T06:00:00Z"},
	{"Europe/Berlin", "2026-07-20 08:00:00 CET", NULL},
	{"Europe/Berlin", "2026-10-25 02:30:00 CET", "2026-10-25T01:30:00Z"},
	{"Europe/Berlin", "2026-10-25 02:30:00 CEST", "2026-10-25T00:30:00Z"},
	{"Europe/Berlin", "2026-11-20 08:00:00 Europe/Berlin", "2026-11-20T07:00:00Z"},
	{"Europe/Berlin", "2026-11-20 08:00:00 America/New_York", NULL},
	{"Europe/Berlin", "2026-11-20 08:00:00 EST", NULL},
	{"Europe/Berlin", "2026-11-20 08:00:00 UTC+01:00", NULL},
	{"Europe/Berlin", "2026-11-20 08:00:00 GMT+1", NULL},
	{"Europe/Berlin", "2026-11-20 08:00:00 +1", NULL},
	{"Europe/Berlin", "2026-11-20 08:00:00 UTC", "2026-11-20T08:00:00Z"},
	{"Europe/Berlin", "2026-11-20 08:00:00 +0000 UTC", "2026-11-20T08:00:00Z"},
	{"Europe/Berlin", "2026-11-20 08:00:00 +09:00 JST", "2026-11-19T23:00:00Z"},
	{"America/New_York", "2026-11-20 08:00:00 EST", "2026-11-20T13:00:00Z"},
	{"Asia/Shanghai", "2026-11-20 08:00:00 CST", "2026-11-20T00:00:00Z"},
	{"+01:00", "2026-11-20 08:00:00 CET", NULL},
	{NULL, "2026-11-20 08:00:00 CET", NULL},
	{NULL, "2026-11-20 08:00:00 Europe/Berlin", NULL},
};

/* A word for a zone is part of the time, and counts only where --zone says the same. */
static void a_word_for_a_zone_is_never_passed_over(void **state)
{
	static const char *const patterns[] = {"{time} {station} {frame}",
		"[{time}] {station} {frame}", "{time} {skip}:ocpp:{station}: {frame}"};
	struct lines_pattern p;
	struct zone zone;
	struct record r;
	struct error err;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(zone_words) / sizeof(*zone_words); i++) {
		if (zone_words[i].zone != NULL)
			assert_true(zone_parse(&zone, zone_words[i].zone, &err));
		for (size_t form = 0; form < sizeof(patterns) / sizeof(*patterns); form++) {
			assert_true(lines_pattern_parse(patterns[form], &p, &err));
			p.zone = zone_words[i].zone == NULL ? NULL : &zone;
			snprintf(text, sizeof(text),
				form == 0   ? "%s cs1 [2]"
				: form == 1 ? "[%s] cs1 [2]"
					    : "%s INFO:ocpp:cs1: [2]",
				zone_words[i].time);
			if (lines_record(slice_from_cstr(text), &p, &arena, &r, &err) !=
				(zone_words[i].utc != NULL))
				fail_msg("%s, %s", text,
					zone_words[i].utc == NULL ? "read" : err.message);
			if (zone_words[i].utc == NULL) {
				assert_non_null(strstr(err.message, "--zone"));
				assert_int_equal(err.kind,
					zone_words[i].zone == NULL ? ERROR_FATAL : ERROR_POISON);
				continue;
			}
			assert_slice_equal(r.topic, "cs/in/ocpp1.6/cs1");
			assert_time(&r, zone_words[i].utc);
		}
	}
	/* In the pattern a word means nothing, and stations may be called anything. */
	assert_true(zone_parse(&zone, "Europe/Berlin", &err));
	assert_true(lines_pattern_parse("{time} EST {station} {frame}", &p, &err));
	p.zone = &zone;
	assert_true(lines_record(slice_from_cstr("2026-11-20 08:00:00 EST CET [2]"), &p, &arena, &r,
		&err));
	assert_slice_equal(r.topic, "cs/in/ocpp1.6/CET");
	assert_time(&r, "2026-11-20T07:00:00Z");
	assert_true(lines_pattern_parse("{time} {station} {frame}", &p, &err));
	p.zone = &zone;
	assert_true(
		lines_record(slice_from_cstr("2026-11-20 08:00:00 CS [2]"), &p, &arena, &r, &err));
	assert_slice_equal(r.topic, "cs/in/ocpp1.6/CS");
	assert_true(lines_record(slice_from_cstr("2026-11-20T08:00:00Z CET [2]"), &p, &arena, &r,
		&err));
	assert_slice_equal(r.topic, "cs/in/ocpp1.6/CET");
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
		cmocka_unit_test(captures_with_tabs_are_read),
		cmocka_unit_test(traces_are_found_where_live_finds_them),
		cmocka_unit_test(payloads_that_were_written_again_are_noted),
		cmocka_unit_test(lines_of_our_own_are_read),
		cmocka_unit_test(what_was_cut_off_stays_marked),
		cmocka_unit_test(bytes_that_are_no_text_survive),
		cmocka_unit_test(what_is_no_message_says_why),
		cmocka_unit_test(frames_are_found_by_a_pattern),
		cmocka_unit_test(a_version_that_nobody_named_is_refused),
		cmocka_unit_test(a_line_without_room_changes_nothing),
		cmocka_unit_test(times_that_are_numbers_are_read),
		cmocka_unit_test(logs_of_central_systems_are_read),
		cmocka_unit_test(directions_have_many_words),
		cmocka_unit_test(a_result_goes_the_other_way_than_its_call),
		cmocka_unit_test(an_answer_is_of_a_call_that_it_fits),
		cmocka_unit_test(a_result_goes_the_other_way_than_its_call_among_many),
		cmocka_unit_test(a_time_without_a_zone_is_refused),
		cmocka_unit_test(clocks_are_put_forward_and_back),
		cmocka_unit_test(a_word_for_a_zone_is_never_passed_over),
		cmocka_unit_test(a_line_may_end_anywhere),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
