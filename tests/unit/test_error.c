#include "unit.h"

#include "base/error.h"

#include <errno.h>

static void error_texts_build_up_on_the_way(void **state)
{
	struct error err;

	(void)state;
	errno = ENOENT;
	assert_false(error_set_errno(&err, ERROR_FATAL, REASON_disk, "could not open \"%s\"", "x"));
	assert_int_equal(err.kind, ERROR_FATAL);
	assert_string_equal(err.message, "could not open \"x\": No such file or directory");
	error_prefix(&err, "line %d", 7);
	assert_string_equal(err.message, "line 7: could not open \"x\": No such file or directory");
	error_hint(&err, "make it");
	assert_string_equal(err.hint, "make it");
	assert_int_equal(err.offset, -1);
	assert_string_equal(error_kind_name(ERROR_ROUTE), "route");
}

static void who_ends_it_follows_from_the_kind(void **state)
{
	static const struct {
		enum error_kind kind;
		const char *name;
		bool needs_person;
	} cases[] = {
		{ERROR_POISON, "poison", false},
		{ERROR_FULL, "full", false},
		{ERROR_TRANSIENT, "transient", false},
		{ERROR_REFUSED, "refused", false},
		{ERROR_UNCERTAIN, "uncertain", false},
		{ERROR_MOVED, "moved", false},
		{ERROR_STALE, "stale", false},
		{ERROR_ROUTE, "route", false},
		{ERROR_OUTDATED, "outdated", true},
		{ERROR_FATAL, "fatal", true},
		{ERROR_STOPPED, "stopped", false},
		{ERROR_NO_SPACE, "no_space", false},
		{ERROR_DAMAGED, "damaged", true},
		{ERROR_FOREIGN, "foreign", true},
		{ERROR_ABSENT, "absent", true},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		err.slow = true;
		assert_false(error_set(&err, cases[i].kind, REASON_timeout, "y"));
		assert_string_equal(error_kind_name(cases[i].kind), cases[i].name);
		assert_int_equal(err.needs_person, cases[i].needs_person);
		assert_false(err.slow);
	}
}

static void error_has_one_reason_by_code_and_by_name(void **state)
{
	struct error err;

	(void)state;
	error_set(&err, ERROR_TRANSIENT, REASON_connection, "y");
	assert_string_equal(err.reason, "connection");
	assert_int_equal(error_about(&err), ABOUT_CONNECTION);
	error_hint(&err, "z");
	assert_false(error_becomes(&err, ERROR_FATAL, REASON_schema_behind));
	assert_int_equal(err.kind, ERROR_FATAL);
	assert_string_equal(err.reason, "schema_behind");
	assert_int_equal(error_about(&err), ABOUT_SCHEMA);
	assert_string_equal(err.message, "y");
	assert_string_equal(err.hint, "z");
	error_set(&err, ERROR_POISON, REASON_bad_json, "y");
	assert_int_equal(error_about(&err), ABOUT_NOTHING);
}

static void error_without_a_struct_is_fine(void **state)
{
	(void)state;
	assert_false(error_set(NULL, ERROR_POISON, REASON_timeout, "y"));
	assert_false(error_prefix(NULL, "x"));
	assert_false(error_becomes(NULL, ERROR_FATAL, REASON_memory));
	assert_false(error_hint(NULL, "x"));
}

static void error_text_is_cut_not_overrun(void **state)
{
	struct error err;
	char long_text[2000];

	(void)state;
	memset(long_text, 'a', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	error_set(&err, ERROR_POISON, REASON_timeout, "%s", long_text);
	error_prefix(&err, "%s", long_text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_ends_it_follows_from_the_kind),
		cmocka_unit_test(error_texts_build_up_on_the_way),
		cmocka_unit_test(error_has_one_reason_by_code_and_by_name),
		cmocka_unit_test(error_without_a_struct_is_fine),
		cmocka_unit_test(error_text_is_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
