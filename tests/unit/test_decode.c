#include "unit.h"

#include "base/limits.h"
#include "decode/decode.h"

static struct topic_patterns patterns;
static struct decoder *decoder;
static struct arena arena;
static struct message messages[16];
static struct error errors[16];
static enum decode_next results[16];

enum { PAYLOAD_MAX = 1 << 20 };

static int setup_group(void **state)
{
	struct error err;

	(void)state;
	return !(topic_patterns_add(&patterns, "+/{direction}/{version}/{station}", &err) &&
		 decoder_new(&decoder, &patterns, PAYLOAD_MAX, &err) &&
		 arena_init(&arena, 64 << 20, 1 << 20));
}

static int teardown_group(void **state)
{
	(void)state;
	decoder_free(&decoder);
	arena_fini(&arena);
	return 0;
}

/* How many messages and bad items; -1 with errors[0] if the record is not a message. The payload is
 * copied to its exact size, so that a read past it is seen. */
static int decode_bytes(const char *topic, const void *data, size_t size)
{
	struct decode_input input = {.seq = 5, .received_us = 77};
	uint8_t *exact;
	int count = 0;

	arena_reset(&arena);
	exact = arena_alloc(&arena, size);
	memcpy(exact, data, size);
	input.topic = slice_from_cstr(topic);
	input.trace = slice_from_cstr("");
	input.payload = slice_of(exact, size);
	if (!decode_begin(decoder, &input, &arena, &errors[0]))
		return -1;
	while (count < 16) {
		results[count] = decode_next(decoder, &messages[count], &errors[count]);
		if (results[count] == DECODE_END)
			break;
		count++;
	}
	return count;
}

static int decode(const char *text)
{
	return decode_bytes("cs/in/ocpp1.6/cs001", text, strlen(text));
}

static struct slice json_of(const struct value *v)
{
	struct text t;

	text_begin(&t, &arena);
	value_put_json(&t, v);
	return text_end(&t);
}

static struct slice canonical_of(const struct value *v)
{
	struct text t;

	text_begin(&t, &arena);
	value_put_canonical(&t, v);
	return text_end(&t);
}

static void decode_maeve_envelopes(void **state)
{
	struct message *m = &messages[0];

	(void)state;
	assert_int_equal(
		decode("{\"type\":2,\"action\":\"StartTransaction\",\"id\":\"8\",\"request\":"
		       "{\"connectorId\":1,\"meterStart\":3.10,\"x\":[]}}"),
		1);
	assert_int_equal(results[0], DECODE_MESSAGE);
	assert_int_equal(m->type, MESSAGE_CALL);
	assert_slice_equal(m->action, "StartTransaction");
	assert_slice_equal(m->id, "8");
	assert_slice_equal(m->station, "cs001");
	assert_int_equal(m->version, VERSION_16);
	assert_slice_equal(m->version_text, "1.6");
	assert_int_equal(m->direction, DIRECTION_IN);
	assert_int_equal(m->seq, 5);
	assert_int_equal(m->received_us, 77);
	assert_slice_equal(json_of(m->payload), "{\"connectorId\":1,\"meterStart\":3.10,\"x\":[]}");
	assert_null(m->request);

	assert_int_equal(decode("{\"type\":3,\"action\":\"A\",\"id\":\"1\",\"request\":{\"a\":1},"
				"\"response\":{}}"),
		1);
	assert_int_equal(m->type, MESSAGE_RESULT);
	assert_slice_equal(json_of(m->payload), "{}");
	assert_slice_equal(json_of(m->request), "{\"a\":1}");

	assert_int_equal(
		decode("{\"type\":4,\"action\":\"A\",\"id\":\"1\",\"error_code\":\"InternalError"
		       "\",\"error_description\":\"no\",\"state\":null}"),
		1);
	assert_int_equal(m->type, MESSAGE_ERROR);
	assert_slice_equal(m->error_code, "InternalError");
	assert_slice_equal(m->error_description, "no");
	assert_null(m->payload);
}

