#include "unit.h"

#include "decode/value.h"

static struct arena arena;

static int setup_group(void **state)
{
	(void)state;
	return !arena_init(&arena, 1 << 20, 1 << 20);
}

static int teardown_group(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct value number(const char *text)
{
	return (struct value){.kind = VALUE_NUMBER, .text = slice_from_cstr(text)};
}

static struct value string(const char *text)
{
	return (struct value){.kind = VALUE_STRING, .text = slice_from_cstr(text)};
}

static struct slice put(void (*write)(struct text *, const struct value *), const struct value *v)
{
	struct text t;

	text_begin(&t, &arena);
	write(&t, v);
	return text_end(&t);
}

/* Digests in databases are made of this form. */
static void value_canonical_form_never_changes(void **state)
{
	static const struct {
		const char *number, *canonical;
	} numbers[] = {{"0", "0"}, {"-0", "0"}, {"0.000", "0"}, {"1", "1e0"}, {"1500", "15e2"},
		{"1.5e3", "15e2"}, {"1500.0", "15e2"}, {"-0.010", "-1e-2"}, {"1e400", "1e400"},
		{"1e200000", "1e200000"}, {"100.001", "100001e-3"}};
	struct member members[] = {{SLICE("b"), string("x\"\n")}, {SLICE("a"), number("1.0")},
		{SLICE("c"), {.kind = VALUE_NULL}}, {SLICE("a"), number("2")},
		{SLICE("t"), string("2023-09-18T08:25:40.20Z")},
		{SLICE("z"), string("2023-09-18T08:25:40")}};
	struct value map = {.kind = VALUE_MAP, .count = 6, .members = members};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		struct value v = number(numbers[i].number);

		assert_slice_equal(put(value_put_canonical, &v), numbers[i].canonical);
	}
	assert_slice_equal(put(value_put_canonical, &map),
		"{\"a\":2e0,\"b\":\"x\\\"\\u000a\",\"t\":@1695025540200000,"
		"\"z\":\"2023-09-18T08:25:40\"}");
}

static void value_of_many_members_is_sorted_as_one_of_few(void **state)
{
	struct member members[200];
	char keys[200][8];
	struct value map = {.kind = VALUE_MAP, .count = 200, .members = members};
	struct slice text;

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%03zu", (i * 77) % 200);
		members[i] = (struct member){slice_from_cstr(keys[i]), number("1")};
	}
	text = put(value_put_canonical, &map);
	for (size_t i = 0; i < 200; i++) {
		char expected[16];

		snprintf(expected, sizeof(expected), "\"%03zu\":1e0", i);
		assert_memory_equal(text.data + 1 + i * 10, expected, 9);
	}
}

static void value_json_of_what_is_not_used(void **state)
{
	struct member inner[] = {{SLICE("x"), number("1")}, {SLICE("y"), number("2")}};
	struct value items[] = {number("1"), number("2")};
	struct member members[] = {
		{SLICE("a"), {.kind = VALUE_MAP, .count = 2, .members = inner}},
		{SLICE("b"), {.kind = VALUE_ARRAY, .count = 2, .items = items}},
		{SLICE("c"), {.kind = VALUE_MAP, .count = 0}},
	};
	struct value map = {.kind = VALUE_MAP, .count = 3, .members = members};

	(void)state;
	value_mark_used(&inner[0].value);
	value_mark_used(&members[1].value);
	assert_slice_equal(put(value_put_json_unused, &map), "{\"a\":{\"y\":2},\"c\":{}}");
	value_mark_used(&inner[1].value);
	value_mark_used(&members[2].value);
	assert_true(value_is_spent(&map));
	assert_slice_equal(put(value_put_json_unused, &map), "null");
	assert_slice_equal(put(value_put_json, &map),
		"{\"a\":{\"x\":1,\"y\":2},\"b\":[1,2],\"c\":{}}");
}

static void value_that_nobody_asked_for_stays_whole(void **state)
{
	struct value null = {.kind = VALUE_NULL};
	struct member only_null[] = {{SLICE("x"), {.kind = VALUE_NULL}}};
	struct value items[] = {number("1"), {.kind = VALUE_MAP, .count = 1, .members = only_null},
		null};
	struct value nulls[] = {null, null};
	struct member members[] = {
		{SLICE("known"), number("1")},
		{SLICE("vendors"), {.kind = VALUE_ARRAY, .count = 3, .items = items}},
		{SLICE("nulls"), {.kind = VALUE_ARRAY, .count = 2, .items = nulls}},
		{SLICE("absent"), null},
	};
	struct value map = {.kind = VALUE_MAP, .count = 4, .members = members};

	(void)state;
	value_mark_used(&members[0].value);
	assert_slice_equal(put(value_put_json_unused, &map),
		"{\"vendors\":[1,{\"x\":null},null],\"nulls\":[null,null]}");
}

static void value_get_takes_the_last_of_equal_keys(void **state)
{
	struct member members[] = {{SLICE("a"), number("1")}, {SLICE("a"), number("2")}};
	struct value map = {.kind = VALUE_MAP, .count = 2, .members = members};
	struct value text = string("x");

	(void)state;
	assert_slice_equal(value_text(value_get(&map, (struct slice)SLICE("a"))), "2");
	assert_null(value_get(&map, (struct slice)SLICE("b")));
	assert_null(value_get(&text, (struct slice)SLICE("a")));
	assert_null(value_get(NULL, (struct slice)SLICE("a")));
	assert_true(slice_is_absent(value_text(&map)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_canonical_form_never_changes),
		cmocka_unit_test(value_of_many_members_is_sorted_as_one_of_few),
		cmocka_unit_test(value_json_of_what_is_not_used),
		cmocka_unit_test(value_that_nobody_asked_for_stays_whole),
		cmocka_unit_test(value_get_takes_the_last_of_equal_keys),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
