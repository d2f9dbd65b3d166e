#include "unit.h"

#include "base/escape.h"

#include <stdlib.h>

static void assert_printed(bool (*print)(FILE *out, struct slice text), struct slice text,
	const char *wanted)
{
	char *made = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&made, &size);

	assert_true(print(out, text));
	fclose(out);
	assert_int_equal(size, strlen(wanted));
	assert_memory_equal(made, wanted, size);
	free(made);
}

static void escape_writes_what_a_terminal_obeys_as_text(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"", ""},
		{"cs001", "cs001"},
		{"Gr\xc3\xbc\xc3\x9f"
		 "e \xe6\xbc\xa2 \xf0\x9f\x94\x8c",
			"Gr\xc3\xbc\xc3\x9f"
			"e \xe6\xbc\xa2 \xf0\x9f\x94\x8c"},
		{"\x1b[2J", "\\x1b[2J"},
		{"a\tb\nc\rd", "a\\x09b\\nc\\x0dd"},
		{"\x7f\x08", "\\x7f\\x08"},
		{"\xc2\x9b"
		 "31m\xc2\x85\xc2\xa0",
			"\\u009b31m\\u0085\xc2\xa0"},
		{"\x9b"
		 "31m",
			"\\x9b31m"},
		{"\xff\xc0\x80\xed\xa0\x80", "\\xff\\xc0\\x80\\xed\\xa0\\x80"},
		{"\xe2\x80\xaegpj.exe", "\\u202egpj.exe"},
		{"\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad",
			"\\u200e\\u200f\\u202a\\u202b\\u202c\\u202d"},
		{"\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9\xd8\x9c",
			"\\u2066\\u2067\\u2068\\u2069\\u061c"},
		{"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
		{"\xef\xbb\xbf\xf3\xa0\x81\x81", "\\ufeff\\U000e0041"},
		{"\xe2\x80\xa7\xe2\x80\xaf\xf3\xa1\x80\x80",
			"\xe2\x80\xa7\xe2\x80\xaf\xf3\xa1\x80\x80"},
		{"\xe2\x80\x8b\xe2\x80\x8d\xe2\x81\xa0\xc2\xad\xef\xb8\x8f\xe1\xa0\x8e",
			"\\u200b\\u200d\\u2060\\u00ad\\ufe0f\\u180e"},
		{"\xef\xbf\xb9\xef\xbf\xbf\xf0\x9f\xbf\xbe\xf3\xa0\x80\x81\xef\xbf\xbc\xef\xbf\xbd",
			"\\ufff9\\uffff\\U0001fffe\\U000e0001\xef\xbf\xbc\xef\xbf\xbd"},
		{"cut \xe2\x80", "cut \\xe2\\x80"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char room[128];

		assert_printed(escape_print, slice_from_cstr(cases[i].text), cases[i].wanted);
		assert_string_equal(escape_into(room, sizeof(room), cases[i].text),
			cases[i].wanted);
	}
	assert_printed(escape_print, slice_of("a\0b", 3), "a\\x00b");
}

static void escape_keeps_json_valid_and_its_meaning(void **state)
{
	(void)state;
	assert_printed(escape_print_json, slice_from_cstr("{\"a\":\n\t[1]}\r\n"),
		"{\"a\":\n\t[1]}\r\n");
	assert_printed(escape_print_json, slice_from_cstr("\"\x7f\xc2\x9b\xe2\x80\xae\xc3\xbc\""),
		"\"\\u007f\\u009b\\u202e\xc3\xbc\"");
	assert_printed(escape_print_json, slice_from_cstr("\"\xf3\xa0\x81\x81\""),
		"\"\\udb40\\udc41\"");
}

static void escape_into_a_buffer_is_cut_between_characters(void **state)
{
	char room[8];

	(void)state;
	assert_string_equal(escape_into(room, sizeof(room), "0123456789"), "0123456");
	assert_string_equal(escape_into(room, sizeof(room),
				    "0123\x1b"
				    "9"),
		"0123");
	assert_string_equal(escape_into(room, sizeof(room),
				    "012\x1b"
				    "9"),
		"012\\x1b");
	assert_string_equal(escape_into(room, 1, "a"), "");
}

static void escape_pads_by_what_is_printed(void **state)
{
	char *made = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&made, &size);

	(void)state;
	escape_print_padded(out, "a\x1b", 8);
	escape_print_padded(out, "longer", 3);
	fclose(out);
	assert_string_equal(made, "a\\x1b   longer");
	free(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escape_writes_what_a_terminal_obeys_as_text),
		cmocka_unit_test(escape_keeps_json_valid_and_its_meaning),
		cmocka_unit_test(escape_into_a_buffer_is_cut_between_characters),
		cmocka_unit_test(escape_pads_by_what_is_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
