/*
 * Runs while the program is built: writes the statements of copy/sql as C, with the lists of
 * columns that they leave out (statement.h says which words stand for what).
 *
 *	expand_statements copy/sql copy_statements.c
 */
#include "base/slice.h"
#include "rows/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder;

/* Where messages to the store go. */
static const struct {
	const char *entity;
	enum table_id table;
	const char *target;
	size_t keys;
} kinds[] = {
#define KIND(entity, name, target, key_count, lookup_key_count)                                    \
	{#entity, TABLE_store_##entity, #target, key_count},
#include "store/kinds.def"
#undef KIND
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- text, in a string literal ---- */

static void put_bytes(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			fputs("\\n\"\n\t\t\"", stdout);
		else if (text[i] == '"' || text[i] == '\\')
			printf("\\%c", text[i]);
		else
			putchar(text[i]);
	}
}

static void put(const char *text)
{
	put_bytes(text, strlen(text));
}

static void put_param(size_t number)
{
	printf("$%zu", number);
}

/* ---- lists of columns ---- */

struct style {
	const char *name;
	const char *before,
		*between;    /* the name of a column, which comes twice if there is a between */
	const char *numeric; /* after the name of a numeric column */
};

static const struct style styles[] = {
	{"columns", "", NULL, ""},
	{"x_columns", "x.", NULL, ""},
	{"t_columns", "t.", NULL, ""},
	{"text_columns", "t.", NULL, "::text"},
	{"excluded_columns", "excluded.", NULL, ""},
	{"set", "", " = x.", ""},
	{"excluded", "", " = excluded.", ""},
};

static const struct style *const STYLE_PLAIN = &styles[0], *const STYLE_X = &styles[1];

static void put_some_columns(const struct table *table, size_t count, const struct style *style)
{
	for (size_t i = 0; i < count; i++) {
		const struct column *c = &table->columns[i];

		put(i > 0 ? ", " : "");
		put(style->before);
		put(c->name);
		if (style->between != NULL) {
			put(style->between);
			put(c->name);
		}
		if (c->type == COLUMN_NUMERIC)
			put(style->numeric);
	}
}

static void put_columns(const struct table *table, const struct style *style)
{
	put_some_columns(table, table->columns_count, style);
}

static void put_unnest(const struct table *table)
{
	put("unnest(");
	for (size_t i = 0; i < table->columns_count; i++) {
		put(i > 0 ? ", " : "");
		put_param(i + 1);
		put("::");
		put(column_type_name(table->columns[i].type));
		put("[]");
	}
	put(") WITH ORDINALITY AS x (");
	put_columns(table, STYLE_PLAIN);
	put(", n)");
}

/* ---- words ---- */

/* A word that only tables of the store have. */
static bool put_kind_word(struct slice name, const struct table *table)
{
	size_t kind = 0;

	while (kind < KINDS && kinds[kind].table != table->id)
		kind++;
	if (kind == KINDS)
		return false;
	if (slice_equal_cstr(name, "target"))
		put(kinds[kind].target);
	else if (slice_equal_cstr(name, "keys"))
		put_some_columns(table, kinds[kind].keys, STYLE_PLAIN);
	else if (slice_equal_cstr(name, "x_keys"))
		put_some_columns(table, kinds[kind].keys, STYLE_X);
	else
		return false;
	return true;
}

static bool put_columns_word(struct slice name, const struct table *table)
{
	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
		if (slice_equal_cstr(name, styles[i].name)) {
			put_columns(table, &styles[i]);
			return true;
		}
	}
	return false;
}

/* One {word} or {word:table}. own: the table that the statement is for, or NULL. */
static bool put_word(struct slice word, const struct table *own)
{
	const uint8_t *colon = memchr(word.data, ':', word.size);
	struct slice name = word;
	const struct table *table = own;

	if (colon != NULL) {
		name.size = (size_t)(colon - word.data);
		table = table_by_name(slice_of(colon + 1, word.size - name.size - 1));
	}
	if (table == NULL)
		return false;
	if (slice_equal_cstr(name, "table"))
		put(table->name);
	else if (slice_equal_cstr(name, "unnest"))
		put_unnest(table);
	else if (slice_equal_cstr(name, "names_agree"))
		put(table->id == TABLE_ocpp_events ? "(x.action = '' OR t.action IN ('', x.action))"
						   : "true");
	else if (slice_equal_cstr(name, "next"))
		put_param(table->columns_count + 1);
	else if (slice_equal_cstr(name, "next+1"))
		put_param(table->columns_count + 2);
	else
		return put_columns_word(name, table) || put_kind_word(name, table);
	return true;
}

/* ---- files ---- */

static _Noreturn void refuse(const char *file, const char *what, struct slice where)
{
	fprintf(stderr, "expand_statements: %s/%s.sql: %s%.*s\n", folder, file, what,
		SLICE_ARG(where));
	exit(1); /* NOLINT(concurrency-mt-unsafe): it has one thread */
}

/* The caller frees what it borrows. */
static struct slice read_file(const char *name)
{
	char path[4096], *text = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.sql", folder, name);
	file = fopen(path, "r");
	if (file == NULL || getdelim(&text, &size, '\0', file) < 0)
		refuse(name, "cannot be read", slice_of(NULL, 0));
	(void)fclose(file);
	return slice_of(text, strlen(text));
}