static void decode_knows_a_version_however_it_is_written(void **state)
{
	static const struct {
		const char *level;
		enum message_version version;
		const char *text;
	} cases[] = {{"ocpp1.6", VERSION_16, "1.6"}, {"OCPP1.6", VERSION_16, "1.6"},
		{"ocpp1.6J", VERSION_16, "1.6"}, {"Ocpp16j", VERSION_16, "1.6"},
		{"OCPP2.0.1", VERSION_201, "2.0.1"}, {"2.0J", VERSION_201, "2.0.1"},
		{"ocpp2.1", VERSION_21, "2.1"}, {"OCPP1.5", VERSION_UNKNOWN, "1.5"},
		{"J", VERSION_UNKNOWN, "J"}, {"ocpp", VERSION_UNKNOWN, "ocpp"},
		{"1.6JJ", VERSION_UNKNOWN, "1.6JJ"}};
	char topic[40];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(topic, sizeof(topic), "cs/in/%s/cs001", cases[i].level);
		assert_int_equal(decode_bytes(topic, "[2,\"1\",\"A\",{}]", 14), 1);
		assert_int_equal(messages[0].version, cases[i].version);
		assert_slice_equal(messages[0].version_text, cases[i].text);
	}
}

static void decode_ocpp_j_frames(void **state)
{
	struct message *m = &messages[0];

	(void)state;
	assert_int_equal(decode(" [2,\"19\",\"Heartbeat\",{}]"), 1);
	assert_int_equal(results[0], DECODE_MESSAGE);
	assert_slice_equal(m->id, "19");
	assert_slice_equal(m->action, "Heartbeat");
	assert_int_equal(decode("[3,\"19\",{\"currentTime\":\"x\"}]"), 1);
	assert_slice_equal(json_of(m->payload), "{\"currentTime\":\"x\"}");
	assert_slice_equal(m->action, "");
	assert_int_equal(decode("[4,\"19\",\"NotSupported\",\"\",{\"a\":1}]"), 1);
	assert_slice_equal(m->error_code, "NotSupported");
	assert_slice_equal(json_of(m->payload), "{\"a\":1}");
	assert_int_equal(decode("[5,\"19\",\"GenericError\",\"d\",{}]"), 1);
	assert_int_equal(m->type, MESSAGE_RESULT_ERROR);
	assert_int_equal(decode("[6,\"19\",\"NotifyPeriodicEventStream\",{}]"), 1);
	assert_int_equal(m->type, MESSAGE_SEND);
	assert_int_equal(decode("[2,19,\"Heartbeat\"]"), 1);
	assert_slice_equal(m->id, "19");
}

static void decode_batches_keep_good_items_beside_bad_ones(void **state)
{
	(void)state;
	assert_int_equal(
		decode("[ {\"type\":2,\"action\":\"A\",\"id\":\"1\"} , [2,\"2\",\"B\",{}], "
		       "{\"type\":9},[1,2],{\"type\":3,\"id\":\"5\"}]"),
		5);
	assert_int_equal(results[0], DECODE_MESSAGE);
	assert_int_equal(results[1], DECODE_MESSAGE);
	assert_int_equal(results[2], DECODE_BAD);
	assert_int_equal(results[3], DECODE_BAD);
	assert_int_equal(results[4], DECODE_MESSAGE);
	assert_slice_equal(messages[0].raw, "{\"type\":2,\"action\":\"A\",\"id\":\"1\"}");
	assert_slice_equal(messages[1].raw, "[2,\"2\",\"B\",{}]");
	assert_slice_equal(messages[2].raw, "{\"type\":9}");
	assert_slice_equal(messages[3].raw, "[1,2]");
	assert_int_equal(messages[4].index, 4);
	assert_int_equal(errors[2].kind, ERROR_POISON);
	assert_string_equal(errors[2].reason, "bad_envelope");
	assert_int_equal(decode("[[2,\"2\",\"B\",{}],7]"), 2);
	assert_int_equal(results[1], DECODE_BAD);
}

