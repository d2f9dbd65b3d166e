#ifndef COPY_STATEMENT_H
#define COPY_STATEMENT_H

#include "pg/session.h"
#include "rows/table.h"

/*
 * The statements of copy/sql. They are SQL files with placeholders for lists of columns, which come
 * from rows/tables.def at build time (expand_statements.c):
 *
 *	{columns:T}       a, b
 *	{x_columns:T}     x.a, x.b
 *	{text_columns:T}  t.a, t.b::text for numeric columns
 *	{set:T}           a = x.a, b = x.b
 *	{excluded:T}      a = excluded.a, b = excluded.b
 *	{unnest:T}        unnest($1::text[], $2::...) WITH ORDINALITY AS x (a, b, n)
 *	{next:T}          $3: the parameter after those; {next+1:T} the one after that
 *	{t_columns:T} {excluded_columns:T}  t.a, t.b; excluded.a, excluded.b
 *	{names_agree}     for an event table: that x and t do not name different actions
 *	{target} {keys} {x_keys}  of the table that the store keeps it in: its name; a; x.a
 *	{table} {columns} of the table that the statement is made for, where there is one for each
 *
 * Constant; any thread.
 */
enum statement_id {
#define STATEMENT(id, file) STATEMENT_##id,
#include "copy/statements.def"
#undef STATEMENT
	STATEMENT_COUNT,
};

/* Entities of the store, numbered by the rows that are their statements' parameters. */
enum {
#define KIND(entity, name, table, keys, lookup_keys) STATEMENT_KIND_##entity,
#include "store/kinds.def"
#undef KIND
	STATEMENT_KINDS,
};

struct statements {
	struct pg_statement all[STATEMENT_COUNT];
	struct pg_statement states[TABLE_COUNT]; /* for tables that merge as STATE */
	struct pg_statement store[STATEMENT_KINDS];
	enum table_id store_tables[STATEMENT_KINDS];
	struct pg_statement seen[EVENT_TABLES];
	struct pg_statement seen_odd[EVENT_TABLES];
	struct pg_statement careful[EVENT_TABLES];
	struct pg_statement not_missing;        /* finds meter values that are not missing */
	struct pg_statement missing;            /* the careful path for missing meter values */
	const char *copy_columns[EVENT_TABLES]; /* "(a, b) FROM STDIN (FORMAT binary)" */
	const char
		*load_columns[EVENT_TABLES]; /* the same plus the extra column of a loading table */
	const char *halves_columns;          /* for halves of exchanges */
	const char *dead_columns;            /* for dead letters */
	const char *dead_table;              /* creates the table that they are copied into */
};

extern const struct statements statements;

#endif
