#include "copy/statement.h"

#include "base/text.h"
#include "copy/encode.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const statement_files[STATEMENT_COUNT] = {
	[STATEMENT_LAYOUTS] = "layouts.sql",
	[STATEMENT_LAYOUTS_DIFFER] = "layouts_differ.sql",
	[STATEMENT_LOCK] = "lock.sql",
	[STATEMENT_HALVES] = "halves.sql",
	[STATEMENT_HALVES_NEAR] = "halves_near.sql",
	[STATEMENT_HALVES_TRACED] = "halves_traced.sql",
	[STATEMENT_LOST_STARTS] = "lost_starts.sql",
	[STATEMENT_LOST_AUTHORIZE] = "lost_authorize.sql",
	[STATEMENT_ANSWERS] = "answers.sql",
	[STATEMENT_ANSWER_NAMES] = "answer_names.sql",
	[STATEMENT_RESENT_EVENTS] = "resent_events.sql",
	[STATEMENT_AUTHORIZE] = "authorize.sql",
	[STATEMENT_STARTS] = "starts.sql",
	[STATEMENT_TRANSACTION_COSTS] = "transaction_costs.sql",
	[STATEMENT_TRANSACTION_FLAGS] = "transaction_flags.sql",
	[STATEMENT_TRANSACTION_STARTS] = "transaction_starts.sql",
	[STATEMENT_SESSIONS_READ] = "sessions_read.sql",
	[STATEMENT_SESSIONS_DELETE] = "sessions_delete.sql",
	[STATEMENT_SESSIONS_SPLIT] = "sessions_split.sql",
	[STATEMENT_SESSIONS_KEYS] = "sessions_keys.sql",
	[STATEMENT_SESSIONS_INSERT] = "sessions_insert.sql",
	[STATEMENT_TRANSACTIONS_LOCK] = "transactions_lock.sql",
	[STATEMENT_TRANSACTIONS_KEYS] = "transactions_keys.sql",
	[STATEMENT_TRANSACTIONS_READ] = "transactions_read.sql",
	[STATEMENT_TRANSACTIONS_UPDATE] = "transactions_update.sql",
	[STATEMENT_TRANSACTIONS_INSERT] = "transactions_insert.sql",
	[STATEMENT_TRANSACTIONS_MOVE] = "transactions_move.sql",
	[STATEMENT_CONSTRAINTS] = "constraints.sql",
	[STATEMENT_DEAD_LETTERS] = "dead_letters.sql",
	[STATEMENT_DEAD_LETTERS_BEYOND] = "dead_letters_beyond.sql",
	[STATEMENT_TOTALS] = "totals.sql",
	[STATEMENT_ATTACHED] = "attached.sql",
	[STATEMENT_COMMIT] = "commit.sql",
	[STATEMENT_POSITIONS] = "positions.sql",
	[STATEMENT_TAKE_OVER] = "take_over.sql",
	[STATEMENT_KNOWN_LAYOUTS] = "known_layouts.sql",
};

/* Where messages to the store go. */
static const struct {
	enum table_id table;
	const char *target;
	size_t keys;
} statement_kinds[STATEMENT_KINDS] = {
#define KIND(entity, name, target, key_count, lookup_key_count)                                    \
	{TABLE_store_##entity, #target, key_count},
#include "store/kinds.def"
#undef KIND
};

enum { STATEMENT_ARENA_BYTES = 1 << 20, STATEMENT_NAME_BYTES = 64 };

static void put_param(struct text *t, size_t number, const char *type)
{
	text_put_char(t, '$');
	text_put_int(t, (int64_t)number);
	if (type != NULL) {
		text_put_cstr(t, "::");
		text_put_cstr(t, type);
		text_put_cstr(t, "[]");
	}
}

enum columns_form {
	FORM_PLAIN,
	FORM_X,
	FORM_T,
	FORM_TEXT,
	FORM_SET,
	FORM_EXCLUDED,
	FORM_OF_EXCLUDED,
};

static void put_some_columns(struct text *t, const struct table *table, size_t count,
	enum columns_form form)
{
	for (size_t i = 0; i < count; i++) {
		const struct column *c = &table->columns[i];

		if (i > 0)
			text_put_cstr(t, ", ");
		if (form == FORM_X)
			text_put_cstr(t, "x.");
		else if (form == FORM_OF_EXCLUDED)
			text_put_cstr(t, "excluded.");
		else if (form == FORM_TEXT || form == FORM_T)
			text_put_cstr(t, "t.");
		text_put_cstr(t, c->name);
		if (form == FORM_TEXT && c->type == COLUMN_NUMERIC)
			text_put_cstr(t, "::text");
		if (form == FORM_SET || form == FORM_EXCLUDED) {
			text_put_cstr(t, form == FORM_SET ? " = x." : " = excluded.");
			text_put_cstr(t, c->name);
		}
	}
}

static void put_columns(struct text *t, const struct table *table, enum columns_form form)
{
	put_some_columns(t, table, table->columns_count, form);
}

/* A word that only tables of the store have. */
static bool put_kind_word(struct text *t, struct slice name, const struct table *table)
{
	size_t kind = 0;

	while (kind < STATEMENT_KINDS && statement_kinds[kind].table != table->id)
		kind++;
	if (kind == STATEMENT_KINDS)
		return false;
	if (slice_equal_cstr(name, "target"))
		text_put_cstr(t, statement_kinds[kind].target);
	else if (slice_equal_cstr(name, "keys"))
		put_some_columns(t, table, statement_kinds[kind].keys, FORM_PLAIN);
	else if (slice_equal_cstr(name, "x_keys"))
		put_some_columns(t, table, statement_kinds[kind].keys, FORM_X);
	else
		return false;
	return true;
}

static void put_unnest(struct text *t, const struct table *table)
{
	text_put_cstr(t, "unnest(");
	for (size_t i = 0; i < table->columns_count; i++) {
		if (i > 0)
			text_put_cstr(t, ", ");
		put_param(t, i + 1, encode_type_name(table->columns[i].type));
	}
	text_put_cstr(t, ") WITH ORDINALITY AS x (");
	put_columns(t, table, FORM_PLAIN);
	text_put_cstr(t, ", n)");
}

/* A word that is a list of columns. */
static bool put_columns_word(struct text *t, struct slice name, const struct table *table)
{
	static const struct {
		const char *name;
		enum columns_form form;
	} words[] = {{"columns", FORM_PLAIN}, {"x_columns", FORM_X}, {"text_columns", FORM_TEXT},
		{"set", FORM_SET}, {"excluded", FORM_EXCLUDED}, {"t_columns", FORM_T},
		{"excluded_columns", FORM_OF_EXCLUDED}};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (slice_equal_cstr(name, words[i].name)) {
			put_columns(t, table, words[i].form);
			return true;
		}
	}
	return false;
}

