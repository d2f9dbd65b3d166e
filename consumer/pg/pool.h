#ifndef PG_POOL_H
#define PG_POOL_H

#include "base/error.h"
#include "pg/connect.h"
#include "pg/conninfo.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Connections to one PostgreSQL, lent to any number of threads. Promises:
 *
 * - Never more than conns_max are open, and conns_min are kept open.
 * - Waiters are served in order of arrival, or get an error by their deadline.
 * - A connection that the server has ended is not lent, unless it was in use a moment ago
 *   (PG_POOL_FRESH_US: checking would cost each call of a busy pool a system call).
 * - One that is given back broken, late or inside a transaction is closed, which frees its place.
 * - After a failure the next attempt to connect is made after a delay with jitter, by one thread: a
 *   server that comes back is not swamped.
 *
 * All functions from any thread. A thread of the pool's own makes, checks and ends connections.
 */
struct pg_pool;

/* Statements that the caller has prepared on a connection: one bit each. */
enum { PG_POOL_STATEMENTS_MAX = 128 };

/* A connection that was idle for less is lent without checking its socket. */
#define PG_POOL_FRESH_US INT64_C(5000)

/* A connection on loan. */
struct pg_pool_conn {
	PGconn *conn;
	uint64_t prepared[PG_POOL_STATEMENTS_MAX / 64];
	bool broken; /* set by the borrower: do not lend it again */
};

struct pg_pool_options {
	struct pg_options pg; /* its text must outlive the pool; connect_timeout_us is not used */
	struct pg_pool_settings settings;
	int64_t statement_timeout_us; /* the server gives up on a statement; 0 = never */
};

/* Gauges, and counters since it was opened. */
struct pg_pool_stats {
	uint64_t open;
	uint64_t idle;
	uint64_t busy;
	uint64_t waiting;
	uint64_t taken_total;
	uint64_t waits_total;    /* of those taken: had to wait */
	int64_t wait_us_total;   /* total time waited */
	uint64_t timeouts_total; /* got none by their deadline */
	uint64_t connects_total;
	uint64_t connect_failures_total;
	uint64_t broken_total; /* ended by the server, or given back broken */
	uint64_t idle_closed_total;
};

/* Does not wait for the first connection. FATAL on failure. */
MUST_CHECK bool pg_pool_open(struct pg_pool **out, const struct pg_pool_options *options,
	struct error *err);

/* All connections must have been given back. NULL inside is fine. */
void pg_pool_close(struct pg_pool **pool);

/*
 * Borrow one until pg_pool_give(). TRANSIENT if none is available by deadline_us (clock_mono_us()):
 * the message has the reason of the last failure to connect, if that is why. A refusal by the
 * server (password, database, privileges) is reported immediately.
 */
MUST_CHECK bool pg_pool_take(struct pg_pool *pool, int64_t deadline_us, struct pg_pool_conn **out,
	struct error *err);
void pg_pool_give(struct pg_pool *pool, struct pg_pool_conn *loan);

void pg_pool_get_stats(struct pg_pool *pool, struct pg_pool_stats *out);

#endif
