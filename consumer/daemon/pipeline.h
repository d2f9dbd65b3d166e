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
 * From the log into the database: takes what has arrived, makes rows from it, has them written, and
 * decides what to do when something goes wrong. All of the program's policy is in pipeline*.c.
 *
 * A batch is as large as what arrived while the previous one was written: when quiet, one message
 * within milliseconds; when busy, thousands. While one batch is being written, the next is filled.
 *
 * All on the loop.
 */
struct pipeline;

struct pipeline_events {
	/* Retrying cannot help: the program should stop. */
	void (*on_fatal)(void *context, const struct error *err);
	/* The schema is behind: bring it up to date, however long it takes, and call
	 * pipeline_migrated(), from here or later. NULL = not allowed. */
	void (*migrate)(void *context);
	/* Everything in the log is stored. */
	void (*on_drained)(void *context);
	/* The settings given to pipeline_reload() are now in use. */
	void (*on_reloaded)(void *context);
	/* A batch was stored: pipeline_stored_seq() has moved. NULL = nobody waits for that. */
	void (*on_stored)(void *context);
	void *context;
};

/* Besides the settings. Pointers are borrowed. */
struct pipeline_options {
	const char *client_id; /* the name of this client in ingest_progress */
	int64_t schema_version;

	/* Messages to store; others count as skipped. NULL = all. */
	const struct message_filter *filter;

	/* These meter values know less than stations reported: if there already is one with the
	 * same station, time and EVSE, it is a duplicate, whatever else it says. */
	bool missing_only;

	/* Whatever storage.commit says: what is stored is on the database's disk. */
	bool commit_sync;

	/* The broker delivers them: their own times tell how far the clocks of stations are off. */
	bool live;

	/* How often in a row the database may refuse us (a password that was changed, a role or a
	 * database that was dropped) until on_fatal() is called; in between, somebody has 30 s to
	 * set it right. 0 = it is waited for without end. */
	int refusals_max;

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
 * New settings, and a new way to the database, which are borrowed until later ones are in use. They
 * take effect when no batch is being stored, which on_reloaded() reports. What was read from the
 * log beyond that is dropped and built again with them. So the effect is that of stopping and
 * starting there: no record is processed under both, none is left out and none stored twice. A
 * pending retry happens immediately. reconnect: from there on the new way to the database is used.
 */
void pipeline_reload(struct pipeline *p, const struct config *config, const struct pg_options *pg,
	bool reconnect);

/* migrate() has ended; err == NULL: the schema is up to date. */
void pipeline_migrated(struct pipeline *p, const struct error *err);

/* The log may have something new. */
void pipeline_wake(struct pipeline *p);

/* To limit the pace: take records until that many were taken since the start, including those read
 * again. Initially unlimited. */
void pipeline_allow(struct pipeline *p, uint64_t records);
uint64_t pipeline_taken(const struct pipeline *p);

/* Take nothing new; on_drained() is called when the batch in progress is over. */
void pipeline_stop(struct pipeline *p);

/* The database accepts batches. */
bool pipeline_is_ready(const struct pipeline *p);

/* If it does not: what has been retried since a batch was stored, and the reason. */
enum pipeline_trouble {
	PIPELINE_NO_TROUBLE,
	PIPELINE_NO_DATABASE,
	PIPELINE_BATCH_REFUSED, /* by a reachable database */
};
enum pipeline_trouble pipeline_trouble(const struct pipeline *p, enum error_reason *why_out);

/* pipeline_is_ready(), and everything taken is stored. */
bool pipeline_is_idle(const struct pipeline *p);

/* The log has ended (LOG_END), all of it is stored, and no loaded table is being attached. */
bool pipeline_is_over(const struct pipeline *p);

/* Number of the last record that the database is known to have. */
uint64_t pipeline_stored_seq(const struct pipeline *p);

/* Set the gauges that show the pipeline's progress in this log, which is its own. */
void pipeline_measure(struct pipeline *p, struct spool *spool);

#endif
