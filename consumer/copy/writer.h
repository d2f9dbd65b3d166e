#ifndef COPY_WRITER_H
#define COPY_WRITER_H

#include "base/error.h"
#include "base/uuid.h"
#include "copy/attacher.h"
#include "copy/batch.h"
#include "pg/session.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Stores batches: one transaction each, whose first statement claims progress. What it does:
 *
 *	State         Until                                   Then
 *	LOST          writer_open()                           CONNECTING
 *	CONNECTING    the progress is read                    READY
 *	READY         writer_store()                          STORING
 *	              maintenance is asked for                MAINTAINING
 *	              writer_reposition()                     CONNECTING
 *	STORING       COMMIT is answered                      COMMITTED
 *	              anything fails; a trial is accepted     ROLLING_BACK
 *	COMMITTED     the session is in order                 READY
 *	ROLLING_BACK  nothing of the batch is stored          READY
 *	              the batch is to be tried another way    STORING
 *	MAINTAINING   done or failed                          READY
 *	all           the connection ends                     LOST
 *
 * READY after CONNECTING comes with the position of the last record that the database has
 * (writer_events.on_ready): the owner of the writer continues from there, whatever it believed
 * before. So a COMMIT whose answer was lost, a database restored to an earlier point and a first
 * start are one case. What to do after a batch that failed is the owner's decision.
 *
 * A claim says which record the batch follows, how many records it has and what they add up to
 * (base/position.h), and is made only if the batch follows what is stored. So the database counts
 * by itself what it took from a log, and `verify` compares that with what the log counts.
 *
 * All on the loop's thread. Policy (when to try again, what is poison) is not here.
 */
struct writer;

struct writer_options {
	struct pg_options pg;
	struct uuid spool;
	const char *client_id;
	bool commit_sync;
	int64_t timeout_us; /* the server may be silent for so long during a batch */
	int64_t dedupe_window_us;
	int64_t pairing_window_us;
	int64_t pairing_keep_us;
	int64_t dead_letters_bytes_max;
	int64_t dead_letters_rows_max;
	int64_t dead_letters_topic_bytes_max;
	struct position begin;          /* where a log begins that the database does not know yet */
	int64_t schema_version;         /* that the database must have */
	bool missing_only;              /* as of the batches */
	const char *const *secret_keys; /* words that secret_keys is to have */
	size_t secret_keys_count;

	/* Meter values of days that have no partition are loaded into tables without an index,
	 * which are attached when the log has moved on to other days. They are not visible until
	 * then, and tables that are still being filled when the log ends are left for others to
	 * attach (loading_partitions). What was done is counted here. NULL = all rows go straight
	 * into partitions. */
	struct loads *loads;
};

struct writer_events {
	/* The last record that the database has. */
	void (*on_ready)(void *context, const struct position *at);
	/* The connection is lost, or could not be had; writer_open() tries again. */
	void (*on_lost)(void *context, const struct error *err);
	/* err == NULL: committed, or of a trial: accepted and rolled back. Else nothing of the
	 * batch is stored; poison_message: the message that the database refused, if it said so,
	 * else -1. If err is MOVED or STALE, the database's
	 * progress was moved, or tokens were forgotten, by somebody else:
	 * writer_reposition() reads what is so now. */
	void (*on_stored)(void *context, struct batch *batch, const struct error *err,
		int64_t poison_message);
	/* All up to seq is on the database's disk. */
	void (*on_durable)(void *context, uint64_t seq);
	/* Maintenance is over: ready again. */
	void (*on_idle)(void *context);
	void *context;
};

MUST_CHECK bool writer_new(struct writer **out, struct ev_loop *loop,
	const struct writer_options *options, struct writer_events events,
	struct partitions *partitions, struct layouts *layouts, struct pseudonyms *pseudonyms,
	struct error *err);
void writer_free(struct writer **writer);

/*
 * Other options, while no batch is stored: limits and windows count from the next batch on. What is
 * of the log and of the program stays (spool, client_id, begin, schema_version, missing_only,
 * loads). reconnect: the connection is closed, without an event, and writer_open() makes the next
 * one by these options; it must be so while one is made. Texts of the options before are not needed
 * any more. FATAL: there is no connection then.
 */
MUST_CHECK bool writer_reload(struct writer *w, const struct writer_options *options,
	bool reconnect, struct error *err);

void writer_open(struct writer *w);
bool writer_is_ready(const struct writer *w);

/* Tables are being attached; to be waited for, or they are left for others. */
bool writer_is_attaching(const struct writer *w);

/* In on_ready: the log's own position there, which counts where the database's is not known, or is
 * of records that the log lost in a crash. */
void writer_recognised(struct writer *w, const struct position *log);

/* Read the progress again, as after a reconnect: on_ready follows, or on_lost. Only when ready. */
void writer_reposition(struct writer *w);

/* Only when ready. The batch must stay as it is until on_stored or on_lost. */
void writer_store(struct writer *w, struct batch *batch);

/* From the next batch on the server may be silent for so long. */
void writer_set_timeout(struct writer *w, int64_t timeout_us);

/* How long the server lets a statement wait for a lock, and run, and when it looks for a deadlock;
 * 0 = without end. A wait that ended sooner was not cut off by it. A statement that waits for a
 * lock fails by lock_timeout, never by statement_timeout. */
struct writer_patience {
	int64_t lock_us, statement_us, deadlock_us;
};
struct writer_patience writer_patience(const struct writer *w);

/* Ask how far the WAL is on disk; the answer is on_durable. Only when ready. */
void writer_poll_durable(struct writer *w);

/* Make partitions for the days to come. Only when ready and idle. */
void writer_make_partitions_ahead(struct writer *w, int64_t days);

/* Remove calls and results that were stored longer ago than keep_us: nothing will be paired with
 * them. And what the store remembers of deletes that were stored longer ago than tombstones_us.
 * Some thousands at a time. Meanwhile collector.h is at it, too. Only when ready and idle. */
void writer_prune(struct writer *w, int64_t keep_us, int64_t tombstones_us);

/* How far the database's clock is ahead of ours (below 0: behind), at least, as it was when last
 * asked: after connecting, and with each writer_prune(). Several workers that agree with one
 * database agree with each other. */
int64_t writer_clock_offset_us(const struct writer *w);

#endif
