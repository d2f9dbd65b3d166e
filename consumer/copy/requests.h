#ifndef COPY_REQUESTS_H
#define COPY_REQUESTS_H

#include "base/arena.h"
#include "pg/session.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One run of requests: sent to PostgreSQL without waiting for answers in between. A request is
 * complete when it is added: its text or statement, its parameters, and who reads its results.
 * Knows nothing about batches. All on the loop's thread.
 *
 * Texts and parameters are in the caller's arena and must live as long as the run. A function that
 * returns false has found the arena full.
 */
enum { REQUESTS_MAX = 48 };

/* As pg_request.on_result. */
typedef bool request_on_result(void *context, const PGresult *result, int number,
	struct error *err);

struct requests {
	struct pg_request list[REQUESTS_MAX];
	size_t count;
	bool asked; /* a statement of the run has results that are read */
};

/* A statement with rows as parameters, followed by further ones. */
struct request_rows {
	const struct pg_statement *statement;
	enum table_id table;
	size_t columns; /* how many of the table's, from the first; 0 = all */
	struct row *const *rows;
	size_t count;
	const struct slice *more;
	size_t more_count;
	request_on_result *on_result; /* NULL = results are not read */
	void *context;
};

/* Begin a run: the list is empty. */
void requests_begin(struct requests *r);

/* Whether that many more fit into the first half of the list: the second half is for the end of the
 * run. */
bool requests_have_room(const struct requests *r, size_t count);

/* Run them in order; on_done as for pg_session_run(). */
void requests_run(struct requests *r, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context);

/* After a failed run: undo what it began; from then on no statement is prepared. */
void requests_recover(struct requests *r, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context);

/* Add SQL without parameters, one or several statements. sql == NULL: the arena was full. */
MUST_CHECK bool requests_add_sql(struct requests *r, const char *sql, request_on_result *on_result,
	void *context, struct error *err);

/* The same with a text that lives forever. */
void requests_add_literal(struct requests *r, const char *sql);

/* Add a statement with binary parameters. */
MUST_CHECK bool requests_add(struct requests *r, struct arena *arena,
	const struct pg_statement *statement, const struct slice *params, size_t count,
	request_on_result *on_result, void *context, struct error *err);

/* The same with rows as parameters. Without rows it adds nothing. */
MUST_CHECK bool requests_add_rows(struct requests *r, struct arena *arena,
	const struct request_rows *rows, struct error *err);

/* Add a statement that is, or ends in, COMMIT: if the connection is lost during it, the outcome is
 * uncertain. */
MUST_CHECK bool requests_add_commit(struct requests *r, struct arena *arena,
	const struct pg_statement *statement, request_on_result *on_result, void *context,
	struct error *err);

/* The same; if the run hangs, it should be known whether this statement has begun. */
MUST_CHECK bool requests_add_marked(struct requests *r, struct arena *arena,
	const struct pg_statement *statement, const struct slice *params, size_t count,
	request_on_result *on_result, void *context, struct error *err);

/* The statement of a request of the run; NULL if it has none, or does not exist. */
const struct pg_statement *requests_statement(const struct requests *r, size_t number);

/*
 * Add a COPY into a table. columns is "(a, b) FROM STDIN (FORMAT binary)"; next as
 * pg_request.copy_next. After SQL without a COPY of its own, it joins that request, which saves a
 * round trip. *request_out: its place in the list.
 */
MUST_CHECK bool requests_add_copy(struct requests *r, struct arena *arena, const char *table,
	const char *columns, bool (*next)(void *context, struct slice *chunk_out), void *context,
	size_t *request_out, struct error *err);

/* Sets FULL. Always false. */
bool request_arena_full(struct error *err);

/* Formats SQL in an arena; NULL if the arena is full. */
char *request_sql(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Binary parameters in an arena; absent if the arena is full. */
struct slice param_int4(struct arena *arena, int64_t value);
struct slice param_int8(struct arena *arena, int64_t value);
struct slice param_text(const char *text);

/* Fields of binary results. */
int64_t result_int8(const PGresult *result, int row, int column);
int32_t result_int4(const PGresult *result, int row, int column);
struct slice result_text(const PGresult *result, int row, int column); /* absent if NULL */
int64_t result_time(const PGresult *result, int row, int column);

#endif
