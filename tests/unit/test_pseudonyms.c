#include "base/pseudonyms.h"
#include "decode/value.h"
#include "unit.h"

/* What a list of forgotten tokens does to texts and bytes. */

static struct arena arena;
static struct pseudonyms *list;

static void forget(const char *token, const char *pseudonym)
{
	uint8_t hash[SHA256_BYTES];
	struct error err;

	pseudonyms_hash(slice_from_cstr("salt"), slice_from_cstr(token), hash);
	assert_true(pseudonyms_add(list, slice_of(hash, sizeof(hash)), slice_from_cstr(pseudonym),
		&err));
}

static int begin(void **state)
{
	struct error err;

	(void)state;
	assert_true(arena_init(&arena, 1 << 20, 1 << 20));
	assert_true(pseudonyms_new(&list, &err));
	assert_true(pseudonyms_begin(list, slice_from_cstr("salt"), &err));
	return 0;
}

static int end(void **state)
{
	(void)state;
	pseudonyms_free(&list);
	arena_fini(&arena);
	return 0;
}

static void assert_bytes(const char *bytes, size_t size, const char *wanted)
{
	struct slice s = slice_of(bytes, size);

	assert_true(pseudonyms_in_bytes(list, TOKEN_BYTES, &arena, &s));
	assert_int_equal(s.size, size);
	assert_memory_equal(s.data, wanted, size);
}

static void text_is_found_in_either_case(void **state)
{
	(void)state;
	assert_true(pseudonyms_is_empty(list));
	assert_true(slice_is_absent(pseudonyms_of(list, slice_from_cstr("04ab12"))));
	forget("04AB12", "XYZXYZ");
	forget("abcdefgh", "PPPPPPPP");
	for (int twice = 0; twice < 2; twice++) {
		assert_true(
			slice_equal_cstr(pseudonyms_of(list, slice_from_cstr("04aB12")), "XYZXYZ"));
		assert_true(slice_equal_cstr(pseudonyms_of(list, slice_from_cstr("ABCDEFGH")),
			"PPPPPPPP"));
		assert_true(slice_is_absent(pseudonyms_of(list, slice_from_cstr("Accepted"))));
		assert_true(slice_is_absent(pseudonyms_of(list, slice_from_cstr("04AB1"))));
		assert_true(slice_is_absent(pseudonyms_of(list, slice_from_cstr(""))));
	}
}

static void another_list_forgets_the_first(void **state)
{
	struct error err;

	(void)state;
	forget("04AB12", "XYZXYZ");
	assert_true(slice_is_absent(pseudonyms_of(list, slice_from_cstr("other1"))));
	assert_true(pseudonyms_begin(list, slice_from_cstr("salt"), &err));
	assert_true(slice_is_absent(pseudonyms_of(list, slice_from_cstr("04AB12"))));
	forget("other1", "QQQQQQ");
	assert_true(slice_equal_cstr(pseudonyms_of(list, slice_from_cstr("other1")), "QQQQQQ"));
}

static void bytes_keep_their_size_and_all_else(void **state)
{
	static const char json[] = "{\"a\":\"04AB12\",\"b\":\"x04AB12\",\"c\":\"{\\\"d\\\":"
				   "\\\"04ab12\\\"}\",\"e\":\"04AB12";
	static const char json_wanted[] = "{\"a\":\"XYZXYZ\",\"b\":\"x04AB12\",\"c\":\"{\\\"d\\\":"
					  "\\\"XYZXYZ\\\"}\",\"e\":\"04AB12";
	static const char msgpack[] = "\x81\xa1"
				      "a\xa6"
				      "04AB12\xd9\x06"
				      "04AB12\xa7"
				      "04AB12x\xa6"
				      "04AB";
	static const char msgpack_wanted[] = "\x81\xa1"
					     "a\xa6"
					     "XYZXYZ\xd9\x06"
					     "XYZXYZ\xa7"
					     "04AB12x\xa6"
					     "04AB";
	struct slice same = slice_from_cstr("{\"a\":\"b\"}"), before = same;

	(void)state;
	forget("04AB12", "XYZXYZ");
	assert_bytes(json, sizeof(json) - 1, json_wanted);
	assert_bytes(msgpack, sizeof(msgpack) - 1, msgpack_wanted);
	assert_true(pseudonyms_in_bytes(list, TOKEN_BYTES, &arena, &same));
	assert_ptr_equal(same.data, before.data);
}