static void decode_msgpack_gives_the_same_as_json(void **state)
{
	/* {"type":2,"id":"1","action":"A","request":{"n":[1,-5,1.5,250000000000.0,null,true],
	 * "time":timestamp 2023-09-18T08:25:40.2Z,"s":"x"}} */
	static const uint8_t packed[] = "\x84\xa4type\x02\xa2id\xa1"
					"1\xa6"
					"action\xa1"
					"A\xa7request\x83"
					"\xa1n\x96\x01\xfb\xca\x3f\xc0\x00\x00"
					"\xcb\x42\x4d\x1a\x94\xa2\x00\x00\x00\xc0\xc3"
					"\xa4time\xd7\xff\x2f\xaf\x08\x00\x65\x08\x09\x84"
					"\xa1s\xa1x";
	struct slice json;

	(void)state;
	assert_int_equal(decode_bytes("cs/in/ocpp2.0.1/cs001", packed, sizeof(packed) - 1), 1);
	assert_int_equal(results[0], DECODE_MESSAGE);
	assert_int_equal(messages[0].version, VERSION_201);
	json = json_of(messages[0].payload);
	assert_slice_equal(json, "{\"n\":[1,-5,1.5,250000000000,null,true],"
				 "\"time\":\"2023-09-18T08:25:40.2Z\",\"s\":\"x\"}");
	assert_slice_equal(canonical_of(messages[0].payload),
		"{\"n\":[1e0,-5e0,15e-1,25e10,null,true],\"s\":\"x\",\"time\":@1695025540200000}");
	assert_int_equal(
		decode("{\"type\":2,\"id\":\"1\",\"action\":\"A\",\"request\":{\"s\":\"x\","
		       "\"time\":"
		       "\"2023-09-18T10:25:40.200+02:00\",\"gone\":null,\"n\":[1,-5,1.50,25e10,"
		       "null,true]}}"),
		1);
	assert_slice_equal(canonical_of(messages[0].payload),
		"{\"n\":[1e0,-5e0,15e-1,25e10,null,true],\"s\":\"x\",\"time\":@1695025540200000}");
}

static void decode_text_that_cannot_be_stored_is_replaced_and_marked(void **state)
{
	static const struct {
		struct slice payload;
		const char *json; /* of the request */
	} cases[] = {
		{SLICE("[2,\"1\",\"A\",{\"a\":\"x\\u0000y\"}]"), "{\"a\":\"x\xef\xbf\xbdy\"}"},
		{SLICE("[2,\"1\",\"A\",{\"a\":\"\\ud800\"}]"), "{\"a\":\"\xef\xbf\xbd\"}"},
		{SLICE("[2,\"1\",\"A\",{\"a\":\"\\udc00\\ud83d\\ude00\"}]"),
			"{\"a\":\"\xef\xbf\xbd\xf0\x9f\x98\x80\"}"},
		{SLICE("[2,\"1\",\"A\",{\"a\":\"\\\\u0000\"}]"), "{\"a\":\"\\\\u0000\"}"},
		{SLICE("[2,\"1\",\"A\",{\"a\":\"\xff\"}]"), "{\"a\":\"\xef\xbf\xbd\"}"},
		{SLICE("[2,\"1\",\"A\",{\"\xc0\x80\":1}]"), "{\"\xef\xbf\xbd\xef\xbf\xbd\":1}"},
		{SLICE("\x94\x02\xa1"
		       "1\xa1"
		       "A\x81\xa1"
		       "a\xa3x\x00y"),
			"{\"a\":\"x\xef\xbf\xbdy\"}"},
		{SLICE("\x94\x02\xa1"
		       "1\xa1"
		       "A\x81\xa1"
		       "a\xc4\x02\xff\x00"),
			"{\"a\":\"/wA=\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(decode_bytes("cs/in/ocpp1.6/cs001", cases[i].payload.data,
					 cases[i].payload.size),
			1);
		assert_int_equal(results[0], DECODE_MESSAGE);
		assert_slice_equal(json_of(messages[0].payload), cases[i].json);
		assert_int_equal(messages[0].text_replaced, i != 3);
		assert_true(slice_equal(messages[0].raw, cases[i].payload));
	}
}