/* A brace in our SQL is always a word. */
static void put_file(const char *name, const struct table *own)
{
	struct slice file = read_file(name), rest = file;

	for (;;) {
		const uint8_t *open = memchr(rest.data, '{', rest.size), *close;
		struct slice word;

		if (open == NULL)
			break;
		put_bytes((const char *)rest.data, (size_t)(open - rest.data));
		rest = slice_skip(rest, (size_t)(open - rest.data) + 1);
		close = memchr(rest.data, '}', rest.size);
		if (close == NULL)
			refuse(name, "a brace is open: ", rest);
		word = slice_of(rest.data, (size_t)(close - rest.data));
		rest = slice_skip(rest, word.size + 1);
		if (!put_word(word, own))
			refuse(name, "nobody knows the word ", word);
	}
	put_bytes((const char *)rest.data, rest.size);
	free((void *)(uintptr_t)file.data);
}

/* ---- statements ---- */

/* {name, text}. own: the table it is made for, or NULL. */
static void put_statement(const char *file, const struct table *own)
{
	printf("{\"%s%s%s\",\n\t\t\"", file, own == NULL ? "" : "_", own == NULL ? "" : own->name);
	put_file(file, own);
	printf("\"},\n");
}

/* What follows the table in COPY. */
static void put_copy_columns(const struct table *table, const char *more)
{
	printf("\"(");
	put_columns(table, STYLE_PLAIN);
	put(more);
	printf(") FROM STDIN (FORMAT binary)\",\n");
}

static void put_of_events(const char *member, const char *file)
{
	printf("\t.%s = {\n", member);
	for (size_t i = 0; i < EVENT_TABLES; i++) {
		printf("\t\t[TABLE_%s] = ", tables[i].name);
		put_statement(file, &tables[i]);
	}
	printf("\t},\n");
}

static void put_columns_of_events(const char *member, const char *more)
{
	printf("\t.%s = {\n", member);
	for (size_t i = 0; i < EVENT_TABLES; i++) {
		printf("\t\t[TABLE_%s] = ", tables[i].name);
		put_copy_columns(&tables[i], more);
	}
	printf("\t},\n");
}

static void put_named(void)
{
	printf("\t.all = {\n");
#define STATEMENT(id, file)                                                                        \
	printf("\t\t[STATEMENT_" #id "] = ");                                                      \
	put_statement(#file, NULL);
#include "copy/statements.def"
#undef STATEMENT
	printf("\t},\n");
}

/* Each has a file of its name. */
static void put_of_states(void)
{
	printf("\t.states = {\n");
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (tables[i].merge != MERGE_STATE)
			continue;
		printf("\t\t[TABLE_%s] = ", tables[i].name);
		put_statement(tables[i].name, NULL);
	}
	printf("\t},\n");
}

static void put_of_store(void)
{
	printf("\t.store = {\n");
	for (size_t i = 0; i < KINDS; i++) {
		printf("\t\t[STATEMENT_KIND_%s] = ", kinds[i].entity);
		put_statement(kinds[i].table == TABLE_store_setting ? "store_settings" : "store",
			&tables[kinds[i].table]);
	}
	printf("\t},\n\t.store_tables = {\n");
	for (size_t i = 0; i < KINDS; i++)
		printf("\t\t[STATEMENT_KIND_%s] = TABLE_store_%s,\n", kinds[i].entity,
			kinds[i].entity);
	printf("\t},\n");
}

static void put_of_one_table(void)
{
	const struct table *values = &tables[TABLE_meter_values];
	const struct table *dead = &tables[TABLE_dead_letters];

	printf("\t.missing = ");
	put_statement("missing", values);
	printf("\t.not_missing = ");
	put_statement("not_missing", values);
	printf("\t.halves_columns = ");
	put_copy_columns(&tables[TABLE_exchange_halves], "");
	printf("\t.dead_columns = ");
	put_copy_columns(dead, "");
	/* Without the constraints of the table itself: it lacks a column, and is merged anyway. */
	printf("\t.dead_table = \"CREATE TEMPORARY TABLE IF NOT EXISTS new_dead_letters "
	       "ON COMMIT DELETE ROWS AS SELECT ");
	put_columns(dead, STYLE_PLAIN);
	printf(" FROM dead_letters WITH NO DATA\",\n");
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: expand_statements FOLDER FILE\n");
		return 2;
	}
	folder = argv[1];
	if (freopen(argv[2], "w", stdout) == NULL) {
		perror(argv[2]);
		return 1;
	}
	printf("/* Made by expand_statements. */\n#include \"copy/statement.h\"\n\n"
	       "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\n"
	       "const struct statements statements = {\n");
	put_named();
	put_of_states();
	put_of_store();
	put_of_events("seen", "seen");
	put_of_events("seen_odd", "seen_odd");
	put_of_events("careful", "careful");
	put_columns_of_events("copy_columns", "");
	put_columns_of_events("load_columns", ", follows");
	put_of_one_table();
	printf("};\n");
	return ferror(stdout) || fclose(stdout) != 0;
}