static void text_is_found_however_it_is_spelled(void **state)
{
	static const struct {
		const char *bytes, *wanted;
	} texts[] = {
		{"{\"a\":\"\\u00304AB12\",\"b\":1}", "{\"a\":\"XYZXYZ\"     ,\"b\":1}"},
		{"\"{\\\"a\\\":\\\"04\\\\u0041B12\\\"}\"", "\"{\\\"a\\\":\\\"XYZXYZ\\\"      }\""},
		{"[\"t\\u00f6k\\u00E9n1\"]", "[\"PPPPPPPP\"        ]"},
		{"[\"A\\/BCD1\"]", "[\"QQQQQQ\" ]"},
		{"[\"ab\\ud83d\\uDE00\"]", "[\"RRRRRR\"        ]"},
		{"[\"ab\\ud83d\\u0041\"]", "[\"ab\\ud83d\\u0041\"]"},
		{"[\"\\u00304AB12", "[\"\\u00304AB12"},
		{"[\"\\u00304AB12x\"]", "[\"\\u00304AB12x\"]"},
		{"[\"\\u003", "[\"\\u003"},
		{"[\"\\", "[\"\\"},
	};

	(void)state;
	forget("04AB12", "XYZXYZ");
	forget("t\303\266k\303\251n1", "PPPPPPPP");
	forget("A/BCD1", "QQQQQQ");
	forget("ab\360\237\230\200", "RRRRRR");
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_bytes(texts[i].bytes, strlen(texts[i].bytes), texts[i].wanted);
	assert_bytes("\xda\x00\x06"
		     "04AB12",
		9,
		"\xda\x00\x06"
		"XYZXYZ");
	assert_bytes("\xdb\x00\x00\x00\x06"
		     "04AB12",
		11,
		"\xdb\x00\x00\x00\x06"
		"XYZXYZ");
}

/* Tokens of digits and of letters: which of them stay, and what is shown in place of the others. */
static const char *const strangers[] = {
	"[2,\"1234567\",\"A\",{\"idTag\":\"QQQQQQQ\"}]",
	" [ [ 3 , \"1234567\", {\"transactionId\" : \"1234567\"}],[3,\"QQQQQQQ\",{}]]",
	"{\"type\":2,\"id\":\"1234567\",\"request\":{\"id\":\"QQQQQQQ\"}}",
	"{\"x\":{},\"a\":[\"QQQQQQQ\"],\"meterStart\":\"1234567\",\"c\":\"QQQQQQQ\"}",
	"{\"sampledValue\":[{\"value\":\"1\"},{\"value\":\"1234567\"}],\"value\":"
	"\"QQQQQQQ\"}",
	"{\"sampledValue\":[{\"value\":\"XYZXYZ\",\"a\":\"QQQQQQQ\"}]}",
	"{\"data\":\"{\\\"sampledValue\\\":[{\\\"value\\\":\\\"1234567\\\"}],"
	"\\\"connectorId\\\":\\\"1234567\\\",\\\"b\\\":\\\"QQQQQQQ\\\"}\"}",
	"{\"connectorId\":\"XYZXYZ\",\"transactionId\":\"04AB12\"}",
	"\x93\x02\xa7"
	"1234567"
	"\xa7"
	"QQQQQQQ",
	"\x83\xa4"
	"type"
	"\x02\xa1"
	"f"
	"\xca\x01\x02\x03\x04\xa2"
	"id"
	"\xa7"
	"1234567",
	"\x83\xa1"
	"x"
	"\x81\xa2"
	"id"
	"\xa7"
	"QQQQQQQ",
	"\x83\xa2"
	"ab"
	"\xa7"
	"QQQQQQQ"
	"\xad"
	"transactionId"
	"\xa7"
	"1234567",
	"\xac"
	"sampledValue"
	"\x91\x82\xa5"
	"value"
	"\xa7"
	"1234567"
	"\xa1"
	"a\xa7"
	"QQQQQQQ",
	"\xa5"
	"value"
	"\xa7"
	"QQQQQQQ"
	"\xaa"
	"meterStart"
	"\xa7"
	"1234567",
};

static void what_can_be_no_token_stays(void **state)
{
	(void)state;
	forget("1234567", "QQQQQQQ");
	forget("04AB12", "XYZXYZ");
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		char sent[256];
		char *at;

		snprintf(sent, sizeof(sent), "%s", strangers[i]);
		while ((at = strstr(sent, "QQQQQQQ")) != NULL)
			memcpy(at, "1234567", 7);
		while ((at = strstr(sent, "XYZXYZ")) != NULL)
			memcpy(at, "04ab12", 6);
		assert_bytes(sent, strlen(sent), strangers[i]);
	}
}