/* What cannot be kept of one message says nothing about its neighbours, in any order. */
static void decode_items_of_a_batch_are_marked_one_by_one(void **state)
{
	static const char *const items[] = {"[2,\"1\",\"A\",{\"a\":\"\\ufffd\"}]",
		"[2,\"2\",\"A\",{\"a\":\"\\ud800\"}]",
		"{\"type\":2,\"id\":\"3\",\"action\":\"A\",\"request\":{\"a\":[{}]}}",
		"[2,\"4\",\"A\",{\"\xff\":1}]", "[2,\"5\",\"A\",{\"a\":1,\"a\":2}]",
		"[2,\"6\",\"A\",{\"a\":1e999999}]", "\"\xff\"", "[2,\"8\",\"A\",{}]"};
	static const bool replaced[] = {false, true, false, true, true, true, false, false};
	enum { ITEMS = sizeof(items) / sizeof(*items) };
	char payload[400];

	(void)state;
	for (size_t first = 0; first < ITEMS; first++) {
		int size = 0;

		if (items[first][0] == '"')
			continue; /* then it is not a batch */
		for (size_t i = 0; i < ITEMS; i++)
			size += snprintf(payload + size, sizeof(payload) - (size_t)size, "%s%s",
				i == 0 ? "[" : " ,", items[(first + i) % ITEMS]);
		memcpy(payload + size, "]", 2);
		assert_int_equal(decode(payload), ITEMS);
		for (size_t i = 0; i < ITEMS; i++)
			assert_int_equal(messages[i].text_replaced, replaced[(first + i) % ITEMS]);
	}
	/* msgpack: [[2,"1","A",{}],[2,"2","A",{"a":<ff 00>}],[2,"3","A",{}]] */
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/cs001",
				 "\x93\x94\x02\xa1\x31\xa1\x41\x80"
				 "\x94\x02\xa1\x32\xa1\x41\x81\xa1\x61\xc4\x02\xff\x00"
				 "\x94\x02\xa1\x33\xa1\x41\x80",
				 28),
		3);
	assert_false(messages[0].text_replaced);
	assert_true(messages[1].text_replaced);
	assert_false(messages[2].text_replaced);
}

static void decode_numbers_keep_their_text(void **state)
{
	static const char text[] = "[1.10,1e400,-0,123456789012345678901234567890,1E-5,0.000]";
	char payload[200];

	(void)state;
	snprintf(payload, sizeof(payload), "[2,\"1\",\"A\",%s]", text);
	assert_int_equal(decode(payload), 1);
	assert_slice_equal(json_of(messages[0].payload), text);
}

