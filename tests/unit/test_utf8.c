#include "unit.h"

#include "base/utf8.h"

static void utf8_is_storable_follows_unicode_and_postgresql(void **state)
{
	static const struct {
		struct slice text;
		bool storable;
		const char *replaced;
	} cases[] = {
		{SLICE(""), true, ""},
		{SLICE("plain ascii, longer than eight bytes"), true,
			"plain ascii, longer than eight bytes"},
		{SLICE("Stra\xc3\x9f"
		       "e \xe2\x82\xac \xf0\x9f\x94\x8c"),
			true,
			"Stra\xc3\x9f"
			"e \xe2\x82\xac \xf0\x9f\x94\x8c"},
		{SLICE("a\0b"), false,
			"a\xef\xbf\xbd"
			"b"},
		{SLICE("12345678\0"), false, "12345678\xef\xbf\xbd"},
		{SLICE("\xc0\x80"), false, "\xef\xbf\xbd\xef\xbf\xbd"},
		{SLICE("\xed\xa0\x80"), false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{SLICE("\xf4\x90\x80\x80"), false,
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{SLICE("\xe2\x82"), false, "\xef\xbf\xbd"},
		{SLICE("\xe2\x82X"), false, "\xef\xbf\xbdX"},
		{SLICE("\xff"
		       "abcdefgh"),
			false,
			"\xef\xbf\xbd"
			"abcdefgh"},
		{SLICE("\x01\x02\x7f"), true, "\x01\x02\x7f"},
	};
	struct arena a;

	(void)state;
	assert_true(arena_init(&a, 4096, 4096));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct slice out = utf8_replace(&a, cases[i].text);

		assert_int_equal(utf8_is_storable(cases[i].text), cases[i].storable);
		assert_slice_equal(out, cases[i].replaced);
		assert_true(utf8_is_storable(out));
	}
	assert_true(slice_is_absent(utf8_replace(&a, slice_of("x", 4000))));
	arena_fini(&a);
}

static void utf8_put_writes_what_is_storable(void **state)
{
	uint8_t out[4];

	(void)state;
	for (uint32_t c = 1; c < 0x110000; c++) {
		uint8_t *end = utf8_put(out, c);

		assert_int_equal(utf8_is_storable(slice_of(out, (size_t)(end - out))),
			c < 0xd800 || c > 0xdfff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_storable_follows_unicode_and_postgresql),
		cmocka_unit_test(utf8_put_writes_what_is_storable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
