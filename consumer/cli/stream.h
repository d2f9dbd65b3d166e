#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * The rows of a query, one at a time as the server sends them: memory does not grow with them. One
 * thread.
 *
 * on_row gets a result with one row, and owns it; after the last one, a result without rows, which
 * has the columns. If it returns false, with err, the query ends: then, as after a server error,
 * conn is only good for PQfinish().
 */
MUST_CHECK bool stream_query(PGconn *conn, const char *sql, int count, const char *const *params,
	bool (*on_row)(void *context, PGresult *r, struct error *err), void *context,
	struct error *err);

/* For a session that only reads. JIT compilation of a query over many partitions takes seconds,
 * which the few rows of each never repay. */
#define STREAM_SETUP "SET default_transaction_read_only = on; SET jit = off"

/* Whether the values of a column are numbers. */
bool stream_is_number(const PGresult *r, int column);

#endif
