#ifndef RETENTION_RETIRE_H
#define RETENTION_RETIRE_H

#include "base/backoff.h"
#include "base/error.h"
#include "pg/session.h"

#include <libpq-fe.h>
#include <stdint.h>

/*
 * Partitions that are no longer needed. Retiring one detaches and renames it; a retired table is
 * dropped later, by the same command or by the next. migrations/000036_retention.up.sql has
 * functions for both, which fail rather than wait, or make others wait, for longer than a moment.
 * So they are retried here until nobody is in the way, and whoever is in the way is named.
 * Blocking; one thread.
 */
struct retire {
	PGconn *conn;
	struct backoff backoff;
	int64_t said_us; /* when we last said what we are waiting for */
};

/* The statements, for here and for daemon/dropper.h, which does not wait for answers. All
 * parameters and results are text. */
enum retire_statement {
	/* "true": until this session ends, nobody else retires, archives or drops. Each call takes
	 * the lock once more, and the end of the session releases them all. */
	RETIRE_LOCK,

	/*
	 * Partitions older than their table keeps rows, oldest first, by both the database's clock
	 * and one of ours, $3 in microseconds (NULL: none). $1 has the tables as an array ({a,b};
	 * {NULL}: all), $2 how long each keeps rows, in microseconds. $4: include retired ones of
	 * any age. At most $5 (NULL: all), without those whose oids are in $6 ({1,2}).
	 */
	RETIRE_FIND_OLD,

	RETIRE_PARTITION, /* of table $1, named $2; returns its new name */
	RETIRE_DROP,      /* the table with that new name */
	RETIRE_STATEMENTS,
};
extern const struct pg_statement retire_statements[RETIRE_STATEMENTS];

/* Columns of RETIRE_FIND_OLD. OLD_BYTES is NULL while somebody has locked it, OLD_SIZE is for
 * people. A partition keeps its OLD_ID when it is retired. */
enum { OLD_PARENT, OLD_NAME, OLD_STATE, OLD_ROWS, OLD_BYTES, OLD_SIZE, OLD_FROM, OLD_TO, OLD_ID };

/* Whether the table in this row is retired already, and only has to be dropped. */
bool retire_was_retired(const PGresult *old, int row);

/* False with err (REFUSED) if the role may not call the functions of these statements in that
 * schema; the hint has the statement that lets it. conn is from pg_wait_connect(). */
MUST_CHECK bool retire_check_rights(PGconn *conn, const char *schema, int64_t timeout_us,
	struct error *err);

/*
 * Partitions are dropped by the clock. False with err if the database's clock and ours differ by
 * more than an hour, or if nothing was stored for as long as rows are kept, so that all of them
 * would be too old: that is what a clock far ahead looks like.
 */
MUST_CHECK bool retire_check_clock(PGconn *conn, int64_t older_us, struct error *err);

/* Until conn ends, nobody else retires, archives or drops: a table must not be dropped while its
 * rows are being read. False with err (from the database). */
MUST_CHECK bool retire_begin(struct retire *r, PGconn *conn, struct error *err);

/* *out has the new name; the caller clears it. */
MUST_CHECK bool retire_partition(struct retire *r, const char *parent, const char *name,
	PGresult **out, struct error *err);

/*
 * No token is forgotten until retire_let_tokens_go() or the end of conn: rows are being copied to a
 * file, and `forget` would find those of the table only. Waits while one is being forgotten.
 */
MUST_CHECK bool retire_keep_tokens(struct retire *r, struct error *err);
void retire_let_tokens_go(struct retire *r);

MUST_CHECK bool retire_drop(struct retire *r, const char *parent, const char *retired,
	struct error *err);

#endif
