#ifndef PG_PG_ERROR_H
#define PG_PG_ERROR_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * PostgreSQL's answers as kinds of errors. The table from SQLSTATE to kind is in pg_error.c, one
 * line per class with its reason; nothing else in the program looks at SQLSTATEs. REFUSED is what
 * the server understood and said no to: a wrong password, no such database, no right, no such
 * column. What took too long has err->slow.
 */

/* From a failed result. Returns false. */
bool pg_error_from_result(struct error *err, const PGresult *result);

/* From a connection that is not there any more or never came up: TRANSIENT. Returns false. */
bool pg_error_from_connection(struct error *err, const PGconn *conn);

/*
 * From a connection that was refused while it had PQERRORS_VERBOSE, which is the only way libpq
 * shows the SQLSTATE then: so a wrong password differs from a server that is starting. Without an
 * SQLSTATE as pg_error_from_connection(). Returns false.
 */
bool pg_error_from_connecting(struct error *err, const PGconn *conn);

/* For tests: the same for libpq's text. */
bool pg_error_from_verbose(struct error *err, const char *message);

/* The first of the two that has something to say. Returns false. */
bool pg_error_from_result_or_connection(struct error *err, const PGresult *result,
	const PGconn *conn);

/* For tests: the kind of an SQLSTATE; has_constraint, has_table: whether the answer named one. */
enum error_kind pg_error_kind(const char *sqlstate, bool has_constraint, bool has_table);

/* 23505: a row is there already. Not poison: the batch takes the careful path. */
bool pg_error_is_duplicate(const struct error *err);

/* It was too much at a time: memory, temporary files. */
bool pg_error_is_too_much(const struct error *err);

/* The server has no room: what is smaller may still find some. */
bool pg_error_is_room(const struct error *err);

/* The server's answer is not in the table. */
bool pg_error_is_other(const struct error *err);

/* A call that may be repeated may succeed a moment later: a connection, a failover, a lock. */
bool pg_error_passes(const struct error *err);

/*
 * The server refused a statement for a reason that may lie in one row (a trigger's, a policy's) or
 * in all of them (a right, a table that is missing): only trying others tells.
 */
bool pg_error_may_be_a_row(const struct error *err);

/*
 * What the server says of itself (its disk, its locks, its end, its connections), or the connection
 * was lost. A trigger may say the same of one row, or end the server's process each time.
 */
bool pg_error_may_be_the_server(const struct error *err);

/*
 * A connection was refused by somebody who gave a reason that may last. Not so: it was cut, nobody
 * was there, or the server was starting or stopping.
 */
bool pg_error_is_refusal(const struct error *err);

/* What a statement names is not there: a table, a schema, a column, a function. */
bool pg_error_is_missing(const struct error *err);

/* The server cannot be reached or ended the connection, or the role lacks a right. */
bool pg_error_is_access(const struct error *err);

/* The server refused this statement, but it may take the next one. */
bool pg_error_is_of_statement(const struct error *err);

/* Nothing was heard of the server for too long. */
bool pg_error_is_silence(const struct error *err);

/* Others depend on what was to be dropped. */
bool pg_error_is_needed(const struct error *err);

/* Somebody else has a lock for longer than lock_timeout; two of us wait for each other. */
bool pg_error_is_lock(const struct error *err);
bool pg_error_is_deadlock(const struct error *err);

/* Of a failed COPY: the row it failed at, counted from 1; 0 if the answer does not say. */
int64_t pg_error_copy_row(const PGresult *result);

#endif
