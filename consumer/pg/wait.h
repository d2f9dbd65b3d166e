#ifndef PG_WAIT_H
#define PG_WAIT_H

#include "base/error.h"
#include "pg/connect.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * One connection, used by a thread that waits, but never past a deadline (clock_mono_us()): libpq's
 * own blocking calls have no deadline that holds against a silent server. Any thread, one at a time
 * per connection. Only resolving a host name is unbounded: libpq leaves it to the system's
 * resolver.
 */

/*
 * Connect and set up the session, within timeout_us for each host; setup_sql: further setup, or
 * NULL. cancel_fd: gives up when it becomes readable; -1 = none. NULL with err on failure; the
 * caller ends it with PQfinish().
 */
PGconn *pg_wait_connect(const struct pg_options *options, const char *setup_sql, int64_t timeout_us,
	int cancel_fd, struct error *err);

/* As pg_pooler_check() (pooler.h), waiting. conn is bare; pg_wait_connect() checks every connection
 * that it sets up. */
MUST_CHECK bool pg_wait_check_pooling(PGconn *conn, const struct pg_options *options,
	int64_t timeout_us, int cancel_fd, struct error *err);

/* Run SQL until the deadline; returns the last result, which the caller clears. NULL with err
 * unless every statement succeeds; after a deadline the connection is unusable. */
PGresult *pg_wait_query(PGconn *conn, const char *sql, int64_t deadline_us, struct error *err);

/*
 * The outcome of what was just sent with a PQsend...(): the last result, or the first failure as
 * err. *broken_out: the connection is unusable because an answer may still be on its way. NULL with
 * err on failure; the caller clears the result.
 */
PGresult *pg_wait_result(PGconn *conn, int64_t deadline_us, bool *broken_out, struct error *err);

/* False if the server has ended an idle connection. Only looks at the socket; does not wait. */
bool pg_wait_is_alive(PGconn *conn);

#endif
