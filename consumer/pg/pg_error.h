#ifndef PG_PG_ERROR_H
#define PG_PG_ERROR_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * PostgreSQL's answers as kinds of errors. The table from SQLSTATE to kind is in pg_error.c, one
 * line per class with its reason; nothing else in the program looks at SQLSTATEs. REFUSED is what
 * the server understood and refused: a wrong password, no such database, no privilege, no such
 * column. What took too long has err->slow.
 */

/* From a failed result. Returns false. */
bool pg_error_from_result(struct error *err, const PGresult *result);

/* From a connection that was lost or never came up: TRANSIENT. Returns false. */
bool pg_error_from_connection(struct error *err, const PGconn *conn);

/*
 * From a refused connection with PQERRORS_VERBOSE, the only way to get the SQLSTATE from libpq
 * then; it distinguishes a wrong password from a server that is starting. Without an SQLSTATE, the
 * same as pg_error_from_connection(). Returns false.
 */
bool pg_error_from_connecting(struct error *err, const PGconn *conn);

/* For tests: the same from libpq's text. */
bool pg_error_from_verbose(struct error *err, const char *message);

/* From the result if it says something, else from the connection. Returns false. */
bool pg_error_from_result_or_connection(struct error *err, const PGresult *result,
	const PGconn *conn);

/* For tests: the kind of an SQLSTATE; has_constraint, has_table: whether the answer named one. */
enum error_kind pg_error_kind(const char *sqlstate, bool has_constraint, bool has_table);

/* 23505: a row exists already. Not poison: the batch takes the careful path. */
bool pg_error_is_duplicate(const struct error *err);

/* A row breaks a constraint or a unique index: 23505 and its like. */
bool pg_error_is_constraint(const struct error *err);

/* Too much at once: memory, temporary files. */
bool pg_error_is_too_much(const struct error *err);

/* The server has no room: something smaller may still fit. */
bool pg_error_is_room(const struct error *err);

/* The SQLSTATE is not in the table. */
bool pg_error_is_other(const struct error *err);

/* Repeating the call may succeed a moment later: a connection, a failover, a lock. */
bool pg_error_passes(const struct error *err);

/* The server refused a statement for a reason that may lie in one row (a trigger, a policy) or in
 * all of them (a privilege, a missing table): only trying other rows tells. */
bool pg_error_may_be_a_row(const struct error *err);

/*
 * The server reports trouble of its own (its disk, its locks, its shutdown, its connections), or
 * the connection was lost. But a trigger may raise the same error for one row, or one row may crash
 * the server's process each time.
 */
bool pg_error_may_be_the_server(const struct error *err);

/* A connection was refused for a stated reason that may last; it was not just cut off, nobody was
 * absent, and the server was neither starting nor stopping. */
bool pg_error_is_refusal(const struct error *err);

/* Something that a statement names does not exist: a table, a schema, a column, a function. */
bool pg_error_is_missing(const struct error *err);

/* The server cannot be reached, ended the connection or does not let us in, or the role lacks a
 * privilege. */
bool pg_error_is_access(const struct error *err);

/* The role lacks a privilege. */
bool pg_error_is_denied(const struct error *err);

/* The server refused this statement, but may accept the next one. */
bool pg_error_is_of_statement(const struct error *err);

/* 57014: somebody cancelled the query, or it reached statement_timeout. */
bool pg_error_is_canceled(const struct error *err);

/* The server was silent for too long. */
bool pg_error_is_silence(const struct error *err);

/* Other objects depend on what was to be dropped. */
bool pg_error_is_needed(const struct error *err);

/* Somebody else holds a lock for longer than lock_timeout, or two of us wait for each other. */
bool pg_error_is_lock(const struct error *err);
bool pg_error_is_deadlock(const struct error *err);

/* After a failed COPY: the row it failed at, counted from 1; 0 if the answer does not say. */
int64_t pg_error_copy_row(const PGresult *result);

#endif
