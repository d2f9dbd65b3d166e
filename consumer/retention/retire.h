#ifndef RETENTION_RETIRE_H
#define RETENTION_RETIRE_H

#include "base/backoff.h"
#include "base/error.h"

#include <libpq-fe.h>
#include <stdint.h>

/*
 * Partitions that are done with. Retiring one detaches and renames it; what is retired is dropped
 * later, by the same command or by the next (migrations/000036_retention.up.sql has both, which
 * fail rather than wait, and let others wait, for longer than a moment). So they are called again
 * here until nobody is in the way, and it is said who is. One thread, which waits.
 */
struct retire {
	PGconn *conn;
	struct backoff backoff;
	int64_t said_us; /* when it was said last what is waited for */
};

/*
 * Nobody else retires, archives or drops meanwhile: a table must not go while its rows are being
 * read. Until conn ends. False with err (of the database).
 */
MUST_CHECK bool retire_begin(struct retire *r, PGconn *conn, struct error *err);

/* The new name is in *out, which the caller clears. */
MUST_CHECK bool retire_partition(struct retire *r, const char *parent, const char *name,
	PGresult **out, struct error *err);

MUST_CHECK bool retire_drop(struct retire *r, const char *parent, const char *retired,
	struct error *err);

#endif
