#ifndef DAEMON_PIPELINE_H
#define DAEMON_PIPELINE_H

#include "base/error.h"
#include "config/config.h"
#include "daemon/log_reader.h"
#include "metrics/metrics.h"
#include "pg/connect.h"

#include <ev.h>
#include <stdbool.h>

/*
 * From the log into the database: takes what has arrived, makes rows of it, has them written, and
 * decides what to do when something goes wrong. All policy of the program is in pipeline*.c.
 *
 * Batches are as large as what has arrived while the one before was written: quiet, one message in
 * milliseconds; busy, thousands. While one is written the next is made.
 *
 * All on the loop.
 */
struct pipeline;

struct pipeline_events {
	/* Trying again cannot help: the program should stop. */
	void (*on_fatal)(void *context, const struct error *err);
	/* The schema is behind, and the settings allow bringing it up to date: true if done. */
	bool (*migrate)(void *context, struct error *err);
	/* Everything that is in the log is stored. */
	void (*on_drained)(void *context);
	void *context;
};

/* log is borrowed. */
MUST_CHECK bool pipeline_new(struct pipeline **out, struct ev_loop *loop,
	const struct config *config, const struct pg_options *pg, int64_t schema_version,
	const char *client_id, const struct log_reader *log, struct metrics *metrics,
	struct pipeline_events events, struct error *err);
void pipeline_free(struct pipeline **pipeline);

/* Connect and begin. */
void pipeline_start(struct pipeline *p);

/* There may be something new in the log. */
void pipeline_wake(struct pipeline *p);

/* Take nothing new; on_drained() is called when the batch under way is over. */
void pipeline_stop(struct pipeline *p);

/* The database takes batches. */
bool pipeline_is_ready(const struct pipeline *p);

/* Tables that were loaded are being attached (struct log_reader, loads). */
bool pipeline_is_attaching(const struct pipeline *p);

/* Number of the last record that the database is known to have. */
uint64_t pipeline_stored_seq(const struct pipeline *p);

/* Set the gauges that say how far the pipeline is with its log, which is this one. */
void pipeline_measure(struct pipeline *p, struct spool *spool);

#endif