/* One {word} or {word:table}. own: the table that the statement is for, or NULL. */
static bool put_word(struct text *t, struct slice word, const struct table *own)
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
		text_put_cstr(t, table->name);
	else if (slice_equal_cstr(name, "unnest"))
		put_unnest(t, table);
	else if (slice_equal_cstr(name, "names_agree"))
		text_put_cstr(t, table->id == TABLE_ocpp_events
					 ? "(x.action = '' OR t.action IN ('', x.action))"
					 : "true");
	else if (slice_equal_cstr(name, "next"))
		put_param(t, table->columns_count + 1, NULL);
	else if (slice_equal_cstr(name, "next+1"))
		put_param(t, table->columns_count + 2, NULL);
	else
		return put_columns_word(t, name, table) || put_kind_word(t, name, table);
	return true;
}

static char *duplicate(struct slice s)
{
	return slice_is_absent(s) ? NULL : strndup((const char *)s.data, s.size);
}

static const struct embedded_file *find_file(const char *name)
{
	for (size_t i = 0; i < copy_sql_count; i++) {
		if (strcmp(copy_sql_files[i].name, name) == 0)
			return &copy_sql_files[i];
	}
	return NULL;
}

/* A brace in our SQL is always a word. */
static bool put_file(struct text *t, const char *name, const struct table *own, struct error *err)
{
	const struct embedded_file *file = find_file(name);
	struct slice rest;

	if (file == NULL)
		return error_set(err, ERROR_FATAL, "bad_sql", "there is no %s", name);
	rest = slice_of(file->text, file->size);
	for (;;) {
		const uint8_t *open = memchr(rest.data, '{', rest.size), *close;
		struct slice word;

		if (open == NULL)
			break;
		text_put(t, rest.data, (size_t)(open - rest.data));
		rest = slice_skip(rest, (size_t)(open - rest.data) + 1);
		close = memchr(rest.data, '}', rest.size);
		if (close == NULL)
			return error_set(err, ERROR_FATAL, "bad_sql", "%s: a brace is open", name);
		word = slice_of(rest.data, (size_t)(close - rest.data));
		rest = slice_skip(rest, word.size + 1);
		if (!put_word(t, word, own))
			return error_set(err, ERROR_FATAL, "bad_sql", "%s: {%.*s} means nothing",
				name, SLICE_ARG(word));
	}
	text_put(t, rest.data, rest.size);
	return true;
}

/* malloc'ed; NULL with err. */
static char *expand(const char *name, const struct table *own, struct arena *arena,
	struct error *err)
{
	char *sql = NULL;
	struct text t;

	text_begin(&t, arena);
	if (put_file(&t, name, own, err)) {
		sql = duplicate(text_end(&t));
		if (sql == NULL)
			error_set(err, ERROR_FATAL, "memory", "out of memory preparing statements");
	}
	arena_reset(arena);
	return sql;
}

static bool make(struct pg_statement *out, const char *file_name, const struct table *own,
	struct arena *arena, struct error *err)
{
	char name[STATEMENT_NAME_BYTES];

