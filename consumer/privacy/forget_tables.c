#include "privacy/forget_tables.h"

#include "base/clock.h"
#include "base/embedded.h"
#include "base/token_places.h"
#include "pg/connect.h"
#include "pg/pg_error.h"
#include "privacy/forget_wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A transaction should take about FORGET_AIM_MS; beyond FORGET_PATIENCE_MS it is split. */
enum { FORGET_AIM_MS = 10, FORGET_PATIENCE_MS = 50 };
/* Less than deadlock_timeout (1 s), so that nobody who wants our rows is cancelled. */
enum { FORGET_LOCK_MS = 40, FORGET_LOCK_MAX_MS = 800 };
enum { FORGET_PAGES_BEGIN = 8, FORGET_PAGES_MAX = 4096, FORGET_SQL_BYTES = 16384 };
enum { FORGET_PLACES_BYTES = 4096 };

extern const struct embedded_file privacy_sql_files[];
extern const size_t privacy_sql_count;

/* Columns of the list of places. */
enum { PLACE_PARENT, PLACE_TABLE, PLACE_COLUMN, PLACE_KIND, PLACE_RELKIND, PLACE_IS_KEY };

/* One table in the list of places: rows first to end. */
struct forget_leaf {
	const PGresult *places;
	int first;
	int end;
};

static const char *leaf_text(const struct forget_leaf *leaf, int column)
{
	return PQgetvalue(leaf->places, leaf->first, column);
}

static bool leaf_is_foreign(const struct forget_leaf *leaf)
{
	return *leaf_text(leaf, PLACE_RELKIND) == 'f';
}

/* A former partition that is now in another schema. */
static bool leaf_is_moved(const struct forget_leaf *leaf)
{
	return *leaf_text(leaf, PLACE_RELKIND) == 'm';
}

/* The list of places as three arrays, whose texts need no quotes. */
static PGresult *forget_places(PGconn *conn, struct error *err)
{
	char arrays[3][FORGET_PLACES_BYTES];
	const char *params[] = {arrays[0], arrays[1], arrays[2]};
	size_t used[3] = {0};

	CHECK(privacy_sql_count == 1);
	for (size_t i = 0; i < token_places_count; i++) {
		const struct token_place *p = &token_places[i];
		const char *texts[] = {p->table, p->column, token_kind_name(p->kind)};

		for (int a = 0; a < 3; a++) {
			used[a] += (size_t)snprintf(arrays[a] + used[a],
				sizeof(arrays[a]) - used[a], "%s%s", i == 0 ? "{" : ",", texts[a]);
			CHECK(used[a] + 2 < sizeof(arrays[a]));
		}
	}
	for (int a = 0; a < 3; a++)
		snprintf(arrays[a] + used[a], sizeof(arrays[a]) - used[a], "}");
	return pg_query(conn, privacy_sql_files[0].text, 3, params, err);
}

/* The next table of the list; false after the last. */
static bool leaf_next(struct forget_leaf *leaf, const PGresult *places)
{
	int rows = PQntuples(places);

	leaf->places = places;
	leaf->first = leaf->end;
	while (leaf->end < rows && strcmp(PQgetvalue(places, leaf->end, PLACE_TABLE),
					   PQgetvalue(places, leaf->first, PLACE_TABLE)) == 0)
		leaf->end++;
	return leaf->first < rows;
}

struct forget_table *forget_tables_at(struct forget_tables *tables, const char *name)
{
	struct forget_table *t = tables->items;

