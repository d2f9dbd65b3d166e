#ifndef RETENTION_RETIRE_H
#define RETENTION_RETIRE_H

#include "base/backoff.h"
#include "base/error.h"

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
