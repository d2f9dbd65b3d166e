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
 * So they are called here again until nobody is in the way, and whoever is in the way is named. One
 * thread, which waits.
 */
struct retire {
	PGconn *conn;
	struct backoff backoff;
	int64_t said_us; /* when we last said what we are waiting for */
};

/* What is asked of the database, here and by daemon/dropper.h, which does not wait for an answer.
 * All parameters are text, and so are the results. */
enum retire_statement {
	/* "true": nobody else retires, archives or drops until this session ends. Each call takes
	 * the lock once more, and the end of the session releases all of them. */
	RETIRE_LOCK,

	/*
	 * Partitions older than their table keeps rows, the oldest first, by the database's clock
	 * and by one of ours, $3 in microseconds (NULL: none). $1 has the tables as an array
	 * ({a,b}; {NULL}: all), $2 likewise how long each keeps rows, in microseconds. $4: retired
	 * ones of any age, too. At most $5 (NULL: all), after the first $6.
	 */
	RETIRE_FIND_OLD,

	RETIRE_PARTITION, /* of table $1, named $2: its new name */
	RETIRE_DROP,      /* the table of that new name */
	RETIRE_STATEMENTS,
};
extern const struct pg_statement retire_statements[RETIRE_STATEMENTS];

/* Columns of RETIRE_FIND_OLD. OLD_SIZE is for people. */
enum { OLD_PARENT, OLD_NAME, OLD_STATE, OLD_ROWS, OLD_BYTES, OLD_SIZE, OLD_FROM, OLD_TO };

/*
 * False with err (REFUSED) if the role may not call the functions of these statements in that
 * schema, with the statement that lets it as the hint. conn is one of pg_wait_connect().
 */
MUST_CHECK bool retire_check_rights(PGconn *conn, const char *schema, int64_t timeout_us,
	struct error *err);

/*
 * What is dropped is dropped by the clock. False with err if that of the database and ours differ
 * by more than an hour, or if nothing was stored for as long as rows are to be kept, so that all of
 * them would be too old: a clock that is far ahead looks like that.
 */
MUST_CHECK bool retire_check_clock(PGconn *conn, int64_t older_us, struct error *err);

/*
 * Nobody else retires, archives or drops until conn ends: a table must not be dropped while its
 * rows are being read. False with err (from the database).
 */
MUST_CHECK bool retire_begin(struct retire *r, PGconn *conn, struct error *err);

/* The new name is in *out, which the caller clears. */
MUST_CHECK bool retire_partition(struct retire *r, const char *parent, const char *name,
	PGresult **out, struct error *err);

MUST_CHECK bool retire_drop(struct retire *r, const char *parent, const char *retired,
	struct error *err);

#endif