	for (; t < tables->items + tables->count; t++) {
		if (strcmp(t->name, name) == 0)
			return t;
	}
	CHECK(tables->count++ < FORGET_TABLES_MAX);
	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

static void table_refuse(struct forget_table *t, uint64_t rows, const char *refusal)
{
	t->refused += rows;
	snprintf(t->refusal, sizeof(t->refusal), "%s", refusal);
}

void forget_tables_add(struct forget_tables *to, const struct forget_tables *from)
{
	for (size_t i = 0; i < from->count; i++) {
		struct forget_table *t = forget_tables_at(to, from->items[i].name);

		t->rows += from->items[i].rows;
		t->mentions += from->items[i].mentions;
		if (from->items[i].refused > 0)
			table_refuse(t, from->items[i].refused, from->items[i].refusal);
	}
	to->rows += from->rows;
	to->refused += from->refused;
}

/* ---- statements ---- */

struct sql {
	char text[FORGET_SQL_BYTES];
	size_t size;
};

static void sql_put(struct sql *s, const char *text)
{
	int size = snprintf(s->text + s->size, sizeof(s->text) - s->size, "%s", text);

	CHECK(size >= 0 && (size_t)size < sizeof(s->text) - s->size);
	s->size += (size_t)size;
}

static void sql_put_template(struct sql *s, const char *template, const char *column)
{
	for (const char *at = template; *at != '\0'; at++) {
		char c[2] = {*at, '\0'};

		sql_put(s, *at == '@' ? column : c);
	}
}

static const struct forget_kind *leaf_kind(const struct forget_leaf *leaf, int i)
{
	const struct forget_kind *kind = forget_kind(PQgetvalue(leaf->places, i, PLACE_KIND));

	CHECK(kind != NULL);
	return kind;
}

/* True if any of its columns has the token; mentions: also within longer texts. */
static void sql_put_condition(struct sql *s, const struct forget_leaf *leaf, bool mentions)
{
	sql_put(s, "(");
	for (int i = leaf->first; i < leaf->end; i++) {
		const struct forget_kind *kind = leaf_kind(leaf, i);

		sql_put(s, i > leaf->first ? " OR " : "");
		sql_put_template(s,
			mentions && kind->mentions != NULL ? kind->mentions : kind->holds,
			PQgetvalue(leaf->places, i, PLACE_COLUMN));
	}
	sql_put(s, ")");
}

/* True if any column of its primary key has it; false without such a key. */
static void sql_put_key_condition(struct sql *s, const struct forget_leaf *leaf)
{
	sql_put(s, "(false");
	for (int i = leaf->first; i < leaf->end; i++) {
		if (*PQgetvalue(leaf->places, i, PLACE_IS_KEY) != 't')
			continue;
		sql_put(s, " OR ");
		sql_put_template(s, leaf_kind(leaf, i)->holds,
			PQgetvalue(leaf->places, i, PLACE_COLUMN));
	}
	sql_put(s, ")");
}

/* The rows from $8 to $9. */
static const char sql_range[] = " WHERE x.ctid >= $8::tid AND x.ctid <= $9::tid AND ";

static void sql_put_update(struct sql *s, const struct forget_leaf *leaf)
{
	sql_put(s, "UPDATE ONLY ");
	sql_put(s, leaf_text(leaf, PLACE_TABLE));
	sql_put(s, " x SET ");
	for (int i = leaf->first; i < leaf->end; i++) {
		const struct forget_kind *kind = leaf_kind(leaf, i);
		const char *column = PQgetvalue(leaf->places, i, PLACE_COLUMN);

		sql_put(s, i > leaf->first ? ", " : "");
		sql_put(s, column);
		sql_put(s, " = CASE WHEN ");
		sql_put_template(s, kind->holds, column);
		sql_put(s, " THEN ");
		sql_put_template(s, kind->becomes, column);
		sql_put_template(s, " ELSE x.@ END", column);
	}
	sql_put(s, " FROM ");
	sql_put(s, forget_words_sql);
	sql_put(s, sql_range);
	sql_put_condition(s, leaf, false);
}

static void sql_put_find(struct sql *s, const struct forget_leaf *leaf)
{
	sql_put(s, "SELECT x.ctid FROM ONLY ");
	sql_put(s, leaf_text(leaf, PLACE_TABLE));
	sql_put(s, " x, ");
	sql_put(s, forget_words_sql);
	sql_put(s, sql_range);
	sql_put_condition(s, leaf, false);
}

static void sql_put_delete(struct sql *s, const struct forget_leaf *leaf)
{
	sql_put(s, "DELETE FROM ONLY ");
	sql_put(s, leaf_text(leaf, PLACE_TABLE));
	sql_put(s, " x USING ");
	sql_put(s, forget_words_sql);
	sql_put(s, sql_range);
	sql_put_key_condition(s, leaf);
}

static void sql_put_count(struct sql *s, const struct forget_leaf *leaf)
{
	sql_put(s, "SELECT count(*) FILTER (WHERE ");
	sql_put_condition(s, leaf, false);
	sql_put(s, "), count(*) FROM ");
	sql_put(s, leaf_text(leaf, PLACE_TABLE));
	sql_put(s, " x, ");
	sql_put(s, forget_words_sql);
	sql_put(s, " WHERE ");
	sql_put_condition(s, leaf, true);
}

/* ---- replacing ---- */

struct forget_walk {
	PGconn *conn;
	const struct forget_words *words;
	const struct forget_leaf *leaf;
	struct forget_wait wait;
	int64_t pages; /* at a time */
	int64_t patience_ms;
	int64_t lock_ms; /* the current settings of the session */
	struct sql replace, find, remove;
	uint64_t refused; /* rows that an index or a constraint refused */
	struct error refusal;
};

static bool walk_set_patience(struct forget_walk *walk, int64_t ms, int64_t lock_ms,
	struct error *err)
{
	char sql[96];

