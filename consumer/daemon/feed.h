#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include "base/error.h"
#include "config/config.h"
#include "pg/connect.h"
#include "spool/spool.h"

/*
 * Stores what is in a log that a command has filled, as the service stores what the broker sends:
 * the same pipeline, exactly once, over any trouble with the database. For the command line; one
 * thread, which it blocks until all is committed.
 */
struct feed_totals {
	uint64_t stored;
	uint64_t duplicate;
	uint64_t dead_lettered;
	uint64_t skipped;
};

/* Adds to *totals. False with err (FATAL) if trying again cannot help; nothing is lost then. */
MUST_CHECK bool feed_log(const struct config *config, const struct pg_options *pg,
	struct spool *spool, struct feed_totals *totals, struct error *err);

#endif
