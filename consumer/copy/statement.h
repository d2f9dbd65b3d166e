#ifndef COPY_STATEMENT_H
#define COPY_STATEMENT_H

#include "base/embedded.h"
#include "base/error.h"
#include "pg/session.h"
#include "rows/table.h"

/*
 * The statements of copy/sql, made ready once at start. They are SQL files with the lists of
 * columns left out, which come from rows/tables.def:
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
 * Read only after statements_new().
 */
enum statement_id {
	STATEMENT_LAYOUTS,
	STATEMENT_LAYOUTS_DIFFER,
	STATEMENT_LOCK,
	STATEMENT_HALVES,
	STATEMENT_HALVES_NEAR,
	STATEMENT_HALVES_TRACED,
	STATEMENT_LOST_STARTS,
	STATEMENT_LOST_AUTHORIZE,
	STATEMENT_ANSWERS,
	STATEMENT_ANSWER_NAMES,
	STATEMENT_RESENT_EVENTS,
	STATEMENT_AUTHORIZE,
	STATEMENT_STARTS,
	STATEMENT_TRANSACTION_COSTS,
	STATEMENT_TRANSACTION_FLAGS,
	STATEMENT_TRANSACTION_STARTS,
	STATEMENT_SESSIONS_READ,
	STATEMENT_SESSIONS_DELETE,
	STATEMENT_SESSIONS_SPLIT,
	STATEMENT_SESSIONS_KEYS,
	STATEMENT_SESSIONS_INSERT,
	STATEMENT_TRANSACTIONS_LOCK,
	STATEMENT_TRANSACTIONS_KEYS,
	STATEMENT_TRANSACTIONS_READ,
	STATEMENT_TRANSACTIONS_UPDATE,
	STATEMENT_TRANSACTIONS_INSERT,
	STATEMENT_TRANSACTIONS_MOVE,
	STATEMENT_CONSTRAINTS,
	STATEMENT_DEAD_LETTERS,
	STATEMENT_DEAD_LETTERS_BEYOND,
	STATEMENT_TOTALS,
	STATEMENT_ATTACHED,
	STATEMENT_COMMIT,
	STATEMENT_POSITIONS,
	STATEMENT_TAKE_OVER,
	STATEMENT_KNOWN_LAYOUTS,
	STATEMENT_COUNT,
};

/* Entities of the store, by the rows that are parameters of their statements. */
enum {
#define KIND(entity, name, table, keys, lookup_keys) STATEMENT_KIND_##entity,
#include "store/kinds.def"
#undef KIND
	STATEMENT_KINDS,
};

struct statements {
	struct pg_statement all[STATEMENT_COUNT];
	struct pg_statement states[TABLE_COUNT]; /* of tables that merge as STATE */
	struct pg_statement store[STATEMENT_KINDS];
	enum table_id store_tables[STATEMENT_KINDS];
	struct pg_statement seen[EVENT_TABLES];
	struct pg_statement seen_odd[EVENT_TABLES];
	struct pg_statement careful[EVENT_TABLES];
	struct pg_statement gaps_filled;  /* meter values that fill no gap */
	struct pg_statement gaps;         /* careful, of meter values */
	char *copy_columns[EVENT_TABLES]; /* "(a, b) FROM STDIN (FORMAT binary)" */
	char *load_columns[EVENT_TABLES]; /* and with the column that only a loading table has */
	char *halves_columns;             /* of halves of exchanges */
	char *dead_columns;               /* of dead letters */
	char *dead_table;                 /* makes the table they are copied into */
};

extern const struct embedded_file copy_sql_files[];
extern const size_t copy_sql_count;

MUST_CHECK bool statements_new(struct statements **out, struct error *err);
void statements_free(struct statements **s);

#endif