	walk->patience_ms = ms;
	walk->lock_ms = lock_ms;
	snprintf(sql, sizeof(sql),
		"SET statement_timeout = %" PRId64 "; SET lock_timeout = %" PRId64,
		ms + lock_ms - FORGET_LOCK_MS, lock_ms);
	return pg_exec(walk->conn, sql, err);
}

/* Somebody holds a lock on one of the rows, or on the table. A longer wait for row locks is only
 * allowed while few others are locked. */
static bool walk_wait(struct forget_walk *walk, struct error *err)
{
	char what[FORGET_NAME_BYTES + 64];

	snprintf(what, sizeof(what), "for somebody who has locked rows of %s, or all of it",
		leaf_text(walk->leaf, PLACE_TABLE));
	forget_wait_pause(&walk->wait, what);
	if (walk->pages > 1) {
		walk->pages = walk->pages > 8 ? walk->pages / 8 : 1;
		return true;
	}
	return walk_set_patience(walk, walk->patience_ms, walk->wait.lock_ms, err);
}

/* Some pages failed: try fewer, or later. False if that cannot help. A single page with large
 * documents gets the time that it needs. */
static bool walk_again(struct forget_walk *walk, struct error *err)
{
	if (err->slow && err->sqlstate[0] != '\0') {
		if (walk->pages == 1)
			return walk_set_patience(walk, 2 * walk->patience_ms, walk->lock_ms, err);
		walk->pages = walk->pages > 8 ? walk->pages / 8 : 1;
		return true;
	}
	if (pg_error_is_constraint(err)) {
		walk->pages = 1; /* row by row */
		return true;
	}
	return (pg_error_is_lock(err) || pg_error_is_deadlock(err)) && walk_wait(walk, err);
}

static void walk_adapt(struct forget_walk *walk, int64_t took_us)
{
	if (took_us < FORGET_AIM_MS * US_PER_MS / 2 && walk->pages < FORGET_PAGES_MAX)
		walk->pages *= 2;
	else if (took_us > FORGET_AIM_MS * US_PER_MS && walk->pages > 1)
		walk->pages /= 2;
}

/* Runs it for the rows from one place to another. */
static PGresult *walk_query(struct forget_walk *walk, const struct sql *sql, const char *from,
	const char *to, struct error *err)
{
	const char *params[FORGET_WORDS + 2];

	memcpy(params, walk->words->params, sizeof(walk->words->params));
	params[FORGET_WORDS] = from;
	params[FORGET_WORDS + 1] = to;
	return pg_query(walk->conn, sql->text, FORGET_WORDS + 2, params, err);
}

/* If the pseudonym already has a row, the token's row is deleted: it is the same token, set again
 * or in another case. */
static bool walk_row(struct forget_walk *walk, const char *place, uint64_t *rows, struct error *err)
{
	PGresult *done = walk_query(walk, &walk->replace, place, place, err);
	uint64_t count;
	struct error why;

	if (done == NULL) {
		if (!pg_error_is_duplicate(err))
			return false;
		why = *err;
		done = walk_query(walk, &walk->remove, place, place, err);
		if (done == NULL)
			return false;
		if (strcmp(PQcmdTuples(done), "0") == 0) {
			PQclear(done);
			*err = why;
			return false;
		}
	}
	count = strtoull(PQcmdTuples(done), NULL, 10);
	PQclear(done);
	*rows += count;
	return true;
}

/* A row that an index or a constraint refuses does not keep the others from being changed. */
static bool walk_rows(struct forget_walk *walk, const char *from, const char *to, uint64_t *rows,
	struct error *err)
{
	PGresult *found = walk_query(walk, &walk->find, from, to, err);
	uint64_t refused = 0;
	bool ok = found != NULL;

