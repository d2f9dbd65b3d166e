#include "unit.h"

#include "stations/writer.h"

/* One of everything. */
static void put_everything(struct writer *w)
{
	writer_map(w);
	writer_key(w, "text");
	writer_text(w, slice_from_cstr("a \"b\" <c> & \\ \n \xc3\xbc"));
	writer_key(w, "numbers");
	writer_array(w);
	writer_int(w, 0);
	writer_int(w, 127);
	writer_int(w, 128);
	writer_int(w, 65535);
	writer_int(w, 65536);
	writer_int(w, INT64_C(4294967296));
	writer_int(w, -1);
	writer_int(w, -33);
	writer_int(w, -129);
	writer_int(w, -32769);
	writer_int(w, INT64_MIN);
	writer_end(w);
	writer_key(w, "amounts");
	writer_array(w);
	writer_amount(w, (struct amount){110, 2, 0});
	writer_amount(w, (struct amount){7, 0, 0});
	writer_amount_text(w, (struct amount){0, 3, 0});
	writer_end(w);
	writer_key(w, "none");
	writer_null(w);
	writer_key(w, "yes");
	writer_bool(w, true);
	writer_key(w, "no");
	writer_bool(w, false);
	writer_key(w, "empty");
	writer_map(w);
	writer_end(w);
	writer_end(w);
}

static struct slice written(enum writer_format format, uint8_t *buffer, size_t size)
{
	struct writer w;

	writer_init(&w, buffer, size, format);
	put_everything(&w);
	return w.full ? (struct slice){NULL, 0} : writer_slice(&w);
}

#define NUMBERS                                                                                    \
	"\"numbers\":[0,127,128,65535,65536,4294967296,-1,-33,-129,-32769,-9223372036854775808],"

static void writer_json_is_compact_and_escaped_as_go_does(void **state)
{
	uint8_t buffer[1024];

	(void)state;
	assert_slice_equal(written(WRITER_JSON, buffer, sizeof(buffer)),
		"{\"text\":\"a \\\"b\\\" \\u003cc\\u003e \\u0026 \\\\ \\u000a \xc3\xbc\"," NUMBERS
		"\"amounts\":[1.10,7,\"0.000\"],\"none\":null,\"yes\":true,\"no\":false,"
		"\"empty\":{}}");
}

static void writer_json_of_msgpack_says_what_the_float_says(void **state)
{
	uint8_t buffer[1024];

	(void)state;
	assert_slice_equal(written(WRITER_JSON_OF_MSGPACK, buffer, sizeof(buffer)),
		"{\"text\":\"a \\\"b\\\" \\u003cc\\u003e \\u0026 \\\\ \\u000a \xc3\xbc\"," NUMBERS
		"\"amounts\":[1.1,7,\"0.000\"],\"none\":null,\"yes\":true,\"no\":false,"
		"\"empty\":{}}");
}

static void writer_msgpack_takes_the_shortest_form(void **state)
{
	static const char expected[] =
		"\x87\xa4"
		"text\xb2"
		"a \"b\" <c> & \\ \n \xc3\xbc\xa7"
		"numbers\x9b\x00\x7f\xcc\x80\xcd\xff\xff\xce\x00\x01\x00\x00"
		"\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xff\xd0\xdf\xd1\xff\x7f\xd2\xff\xff\x7f\xff"
		"\xd3\x80\x00\x00\x00\x00\x00\x00\x00\xa7"
		"amounts\x93\xcb\x3f\xf1\x99\x99\x99\x99\x99\x9a\x07\xa5"
		"0.000\xa4none\xc0\xa3yes\xc3\xa2no\xc2\xa5"
		"empty\x80";
	uint8_t buffer[1024];
	struct slice s = written(WRITER_MSGPACK, buffer, sizeof(buffer));

	(void)state;
	assert_int_equal(s.size, sizeof(expected) - 1);
	assert_memory_equal(s.data, expected, s.size);
}

static void writer_msgpack_heads_grow_with_their_container(void **state)
{
	uint8_t buffer[4096];
	struct writer w;

	(void)state;
	writer_init(&w, buffer, sizeof(buffer), WRITER_MSGPACK);
	writer_array(&w);
	writer_array(&w);
	for (int i = 0; i < 16; i++)
		writer_int(&w, i);
	writer_end(&w);
	writer_map(&w);
	for (int i = 0; i < 300; i++) {
		writer_key(&w, "k");
		writer_int(&w, 1);
	}
	writer_end(&w);
	writer_text(&w, slice_from_cstr("0123456789012345678901234567890123"));
	writer_end(&w);
	assert_false(w.full);
	assert_memory_equal(buffer, "\x93\xdc\x00\x10\x00\x01", 6);
	assert_int_equal(buffer[1 + 3 + 15], 15);
	assert_memory_equal(buffer + 1 + 3 + 16, "\xde\x01\x2c\xa1k\x01\xa1k", 8);
	assert_memory_equal(buffer + 1 + 3 + 16 + 3 + 900,
		"\xd9\x22"
		"0123",
		6);
	assert_int_equal(writer_slice(&w).size, 1 + 3 + 16 + 3 + 900 + 2 + 34);
}

static void writer_never_writes_past_its_buffer(void **state)
{
	static const enum writer_format formats[] = {WRITER_JSON, WRITER_MSGPACK,
		WRITER_JSON_OF_MSGPACK};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t whole[1024];
		size_t size = written(formats[i], whole, sizeof(whole)).size;

		for (size_t room = 0; room < size; room++) {
			/* On the heap, so that a sanitizer sees the first byte past it. */
			uint8_t *buffer = malloc(room + 1);

			assert_non_null(buffer);
			buffer[room] = 0x5a;
			assert_true(slice_is_absent(written(formats[i], buffer, room)));
			assert_int_equal(buffer[room], 0x5a);
			free(buffer);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writer_json_is_compact_and_escaped_as_go_does),
		cmocka_unit_test(writer_json_of_msgpack_says_what_the_float_says),
		cmocka_unit_test(writer_msgpack_takes_the_shortest_form),
		cmocka_unit_test(writer_msgpack_heads_grow_with_their_container),
		cmocka_unit_test(writer_never_writes_past_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