	snprintf(name, sizeof(name), "%.*s%s%s", (int)strcspn(file_name, "."), file_name,
		own == NULL ? "" : "_", own == NULL ? "" : own->name);
	out->name = strdup(name);
	out->sql = expand(file_name, own, arena, err);
	if (out->name == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	return out->sql != NULL;
}

/* What follows the table in COPY. malloc'ed, or NULL. */
static char *make_columns(const struct table *table, const char *more, struct arena *arena)
{
	char *columns;
	struct text t;

	text_begin(&t, arena);
	text_put_cstr(&t, "(");
	put_columns(&t, table, FORM_PLAIN);
	text_put_cstr(&t, more);
	text_put_cstr(&t, ") FROM STDIN (FORMAT binary)");
	columns = duplicate(text_end(&t));
	arena_reset(arena);
	return columns;
}

/* Without the constraints of the table itself: it lacks a column, and is merged anyway. */
static char *make_dead_table(struct arena *arena)
{
	char *sql;
	struct text t;

	text_begin(&t, arena);
	text_put_cstr(&t, "CREATE TEMPORARY TABLE IF NOT EXISTS new_dead_letters "
			  "ON COMMIT DELETE ROWS AS SELECT ");
	put_columns(&t, &tables[TABLE_dead_letters], FORM_PLAIN);
	text_put_cstr(&t, " FROM dead_letters WITH NO DATA");
	sql = duplicate(text_end(&t));
	arena_reset(arena);
	return sql;
}

static bool make_of_events(struct statements *s, struct arena *arena, struct error *err)
{
	for (int i = 0; i < EVENT_TABLES; i++) {
		const struct table *table = &tables[i];

		if (!make(&s->seen[i], "seen.sql", table, arena, err) ||
			!make(&s->seen_odd[i], "seen_odd.sql", table, arena, err) ||
			!make(&s->careful[i], "careful.sql", table, arena, err))
			return false;
		s->copy_columns[i] = make_columns(table, "", arena);
		s->load_columns[i] = make_columns(table, ", follows", arena);
		if (s->copy_columns[i] == NULL || s->load_columns[i] == NULL)
			return error_set(err, ERROR_FATAL, "memory", "out of memory");
	}
	return true;
}

/* Each has a file of its name. */
static bool make_of_states(struct statements *s, struct arena *arena, struct error *err)
{
	for (int i = 0; i < TABLE_COUNT; i++) {
		char file_name[STATEMENT_NAME_BYTES];

		snprintf(file_name, sizeof(file_name), "%s.sql", tables[i].name);
		if (tables[i].merge == MERGE_STATE &&
			!make(&s->states[i], file_name, NULL, arena, err))
			return false;
	}
	return true;
}

static bool make_all(struct statements *s, struct arena *arena, struct error *err)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		if (!make(&s->all[i], statement_files[i], NULL, arena, err))
			return false;
	}
	if (!make(&s->gaps, "gaps.sql", &tables[TABLE_meter_values], arena, err) ||
		!make(&s->gaps_filled, "gaps_filled.sql", &tables[TABLE_meter_values], arena, err))
		return false;
	s->dead_columns = make_columns(&tables[TABLE_dead_letters], "", arena);
	s->halves_columns = make_columns(&tables[TABLE_exchange_halves], "", arena);
	s->dead_table = make_dead_table(arena);
	if (s->halves_columns == NULL || s->dead_columns == NULL || s->dead_table == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	for (int i = 0; i < STATEMENT_KINDS; i++) {
		enum table_id table = statement_kinds[i].table;

		if (!make(&s->store[i],
			    table == TABLE_store_setting ? "store_settings.sql" : "store.sql",
			    &tables[table], arena, err))
			return false;
		s->store_tables[i] = table;
	}
	return make_of_states(s, arena, err) && make_of_events(s, arena, err);
}

bool statements_new(struct statements **out, struct error *err)
{
	struct statements *s = calloc(1, sizeof(*s));
	struct arena arena;
	bool ok;

	if (s == NULL || !arena_init(&arena, STATEMENT_ARENA_BYTES, 0)) {
		free(s);
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	}
	ok = make_all(s, &arena, err);
	arena_fini(&arena);
	if (ok)
		*out = s;
	else
		statements_free(&s);
	return ok;
}

static void statement_free(struct pg_statement *s)
{
	free((void *)(uintptr_t)s->name);
	free((void *)(uintptr_t)s->sql);
}

void statements_free(struct statements **statements)
{
	struct statements *s = *statements;

	*statements = NULL;
	if (s == NULL)
		return;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		statement_free(&s->all[i]);
	statement_free(&s->gaps);
	statement_free(&s->gaps_filled);
	free(s->halves_columns);
	free(s->dead_columns);
	free(s->dead_table);
	for (int i = 0; i < STATEMENT_KINDS; i++)
		statement_free(&s->store[i]);
	for (int i = 0; i < TABLE_COUNT; i++)
		statement_free(&s->states[i]);
	for (int i = 0; i < EVENT_TABLES; i++) {
		statement_free(&s->seen[i]);
		statement_free(&s->seen_odd[i]);
		statement_free(&s->careful[i]);
		free(s->copy_columns[i]);
		free(s->load_columns[i]);
	}
	free(s);
}
