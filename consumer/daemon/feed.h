#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include "base/error.h"
#include "config/config.h"
#include "daemon/pipeline.h"
#include "metrics/metrics.h"
#include "pg/connect.h"

/*
 * Stores what is in a log, the way the service stores what the broker sends: the same pipeline,
 * exactly once, whatever happens to the database. For the command line; one thread, which it blocks
 * until everything is committed.
 */
struct feed_options {
	struct pipeline_options pipeline; /* without the version of the schema */
	int64_t rate;                     /* at most that many records per second; 0 = no limit */

	/* While somebody else stores messages (daemon/neighbours.h), it works in small steps: locks
	 * are held briefly, and others come in between. */
	bool yields;

	/* Called now and then, and at the end; or NULL. */
	void (*on_progress)(void *context, const struct metrics *metrics);
	int64_t progress_us;

	void *context;
};

/*
 * Runs until the log has ended and everything is committed. *metrics counts the outcomes. False
 * with err (FATAL) if retrying cannot help, or STOPPED after SIGINT or SIGTERM; then nothing is
 * lost, and the same call continues where this one stopped.
 */
MUST_CHECK bool feed_log(const struct config *config, const struct pg_options *pg,
	const struct log_reader *log, const struct feed_options *options, struct metrics *metrics,
	struct error *err);

#endif