static void values_of_columns_have_their_kind(void **state)
{
	static const struct {
		enum token_kind kind;
		const char *before, *after;
	} values[] = {
		{TOKEN_NONE, "1234567", "1234567"},
		{TOKEN_NAME, "1234567", "QQQQQQQ"},
		{TOKEN_NAME, "\"1234567\"", "\"1234567\""},
		{TOKEN_WORDS, "1234567", "QQQQQQQ"},
		{TOKEN_WORDS, "card 1234567", "card 1234567"},
		{TOKEN_WORDS, "{\"id\":\"1234567\"}", "{\"id\":\"QQQQQQQ\"}"},
		{TOKEN_JSON, "\1{\"id\": \"1234567\"}", "\1{\"id\": \"QQQQQQQ\"}"},
		{TOKEN_BYTES, "{\"id\":\"1234567\"}", "{\"id\":\"1234567\"}"},
		{TOKEN_JSON, "\1[{\"value\": \"1234567\"}]", "\1[{\"value\": \"QQQQQQQ\"}]"},
		{TOKEN_READINGS, "\1[{\"value\": \"1234567\"}]", "\1[{\"value\": \"1234567\"}]"},
		{TOKEN_READINGS, "\1[{\"x\": \"1234567\"}]", "\1[{\"x\": \"QQQQQQQ\"}]"},
	};

	(void)state;
	forget("1234567", "QQQQQQQ");
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		uint8_t value[64];
		size_t size = strlen(values[i].before);

		memcpy(value, values[i].before, size);
		assert_int_equal(pseudonyms_in_value(list, values[i].kind, value, size),
			strcmp(values[i].before, values[i].after) != 0);
		assert_memory_equal(value, values[i].after, size);
	}
}

static void hash_is_that_of_the_database(void **state)
{
	/* HMAC-SHA256 of "04ab12" with the key "salt"; rows of forgotten_tokens have it. */
	static const uint8_t wanted[] = {0xdb, 0x4f, 0x02, 0x47, 0xf6, 0x64, 0xe9, 0x76, 0xb6, 0x5d,
		0xb0, 0xbe, 0x57, 0x9c, 0xd5, 0x15, 0x0b, 0x50, 0x39, 0x5f, 0x4e, 0x75, 0x74, 0xc8,
		0xb8, 0x24, 0x8e, 0x78, 0x88, 0x6a, 0x29, 0x15};
	uint8_t hash[SHA256_BYTES];

	(void)state;
	pseudonyms_hash(slice_from_cstr("salt"), slice_from_cstr("04AB12"), hash);
	assert_memory_equal(hash, wanted, sizeof(hash));
}

static struct slice put(void (*how)(struct text *t, const struct value *v), const struct value *v)
{
	struct text t;

	text_begin(&t, &arena);
	how(&t, v);
	return text_end(&t);
}

static void disguised_value_keeps_its_identity(void **state)
{
	struct value text = {.kind = VALUE_STRING, .text = SLICE("04AB12")};
	struct value number = {.kind = VALUE_NUMBER, .text = SLICE("123400")};
	struct value text_before = text, number_before = number;

	(void)state;
	assert_true(value_disguise(&text, slice_from_cstr("XYZXYZ"), &arena));
	assert_true(value_disguise(&number, slice_from_cstr("ABCDEF"), &arena));
	assert_true(slice_equal_cstr(value_text(&text), "XYZXYZ"));
	assert_true(slice_equal_cstr(put(value_put_json, &text), "\"XYZXYZ\""));
	assert_true(slice_equal_cstr(put(value_put_json, &number), "\"ABCDEF\""));
	assert_true(slice_equal(put(value_put_canonical, &text),
		put(value_put_canonical, &text_before)));
	assert_true(slice_equal(put(value_put_canonical, &number),
		put(value_put_canonical, &number_before)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_is_found_in_either_case, begin, end),
		cmocka_unit_test_setup_teardown(another_list_forgets_the_first, begin, end),
		cmocka_unit_test_setup_teardown(bytes_keep_their_size_and_all_else, begin, end),
		cmocka_unit_test_setup_teardown(text_is_found_however_it_is_spelled, begin, end),
		cmocka_unit_test_setup_teardown(what_can_be_no_token_stays, begin, end),
		cmocka_unit_test_setup_teardown(values_of_columns_have_their_kind, begin, end),
		cmocka_unit_test_setup_teardown(hash_is_that_of_the_database, begin, end),
		cmocka_unit_test_setup_teardown(disguised_value_keeps_its_identity, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