	for (int i = 0; ok && i < PQntuples(found); i++) {
		ok = walk_row(walk, PQgetvalue(found, i, 0), rows, err);
		if (ok || !pg_error_is_constraint(err))
			continue;
		walk->refusal = *err;
		refused++;
		ok = true;
	}
	PQclear(found);
	walk->refused += ok ? refused : 0; /* otherwise the page is done again */
	return ok;
}

/* walk->pages pages, beginning with `page`. */
static bool walk_pages(struct forget_walk *walk, int64_t page, uint64_t *rows, struct error *err)
{
	char from[32], to[32];
	int64_t began_us = clock_mono_us();
	PGresult *done;

	snprintf(from, sizeof(from), "(%" PRId64 ",0)", page);
	snprintf(to, sizeof(to), "(%" PRId64 ",%d)", page + walk->pages - 1, UINT16_MAX);
	done = walk_query(walk, &walk->replace, from, to, err);
	if (done != NULL)
		*rows += strtoull(PQcmdTuples(done), NULL, 10);
	else if (walk->pages > 1 || !pg_error_is_constraint(err) ||
		 !walk_rows(walk, from, to, rows, err))
		return false;
	PQclear(done);
	walk_adapt(walk, clock_mono_us() - began_us);
	forget_wait_over(&walk->wait);
	return walk->lock_ms == walk->wait.lock_ms ||
	       walk_set_patience(walk, walk->patience_ms, walk->wait.lock_ms, err);
}

static bool walk_count_pages(struct forget_walk *walk, const char *table, int64_t *out,
	struct error *err)
{
	const char *params[] = {table};
	PGresult *r = pg_query(walk->conn,
		"SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint", 1,
		params, err);

	if (r == NULL)
		return false;
	*out = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return true;
}

/* A table that is dropped, renamed or attached meanwhile is caught by the count that follows. */
static bool walk_leaf(struct forget_walk *walk, const struct forget_leaf *leaf, uint64_t *rows,
	struct error *err)
{
	int64_t page = 0, pages = 0;

