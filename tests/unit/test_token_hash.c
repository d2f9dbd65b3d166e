#include "base/token_hash.h"
#include "unit.h"

#include <string.h>

/* Hashes are stored: they never change. */

static const struct slice key = SLICE("0123456789abcdef");
static struct arena arena;

static int begin(void **state)
{
	(void)state;
	assert_true(arena_init(&arena, 1 << 20, 1 << 20));
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

#define HASH "#2y7tqxljjy6per0umpk" /* of 04ab12 */

#define NUMBER "#uq4cvkbrr2wr4z9v8ti" /* of 44556677 */

static void hash_never_changes(void **state)
{
	char hash[TOKEN_HASH_BYTES];

	(void)state;
	token_hash(key, slice_from_cstr("04ab12"), hash);
	assert_memory_equal(hash, HASH, sizeof(hash));
	token_hash(key, slice_from_cstr("04AB12"), hash);
	assert_memory_equal(hash, HASH, sizeof(hash));
	token_hash(slice_from_cstr("another key, as long"), slice_from_cstr("04ab12"), hash);
	assert_memory_not_equal(hash, HASH, sizeof(hash));
}

static void hash_is_recognised(void **state)
{
	(void)state;
	assert_true(token_is_hash(slice_from_cstr(HASH)));
	assert_false(token_is_hash(slice_from_cstr("04ab12")));
	assert_false(token_is_hash(slice_from_cstr("#0123456789ABCDEFGHI")));
	assert_false(token_is_hash(slice_from_cstr("#0123456789abcdefghij")));
	assert_true(token_is_key(slice_from_cstr("idTag")));
	assert_false(token_is_key(slice_from_cstr("idTagInfo")));
}

static void assert_becomes(struct slice bytes, struct slice wanted)
{
	struct slice s = bytes, again;

	assert_true(token_hash_in_bytes(key, &arena, &s));
	assert_int_equal(s.size, wanted.size);
	assert_memory_equal(s.data, wanted.data, s.size);
	again = s;
	assert_true(token_hash_in_bytes(key, &arena, &again));
	assert_ptr_equal(again.data, s.data);
}

static void values_of_bytes_become_hashes(void **state)
{
	static const struct {
		const char *bytes, *wanted;
	} texts[] = {
		{"{\"idTag\":\"04ab12\"}", "{\"idTag\":\"" HASH "\"}"},
		{"{\"idTag\" : \"04AB12\",\"a\":\"04AB12\"",
			"{\"idTag\" : \"" HASH "\",\"a\":\"04AB12\""},
		{"[{\"idTag\":\"04ab12\"},{\"parentIdTag\":\"04ab12\"}]",
			"[{\"idTag\":\"" HASH "\"},{\"parentIdTag\":\"" HASH "\"}]"},
		{"{\"idToken\":{\"idToken\":\"04ab12\",\"type\":\"x\"}}",
			"{\"idToken\":{\"idToken\":\"" HASH "\",\"type\":\"x\"}}"},
		{"{\"data\":\"{\\\"idTag\\\":\\\"04ab12\\\"}\"}",
			"{\"data\":\"{\\\"idTag\\\":\\\"" HASH "\\\"}\"}"},
		/* Numbers, lists, names with escapes. */
		{"{\"idTag\":44556677,\"a\":1}", "{\"idTag\":\"" NUMBER "\",\"a\":1}"},
		{"\"{\\\"idTag\\\": 44556677}\"", "\"{\\\"idTag\\\": \\\"" NUMBER "\\\"}\""},
		{"{\"idTag\":44556677", "{\"idTag\":\"" NUMBER "\""},
		{"{\"idTag\":4.5}", "{\"idTag\":4.5}"},
		{"{\"idTag\":[\"04ab12\", \"04AB12\",44556677],\"a\":\"04ab12\"}",
			"{\"idTag\":[\"" HASH "\", \"" HASH "\",\"" NUMBER "\"],\"a\":\"04ab12\"}"},
		{"{\"\\u0069dTa\\u0067\":\"04ab12\"}", "{\"\\u0069dTa\\u0067\":\"" HASH "\"}"},
		{"\"{\\\"\\\\u0069dTag\\\":\\\"04ab12\\\"}\"",
			"\"{\\\"\\\\u0069dTag\\\":\\\"" HASH "\\\"}\""},
		{"{\"idTag\":[", "{\"idTag\":["},
		{"{\"idTag\":[\"\",", "{\"idTag\":[\"\","},
		{"{\"\\u0069dTa", "{\"\\u0069dTa"},
		/* Cut off. */
		{"{\"idTag\":\"04ab12", "{\"idTag\":\"" HASH},
		/* Nothing to do. */
		{"{\"idTag\":\"\"}", "{\"idTag\":\"\"}"},
		{"{\"idTag\":null,\"x\":\"y\"}", "{\"idTag\":null,\"x\":\"y\"}"},
		{"{\"idTag\"", "{\"idTag\""},
		{"{\"idTag\":", "{\"idTag\":"},
		{"idTag", "idTag"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_becomes(slice_from_cstr(texts[i].bytes), slice_from_cstr(texts[i].wanted));
}

static void values_of_msgpack_become_hashes(void **state)
{
	static const struct slice bytes = SLICE("\x83\xa5idTag\xa6"
						"04ab12\xa1x\x01\xd9\x07idToken\xda\x00\x06"
						"04ab12");
	static const struct slice wanted =
		SLICE("\x83\xa5idTag\xb4" HASH "\xa1x\x01\xd9\x07idToken\xb4" HASH);
	static const struct slice cut = SLICE("\x81\xa5idTag\xd9");
	static const struct slice number = SLICE("\x81\xa5idTag\x07");

	(void)state;
	assert_becomes(bytes, wanted);
	assert_becomes(cut, cut);
	assert_becomes(number, number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_never_changes),
		cmocka_unit_test(hash_is_recognised),
		cmocka_unit_test_setup_teardown(values_of_bytes_become_hashes, begin, end),
		cmocka_unit_test_setup_teardown(values_of_msgpack_become_hashes, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