static void decode_what_is_no_message_says_why(void **state)
{
	static const struct {
		const char *topic;
		struct slice payload;
		const char *reason;
	} cases[] = {
		{"cs/in/ocpp1.6/cs001", SLICE("\xdd\xff\xff\xff\xff"), "bad_msgpack"},
		{"cs/in/ocpp1.6/cs001", SLICE("\xdf\xff\xff\xff\xff"), "bad_msgpack"},
		{"cs/in/ocpp1.6/cs001", SLICE("\xdb\xff\xff\xff\xff"), "unknown_format"},
		{"cs/in/ocpp1.6/cs001", SLICE("\xdc\x00"), "bad_msgpack"},
		{"cs/in/ocpp1.6/cs001", SLICE("\xc1"), "unknown_format"},
		{"cs/in/ocpp1.6/cs001", SLICE("\x91\xc1"), "bad_msgpack"},
		{"cs/in/ocpp1.6/cs001", SLICE("\x91\x02\x03"), "bad_msgpack"},
		{"cs/in/ocpp1.6/cs001", SLICE("\x81\xc0\x01"), "bad_msgpack"},
		{"cs/in/ocpp1.6/cs001", SLICE(""), "empty"},
		{"cs/in/ocpp1.6/cs001", SLICE(" \n"), "empty"},
		{"cs/in/ocpp1.6/cs001", SLICE("hello"), "unknown_format"},
		{"cs/in/ocpp1.6/cs001", SLICE("{\"type\":2,\"action\":\"Bo"), "bad_json"},
		{"cs/in/ocpp1.6/cs001", SLICE("{}{}"), "bad_json"},
		{"cs/in/ocpp1.6/cs001", SLICE("{\"a\":01}"), "bad_json"},
		{"cs/in/ocpp1.6", SLICE("{}"), "unknown_topic"},
		{"cs/up/ocpp1.6/cs001", SLICE("{}"), "unknown_topic"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(
			decode_bytes(cases[i].topic, cases[i].payload.data, cases[i].payload.size),
			-1);
		assert_int_equal(errors[0].kind, ERROR_POISON);
		assert_string_equal(errors[0].reason, cases[i].reason);
	}
	assert_int_equal(decode("{}"), 1);
	assert_int_equal(results[0], DECODE_BAD);
	assert_int_equal(decode("[]"), 1);
	assert_int_equal(results[0], DECODE_BAD);
}

static void decode_errors_have_a_position(void **state)
{
	(void)state;
	assert_int_equal(decode("{\"type\":2,\"action\":nonsense}"), -1);
	assert_in_range(errors[0].offset, 18, 22);
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/c", "\x92\x02\xdb\xff\xff\xff\xff", 7), -1);
	assert_int_equal(errors[0].offset, 2);
}

static void decode_limits_nesting_and_number_of_values(void **state)
{
	static char text[PAYLOAD_MAX];

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/c", text, sizeof(text)), -1);
	assert_string_equal(errors[0].reason, "too_deep");
	memset(text, '\x91', sizeof(text));
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/c", text, sizeof(text)), -1);
	assert_string_equal(errors[0].reason, "too_deep");
	text[0] = '[';
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "1,", 2);
	memcpy(text + sizeof(text) - 2, "1]", 2);
	text[sizeof(text) - 3] = ',';
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/c", text, sizeof(text)), -1);
	assert_string_equal(errors[0].reason, "too_many_values");
	memset(text, '\x01', sizeof(text));
	memcpy(text, "\xdd\x00\x0f\xff\xfb", 5);
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/c", text, sizeof(text)), -1);
	assert_string_equal(errors[0].reason, "too_many_values");
	/* The longest text with an escape: what the JSON library's own buffer has to hold. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "[\"\\n", 4);
	memcpy(text + sizeof(text) - 2, "\"]", 2);
	assert_int_equal(decode_bytes("cs/in/ocpp1.6/c", text, sizeof(text)), 1);
}

static void decode_of_every_cut_and_every_changed_byte_ends(void **state)
{
	static const char json[] =
		"[{\"type\":2,\"action\":\"A\",\"id\":\"\\u00e4\",\"request\":{\"a\":[1,"
		"2.5e3,true,null,\"x\"]}},[3,\"1\",{\"b\":{}}]]";
	static const uint8_t packed[] =
		"\x92\x84\xa4type\x02\xa2id\xa1"
		"1\xa6"
		"action\xa1"
		"A\xa7request\x81\xa1n\x93\x01\xcb\x3f\xf8\x00\x00\x00\x00\x00"
		"\x00\xd6\xff\x65\x08\x09\x34\x93\x03\xa1"
		"1\x80";
	const struct {
		const void *data;
		size_t size;
	} inputs[] = {{json, sizeof(json) - 1}, {packed, sizeof(packed) - 1}};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		uint8_t copy[256];

		for (size_t cut = 0; cut < inputs[k].size; cut++)
			assert_true(decode_bytes("cs/in/ocpp1.6/c", inputs[k].data, cut) <= 2);
		for (size_t i = 0; i < inputs[k].size; i++) {
			for (int byte = 0; byte < 256; byte++) {
				memcpy(copy, inputs[k].data, inputs[k].size);
				copy[i] = (uint8_t)byte;
				(void)decode_bytes("cs/in/ocpp1.6/c", copy, inputs[k].size);
			}
		}
	}
}

static void decode_full_arena_is_not_poison(void **state)
{
	static const char json[] = "[2,\"1\",\"A\",{\"a\":[1,2,3,{\"b\":\"\\u00e4\"}]}]";
	struct decode_input input = {.topic = SLICE("cs/in/ocpp1.6/c"),
		.trace = SLICE(""),
		.payload = SLICE("[2,\"1\",\"A\",{\"a\":[1,2,3,{\"b\":\"\\u00e4\"}]}]")};
	bool done = false;

	(void)state;
	(void)json;
	for (size_t room = 0; !done; room += 16) {
		struct arena small;
		struct error err;

		assert_true(arena_init(&small, 4096, 4096));
		assert_non_null(arena_bytes(&small, 4096 - room));
		done = decode_begin(decoder, &input, &small, &err);
		if (!done) {
			assert_int_equal(err.kind, ERROR_FULL);
			assert_string_equal(err.reason, "arena_full");
		}
		arena_fini(&small);
		assert_true(room < 4096);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_maeve_envelopes),
		cmocka_unit_test(decode_knows_a_version_however_it_is_written),
		cmocka_unit_test(decode_ocpp_j_frames),
		cmocka_unit_test(decode_batches_keep_good_items_beside_bad_ones),
		cmocka_unit_test(decode_msgpack_gives_the_same_as_json),
		cmocka_unit_test(decode_text_that_cannot_be_stored_is_replaced_and_marked),
		cmocka_unit_test(decode_items_of_a_batch_are_marked_one_by_one),
		cmocka_unit_test(decode_numbers_keep_their_text),
		cmocka_unit_test(decode_what_is_no_message_says_why),
		cmocka_unit_test(decode_errors_have_a_position),
		cmocka_unit_test(decode_limits_nesting_and_number_of_values),
		cmocka_unit_test(decode_of_every_cut_and_every_changed_byte_ends),
		cmocka_unit_test(decode_full_arena_is_not_poison),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
