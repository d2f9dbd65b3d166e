#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include "base/error.h"
#include "config/config.h"
#include "daemon/pipeline.h"
#include "metrics/metrics.h"
#include "pg/connect.h"

/*
 * Stores what is in a log, as the service stores what the broker sends: the same pipeline, exactly
 * once, over any trouble with the database. For the command line; one thread, which it blocks until
 * all is committed.
 */
struct feed_options {
	struct pipeline_options pipeline; /* but for the version of the schema */
	int64_t rate;                     /* records a second at most; 0 = as fast as it goes */

	/* While somebody else stores messages (daemon/neighbours.h) it takes little at a time:
	 * locks are held briefly, others come in between. */
	bool yields;

	/* Now and then, and at the end; or NULL. */
	void (*on_progress)(void *context, const struct metrics *metrics);
	int64_t progress_us;

	void *context;
};

/*
 * Until the log says that there is no more and all of it is committed. *metrics counts what became
 * of it. False with err (FATAL) if trying again cannot help, or STOPPED after SIGINT or
 * SIGTERM; nothing is lost then, and the same call continues where this one stopped.
 */
MUST_CHECK bool feed_log(const struct config *config, const struct pg_options *pg,
	const struct log_reader *log, const struct feed_options *options, struct metrics *metrics,
	struct error *err);

#endif