	walk->leaf = leaf;
	walk->refused = 0;
	walk->replace.size = walk->find.size = walk->remove.size = 0;
	sql_put_update(&walk->replace, leaf);
	sql_put_find(&walk->find, leaf);
	sql_put_delete(&walk->remove, leaf);
	walk->pages = FORGET_PAGES_BEGIN;
	forget_wait_begin(&walk->wait, FORGET_LOCK_MS, FORGET_LOCK_MAX_MS);
	if (!walk_set_patience(walk, FORGET_PATIENCE_MS, FORGET_LOCK_MS, err) ||
		!walk_count_pages(walk, leaf_text(leaf, PLACE_TABLE), &pages, err))
		return pg_error_is_missing(err);
	while (page < pages) {
		int64_t taken = walk->pages;

		if (walk_pages(walk, page, rows, err)) {
			page += taken;
		} else if (pg_error_is_missing(err)) {
			return true;
		} else if (!walk_again(walk, err)) {
			return error_prefix(err, "%s", leaf_text(leaf, PLACE_TABLE));
		}
	}
	return true;
}

bool forget_tables_replace(PGconn *conn, const struct forget_words *words,
	struct forget_tables *tables, struct error *err)
{
	struct forget_walk walk = {.conn = conn, .words = words};
	struct forget_leaf leaf = {.end = 0};
	PGresult *places = forget_places(conn, err);
	bool ok = places != NULL;

	tables->refused = 0;
	for (size_t i = 0; i < tables->count; i++)
		tables->items[i].refused = 0;
	while (ok && leaf_next(&leaf, places)) {
		struct forget_table *t = forget_tables_at(tables, leaf_text(&leaf, PLACE_PARENT));
		uint64_t rows = 0;

		if (leaf_is_foreign(&leaf) || leaf_is_moved(&leaf))
			continue;
		ok = walk_leaf(&walk, &leaf, &rows, err);
		t->rows += rows;
		tables->rows += rows;
		if (walk.refused > 0)
			table_refuse(t, walk.refused, walk.refusal.message);
		tables->refused += walk.refused;
	}
	PQclear(places);
	return ok;
}

/* ---- counting ---- */

static void table_add_moved(struct forget_table *t, const char *name)
{
	if (t->moved++ == 0)
		snprintf(t->moved_name, sizeof(t->moved_name), "%s", name);
}

static bool count_leaf(PGconn *conn, const struct forget_words *words,
	const struct forget_leaf *leaf, struct forget_table *t, struct error *err)
{
	struct sql sql = {.size = 0};
	uint64_t rows, all;
	PGresult *r;

	sql_put_count(&sql, leaf);
	r = pg_query(conn, sql.text, FORGET_WORDS, words->params, err);
	if (r == NULL)
		return error_prefix(err, "%s", leaf_text(leaf, PLACE_TABLE));
	rows = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	all = strtoull(PQgetvalue(r, 0, 1), NULL, 10);
	PQclear(r);
	t->rows += rows;
	t->mentions += all - rows;
	return true;
}

bool forget_tables_count(PGconn *conn, const struct forget_words *words, struct forget_tables *out,
	struct error *err)
{
	struct forget_leaf leaf = {.end = 0};
	struct error ignored;
	PGresult *places;
	bool ok;

	memset(out, 0, sizeof(*out));
	if (!pg_exec(conn,
		    "SET statement_timeout = 0; SET lock_timeout = 0; "
		    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		    err))
		return false;
	places = forget_places(conn, err);
	ok = places != NULL;
	while (ok && leaf_next(&leaf, places)) {
		struct forget_table *t = forget_tables_at(out, leaf_text(&leaf, PLACE_PARENT));

		if (leaf_is_foreign(&leaf))
			t->foreign++;
		else if (leaf_is_moved(&leaf))
			table_add_moved(t, leaf_text(&leaf, PLACE_TABLE));
		else
			ok = count_leaf(conn, words, &leaf, t, err);
	}
	PQclear(places);
	for (size_t i = 0; i < out->count; i++)
		out->rows += out->items[i].rows;
	/* The result is valid whatever becomes of the transaction. */
	return pg_exec(conn, "COMMIT", ok ? err : &ignored) && ok;
}
