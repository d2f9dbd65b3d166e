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
 * Stores batches: one transaction each, whose first statement claims progress. States:
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
 * before. So an unanswered COMMIT, a database restored to an earlier point and a first start are
 * the same case. The owner decides what to do after a failed batch.
 *
 * A claim says which record the batch follows, how many records it has and the sum of their
 * checksums (base/position.h), and succeeds only if the batch follows what is stored. So the
 * database keeps its own count of what it took from a log, and `verify` compares that with the
 * log's count.
 *
 * All on the loop's thread. Policy (when to retry, what is poison) is not here.
 */
struct writer;

struct writer_options {
	struct pg_options pg;
	struct uuid spool;
	const char *client_id;
	bool commit_sync;
	int64_t timeout_us; /* how long the server may be silent during a batch */
	int64_t dedupe_window_us;
	int64_t pairing_window_us;
	int64_t pairing_keep_us;
	int64_t energy_refresh_us; /* 0 = no energy per hour */
	int64_t dead_letters_bytes_max;
	int64_t dead_letters_rows_max;
	int64_t dead_letters_topic_bytes_max;
	struct position begin;  /* where the log begins, if the database does not know it yet */
	int64_t schema_version; /* required of the database */
	bool missing_only;      /* as in the batches */
	const char *const *secret_keys; /* words for the table secret_keys */
	size_t secret_keys_count;

	/*
	 * Meter values of days without a partition are loaded into tables without an index, which
	 * are attached when the log has moved on to other days. Until then they are not visible,
	 * and tables still being filled when the log ends are left for others to attach
	 * (loading_partitions). Counts what was done. NULL = all rows go straight into partitions.
	 */
	struct loads *loads;
};

struct writer_events {
	/* at: the last record that the database has. */
	void (*on_ready)(void *context, const struct position *at);
	/* The connection was lost or could not be made; writer_open() tries again. */
	void (*on_lost)(void *context, const struct error *err);
	/*
	 * err == NULL: committed, or for a trial: accepted and rolled back. Otherwise nothing of
	 * the batch is stored; poison_message: the message that the database refused, if it said
	 * which, or -1. If err is MOVED or STALE, the database's progress was moved, or tokens were
	 * forgotten, by somebody else: writer_reposition() reads the current state.
	 */
	void (*on_stored)(void *context, struct batch *batch, const struct error *err,
		int64_t poison_message);
	/* Everything up to seq is on the database's disk. */
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
 * Change options while no batch is stored: limits and windows apply from the next batch on. Options
 * of the log and the program stay (spool, client_id, begin, schema_version, missing_only, loads).
 * reconnect: closes the connection, without an event, and the next writer_open() uses these
 * options; required while connecting. Texts of the previous options are no longer needed. FATAL:
 * there is no connection then.
 */
MUST_CHECK bool writer_reload(struct writer *w, const struct writer_options *options,
	bool reconnect, struct error *err);

void writer_open(struct writer *w);
bool writer_is_ready(const struct writer *w);

/* Tables are being attached; wait for it, or they are left for others. */
bool writer_is_attaching(const struct writer *w);

/* In on_ready: the log's own position there, which counts if the database's is unknown, or is about
 * records that the log lost in a crash. */
void writer_recognised(struct writer *w, const struct position *log);

/* Read the progress again, as after a reconnect: ends in on_ready or on_lost. Only when ready. */
void writer_reposition(struct writer *w);

/* Only when ready. The batch must not change until on_stored or on_lost. */
void writer_store(struct writer *w, struct batch *batch);

/* How long the server may be silent, from the next batch on. */
void writer_set_timeout(struct writer *w, int64_t timeout_us);

/*
 * How long the server lets a statement wait for a lock, and run, and after what time it looks for a
 * deadlock; 0 = no limit. A shorter wait was not cut off by these. A statement that waits for a
 * lock fails by lock_timeout, never by statement_timeout.
 */
struct writer_patience {
	int64_t lock_us, statement_us, deadlock_us;
};
struct writer_patience writer_patience(const struct writer *w);

/* Ask how far the WAL is on disk; the answer is on_durable. Only when ready. */
void writer_poll_durable(struct writer *w);

/* Create partitions for the coming days. Only when ready and idle. */
void writer_make_partitions_ahead(struct writer *w, int64_t days);

/*
 * Remove calls and results that were stored longer ago than keep_us, which nothing will be paired
 * with any more; and the store's tombstones older than tombstones_us. Some thousands at a time.
 * Also starts the collector (collector.h). Only when ready and idle.
 */
void writer_prune(struct writer *w, int64_t keep_us, int64_t tombstones_us);

/*
 * The minimum by which the database's clock is ahead of ours (negative if it lags), as of the last
 * query: after connecting, and with each writer_prune(). Workers that agree with the same database
 * agree with each other.
 */
int64_t writer_clock_offset_us(const struct writer *w);

#endif
