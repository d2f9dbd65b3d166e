#ifndef DAEMON_PIPELINE_H
#define DAEMON_PIPELINE_H

#include "base/error.h"
#include "config/config.h"
#include "copy/attacher.h"
#include "daemon/log_reader.h"
#include "decode/message_filter.h"
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
	/* The schema is behind: bring it up to date, however long it takes, and call
	 * pipeline_migrated(), from here or later. NULL = not allowed. */
	void (*migrate)(void *context);
	/* Everything that is in the log is stored. */
	void (*on_drained)(void *context);
	/* The settings of pipeline_reload() are those it works by. */
	void (*on_reloaded)(void *context);
	void *context;
};

/* Beside the settings. Pointers are borrowed. */
struct pipeline_options {
	const char *client_id; /* what ingest_progress says of who it was */
	int64_t schema_version;

	/* Messages that are to be stored; others count as skipped. NULL = all. */
	const struct message_filter *filter;

	/* The meter values know less than stations said: one whose station, time and EVSE have a
	 * meter value already is a duplicate of it, whatever else it says. */
	bool missing_only;

	/* The broker delivers them: their own times tell how far the clocks of stations are off. */
	bool live;

	/* It is history: days that have no partition may be loaded before they are partitions
	 * (copy/writer.h). NULL = never. */
	struct loads *loads;
};

/* log is borrowed. */
MUST_CHECK bool pipeline_new(struct pipeline **out, struct ev_loop *loop,
	const struct config *config, const struct pg_options *pg,
	const struct pipeline_options *options, const struct log_reader *log,
	struct metrics *metrics, struct pipeline_events events, struct error *err);
void pipeline_free(struct pipeline **pipeline);

/* Connect and begin. */
void pipeline_start(struct pipeline *p);

/*
 * Other settings, and another way to the database, which are borrowed until later ones are taken
 * over. They are taken over when no batch is being stored, as on_reloaded() tells. What was read of
 * the log beyond that is dropped and made again by them. So their effect is that of a stop and a
 * start in that place: no record is made by both, none is left out and none stored twice. What
 * waits for its next try is tried at once. reconnect: the database is to be reached in that way
 * from there on.
 */
void pipeline_reload(struct pipeline *p, const struct config *config, const struct pg_options *pg,
	bool reconnect);

/* migrate() is over; err == NULL: the schema is up to date. */
void pipeline_migrated(struct pipeline *p, const struct error *err);

/* There may be something new in the log. */
void pipeline_wake(struct pipeline *p);

/* For a pace: take records until there were so many since the start, those that are read again
 * included. At first as many as there are. */
void pipeline_allow(struct pipeline *p, uint64_t records);
uint64_t pipeline_taken(const struct pipeline *p);

/* Take nothing new; on_drained() is called when the batch under way is over. */
void pipeline_stop(struct pipeline *p);

/* The database takes batches. */
bool pipeline_is_ready(const struct pipeline *p);

/* If it does not: what is tried again since a batch was stored, and the reason of that trouble. */
enum pipeline_trouble {
	PIPELINE_NO_TROUBLE,
	PIPELINE_NO_DATABASE,
	PIPELINE_BATCH_REFUSED, /* by a database that is there */
};
enum pipeline_trouble pipeline_trouble(const struct pipeline *p, enum error_reason *why_out);

/* The same as pipeline_is_ready(), and all that was taken is stored. */
bool pipeline_is_idle(const struct pipeline *p);

/* The log has ended (LOG_END), all of it is stored, and no loaded table is being attached. */
bool pipeline_is_over(const struct pipeline *p);

/* Number of the last record that the database is known to have. */
uint64_t pipeline_stored_seq(const struct pipeline *p);

/* Set the gauges that say how far the pipeline is with its log, which is this one. */
void pipeline_measure(struct pipeline *p, struct spool *spool);

#endif
