#include "unit.h"

#include "migrate/sql_split.h"

/* Statements of a file, each as "line:text", joined by "|". */
static const char *split(const char *sql)
{
	static char out[4096];
	struct sql_statement statement;
	struct sql_split s;
	size_t used = 0;

	out[0] = '\0';
	sql_split_init(&s, slice_from_cstr(sql));
	while (sql_split_next(&s, &statement))
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%d:%.*s",
			used > 0 ? "|" : "", statement.line, SLICE_ARG(statement.text));
	return out;
}

static void statements_end_at_semicolons(void **state)
{
	(void)state;
	assert_string_equal(split("SELECT 1;SELECT 2"), "1:SELECT 1|1:SELECT 2");
	assert_string_equal(split("a;\nb\n;\n\nc;\n"), "1:a|2:b\n|5:c");
	assert_string_equal(split(""), "");
	assert_string_equal(split(" \n;;\r\n ; "), "");
	assert_string_equal(split("-- only a comment"), "");
	assert_string_equal(split("/* only /* a */ comment"), "");
}

static void line_is_that_of_the_first_word_not_of_the_comment_before(void **state)
{
	(void)state;
	assert_string_equal(split("-- a; b\n\n/* c;\n*/ d;\n-- e\nf"), "4:d|6:f");
	assert_string_equal(split("a -- it's;\n+ b; c"), "1:a -- it's;\n+ b|2:c");
	assert_string_equal(split("a /* ; /* ' */ ; */ b; c"), "1:a /* ; /* ' */ ; */ b|1:c");
	assert_string_equal(split("a - - b; c / * d; e"), "1:a - - b|1:c / * d|1:e");
}

static void semicolons_in_quotes_end_nothing(void **state)
{
	(void)state;
	assert_string_equal(split("'a;''b;'; c"), "1:'a;''b;'|1:c");
	assert_string_equal(split("\"a;\"\"b;\"; c"), "1:\"a;\"\"b;\"|1:c");
	assert_string_equal(split("'--'; c"), "1:'--'|1:c");
	assert_string_equal(split("'\n;\n'; c"), "1:'\n;\n'|3:c");
	/* Backslashes count after E only, and only if E is a word of its own. */
	assert_string_equal(split("'\\'; c"), "1:'\\'|1:c");
	assert_string_equal(split("E'\\';'; c"), "1:E'\\';'|1:c");
	assert_string_equal(split("e'\\\\'; c"), "1:e'\\\\'|1:c");
	assert_string_equal(split("make'\\'; c"), "1:make'\\'|1:c");
	assert_string_equal(split("1e'\\'; c"), "1:1e'\\'|1:c");
	assert_string_equal(split("U&'\\'; c"), "1:U&'\\'|1:c");
}

static void semicolons_in_dollar_quotes_end_nothing(void **state)
{
	(void)state;
	assert_string_equal(split("DO $$ a; b $$; c"), "1:DO $$ a; b $$|1:c");
	assert_string_equal(split("$x$ a; $$; $y$; $x$; c"), "1:$x$ a; $$; $y$; $x$|1:c");
	assert_string_equal(split("$x$\n;\n$x$;\nc"), "1:$x$\n;\n$x$|4:c");
	assert_string_equal(split("$\xc3\xa4$;$\xc3\xa4$; c"), "1:$\xc3\xa4$;$\xc3\xa4$|1:c");
	/* Not quotes: a parameter, a dollar within a name. */
	assert_string_equal(split("f($1); c; $1$; d"), "1:f($1)|1:c|1:$1$|1:d");
	assert_string_equal(split("a$b$; c$b$; d"), "1:a$b$|1:c$b$|1:d");
}

static void semicolons_in_parentheses_and_bodies_end_nothing(void **state)
{
	(void)state;
	assert_string_equal(split("CREATE RULE r DO (a; b); c"), "1:CREATE RULE r DO (a; b)|1:c");
	assert_string_equal(split("CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 "
				  "END; x; END; c"),
		"1:CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; x; END|1:c");
	assert_string_equal(split("begin\n/* ; */ atomic a; end; c"),
		"1:begin\n/* ; */ atomic a; end|2:c");
	assert_string_equal(split("BEGIN; ATOMIC; END; c"), "1:BEGIN|1:ATOMIC|1:END|1:c");
	assert_string_equal(split("a \"begin\" atomic; c"), "1:a \"begin\" atomic|1:c");
	assert_string_equal(split("a); b"), "1:a)|1:b");
}

static void what_is_left_open_is_the_last_statement(void **state)
{
	(void)state;
	assert_string_equal(split("a; 'b; c"), "1:a|1:'b; c");
	assert_string_equal(split("a; $x$b; $y$"), "1:a|1:$x$b; $y$");
	assert_string_equal(split("a; b /* ; c"), "1:a|1:b /* ; c");
	assert_string_equal(split("a; (b; c"), "1:a|1:(b; c");
	assert_string_equal(split("E'\\"), "1:E'\\");
	assert_string_equal(split("$"), "1:$");
}

static void transaction_control_is_known_by_all_its_names(void **state)
{
	static const char *const yes[] = {"BEGIN", "begin work", "START TRANSACTION", "COMMIT",
		"commit and chain", "END", "ROLLBACK", "ROLLBACK WORK", "abort",
		"PREPARE TRANSACTION 'x'", "commit/* */prepared 'x'"};
	static const char *const no[] = {"ROLLBACK TO SAVEPOINT a", "ROLLBACK WORK TO a",
		"SAVEPOINT a", "RELEASE a", "PREPARE a AS SELECT 1", "SELECT 1", "'BEGIN'",
		"DO $$BEGIN END$$", "COMMITS", "CREATE TABLE begin ()", "(BEGIN)", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		assert_true(sql_is_transaction_control(slice_from_cstr(yes[i])));
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		assert_false(sql_is_transaction_control(slice_from_cstr(no[i])));
}

static void positions_count_characters(void **state)
{
	struct sql_statement statement = {SLICE("\xc3\xa4\n\xe2\x82\xac\nx"), 10};

	(void)state;
	assert_int_equal(sql_line_at(&statement, 1), 10);
	assert_int_equal(sql_line_at(&statement, 2), 10); /* the line break itself */
	assert_int_equal(sql_line_at(&statement, 3), 11);
	assert_int_equal(sql_line_at(&statement, 5), 12);
	assert_int_equal(sql_line_at(&statement, 500), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements_end_at_semicolons),
		cmocka_unit_test(line_is_that_of_the_first_word_not_of_the_comment_before),
		cmocka_unit_test(semicolons_in_quotes_end_nothing),
		cmocka_unit_test(semicolons_in_dollar_quotes_end_nothing),
		cmocka_unit_test(semicolons_in_parentheses_and_bodies_end_nothing),
		cmocka_unit_test(what_is_left_open_is_the_last_statement),
		cmocka_unit_test(transaction_control_is_known_by_all_its_names),
		cmocka_unit_test(positions_count_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
