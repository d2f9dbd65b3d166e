#include "unit.h"

#include "rows/schema.h"

#define HEAD "message M 1.6 call\n"
#define ROW HEAD "row transaction_events\n"
#define ROWS HEAD "rows meter_values each a\n"

static bool parse(const char *text, struct schemas **out, struct error *err)
{
	const struct embedded_file file = {.name = "x", .text = text, .size = strlen(text)};

	return schemas_new(out, &file, 1, err);
}

static void errors_have_file_and_line(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "x:0: there is no message line"},
		{"# only\n", "x:1: there is no message line"},
		{"message M 1.6\n", "x:1: a message line has a name, versions and a type"},
		{"message M 1.6 shout\n", "x:1: call, result, send or paired was expected"},
		{"message M 1.6 call twice\n", "x:1: call, result, send or paired was expected"},
		{"\nmessage M 1.6,3.0 call\n", "x:2: a version that is not known"},
		{HEAD "message N 1.6 call\n", "x:2: a file has one message line"},
		{"message M 1.6,1.6 call\n", "x:1: this message is described twice"},
		{"row transaction_events\n", "x:1: the message line must come first"},
		{HEAD "row nowhere\n", "x:2: a table that is not known"},
		{HEAD "row\n", "x:2: a table that is not known"},
		{HEAD "half\nhalf\nhalf\nhalf\nhalf\n", "x:6: too many blocks"},
		{HEAD "rows meter_values\n", "x:2: rows TABLE each PATH was expected"},
		{HEAD "rows meter_values of a\n", "x:2: rows TABLE each PATH was expected"},
		{HEAD " a b c\n", "x:2: a field outside of a block"},
		{ROW " evse_id\n", "x:3: COLUMN PATH TYPE or COLUMN = CONSTANT was expected"},
		{ROW " nothing a string\n", "x:3: a column that the table does not have"},
		{ROW " evse_id a..b integer\n", "x:3: a path is empty or too long"},
		{ROW " evse_id a.b.c.d.e.f integer\n", "x:3: a path is empty or too long"},
		{ROW " evse_id / integer\n", "x:3: a path is empty"},
		{ROW " evse_id a integer more\n", "x:3: unknown words at the end of the line"},
		{ROW " evse_id a integer default\n", "x:3: unknown words at the end of the line"},
		{ROW " 1 2 3 4 5 6 7 8 9\n", "x:3: too many words"},
		{ROW "samples a\n", "x:3: samples PATH goes into a block of rows"},
		{ROWS "samples\n", "x:3: samples PATH goes into a block of rows"},
		{ROWS "samples a\n colour a string\n", "x:4: an unknown part of a sample"},
		{HEAD "table x\n", "x:2: an unknown word at the beginning of a line"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct schemas *s = NULL;
		struct error err = {.reason = ""};

		if (parse(cases[i].text, &s, &err))
			fail_msg("no error for: %s", cases[i].text);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(err.reason, "bad_schema");
		assert_int_equal(err.kind, ERROR_FATAL);
	}
}

static void a_block_has_only_so_many_fields(void **state)
{
	char text[4096] = ROW;
	struct schemas *s = NULL;
	struct error err;

	(void)state;
	for (int i = 0; i < SCHEMA_FIELDS_MAX; i++)
		strncat(text, " evse_id a integer\n", sizeof(text) - strlen(text) - 1);
	assert_true(parse(text, &s, &err));
	schemas_free(&s);
	strncat(text, " evse_id a integer\n", sizeof(text) - strlen(text) - 1);
	assert_false(parse(text, &s, &err));
	assert_string_equal(err.message, "x:35: too many fields");
}

static void every_version_of_a_line_has_the_same_blocks(void **state)
{
	struct schemas *s = NULL;
	struct error err;
	const struct schema_message *m, *other;

	(void)state;
	assert_true(parse("# why\nmessage M 2.0.1,2.1 call paired\nrow transaction_events\n"
			  " event_type = Started # not Ended\n"
			  " evse_id /evse.id integer required default 1",
		&s, &err));
	m = schemas_find(s, VERSION_201, MESSAGE_CALL, slice_from_cstr("M"));
	other = schemas_find(s, VERSION_21, MESSAGE_CALL, slice_from_cstr("M"));
	assert_true(m != NULL && other != NULL && m != other);
	assert_null(schemas_find(s, VERSION_16, MESSAGE_CALL, slice_from_cstr("M")));
	assert_null(schemas_find(s, VERSION_21, MESSAGE_RESULT, slice_from_cstr("M")));
	assert_true(m->paired && other->paired);
	assert_int_equal(other->blocks_count, 1);
	assert_int_equal(other->blocks[0].fields_count, 2);
	assert_slice_equal(other->blocks[0].fields[0].constant, "Started");
	assert_true(other->blocks[0].fields[1].required);
	assert_true(other->blocks[0].fields[1].path.from_root);
	assert_int_equal(other->blocks[0].fields[1].path.count, 2);
	assert_slice_equal(other->blocks[0].fields[1].default_text, "1");
	schemas_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_file_and_line),
		cmocka_unit_test(a_block_has_only_so_many_fields),
		cmocka_unit_test(every_version_of_a_line_has_the_same_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
