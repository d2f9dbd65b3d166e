#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "spool/record.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The durable log between the broker and the database: a folder of segments, and the program's only
 * queue. Whatever spool_append() has accepted, a cursor reads in the same order, even in the next
 * process after a kill -9 at any moment; with SPOOL_SYNC_MESSAGE even after a power cut, if the
 * record was appended as durable and spool_sync() has returned since. One sync serves all waiters.
 * Until then no cursor shows such a record: a database never has what the log lacks.
 *
 * The folder:
 *
 *	identity                  the log's UUID; the key of its progress in the database
 *	identity.new              exists while spool_new_identity() is working
 *	session                   the UUID in the default MQTT client id, if it is a different one
 *	lock                      held (flock) by the one process that uses the log
 *	closed                    exists only after a proper shutdown: where the log ends
 *	<first seq>.seg           segments, see spool/segment.h
 *	<first seq>.seg.zst       segments that are released, packed, see spool/archive.h
 *	<first seq>.seg[.zst].bad a damaged one, set aside for a person to look at
 *	spare.tmp                 the next segment, with all of its room reserved
 *	reserve                   16 KiB beside bytes_max, given up so that `closed` can be written,
 *	                          or a new identity, when the disk is full
 *	archive.tmp, unpacked.tmp a segment on its way into or out of an archive
 *
 * Numbers (seq) only grow. After a crash 2^32 of them are skipped, so that a record the disk lost
 * can never be mistaken for a new one: the database may have stored it. They continue even when all
 * records are gone, since each segment says what came before it. If nothing in the folder says
 * where they continue (somebody removed the segments of a log that was not closed), the log gets a
 * new identity.
 *
 * A full disk, or quota, is not a failure: spool_append() returns SPOOL_FULL, released segments are
 * removed early, and the log resumes by itself once there is room. Opening an existing log needs no
 * room: if there is none for another segment, the log opens without one, to be read and released. A
 * new log needs a little room for its first files; otherwise spool_open() fails with NO_SPACE.
 *
 * Threads: spool_append(), spool_wait_for_space(): one intake thread. spool_sync(): any. The cursor
 * and spool_release(): the loop. One thread of the spool's own ("keeper") makes spares, syncs at
 * intervals and removes released segments; another ("archiver"), of lowest priority, packs those
 * that are kept. Everything else: before or after threads run.
 */
struct spool;

enum spool_sync { SPOOL_SYNC_MESSAGE, SPOOL_SYNC_INTERVAL, SPOOL_SYNC_NONE };

struct spool_options {
	const char *dir;
	enum spool_sync sync;
	int64_t sync_interval_us;
	int64_t segment_bytes;
	int64_t bytes_max;
	int64_t retain_us;
	bool archive; /* pack released segments */
	bool clear; /* once all is released, spool_close() removes the records; numbers continue */
};

/* For metrics and spool ls; one consistent snapshot. */
struct spool_stats {
	uint64_t oldest_seq; /* first record kept, or the next number if there is none */
	uint64_t last_seq;
	uint64_t released_seq;
	uint64_t damaged_records; /* found since start */
	int64_t bytes;            /* of all files */
	uint32_t segments;
	uint32_t archived; /* of them */
	bool full;         /* spool_append() would return SPOOL_FULL */
	bool disk_full;    /* because of the disk, not because of bytes_max */
	uint64_t syncs;    /* of segments being written, since start */
};

/* Opens or creates the log. FATAL: another process uses the folder, a segment has an unknown
 * version, or the disk fails. */
MUST_CHECK bool spool_open(struct spool **out, const struct spool_options *options,
	struct error *err);

/* Syncs, records that the shutdown was clean, and frees. NULL is fine. */
void spool_close(struct spool **spool);

struct uuid spool_identity(const struct spool *spool);

/* The basis of the default MQTT client id: the identity, or the identity before the log lost its
 * numbers. So the broker's session stays the same, with everything it has queued. */
struct uuid spool_session(const struct spool *spool);

struct spool_renewal {
	bool keep_session;    /* in: the same worker continues. false: it is a copy of its log */
	struct uuid identity; /* out: the new one */
	struct uuid session;  /* out: what spool_session() was before */
	bool session_known;   /* out */
};

/*
 * Make the log in dir, which no process may be using, one that no database knows: everything in it
 * is fed again, and what is already stored turns out to be a duplicate. For a copy of a log (a
 * cloned machine, a restored volume), and for a database that lacks some of what it says it has. It
 * may be interrupted at any moment and called again. FATAL on error.
 */
MUST_CHECK bool spool_new_identity(const char *dir, struct spool_renewal *renewal,
	struct error *err);

enum spool_append { SPOOL_APPENDED, SPOOL_FULL, SPOOL_FAILED };

/*
 * Append a record; sets r->seq. durable: with SPOOL_SYNC_MESSAGE it can be read, and may be
 * acknowledged, only after spool_sync(). FULL: the limit is reached or the disk is full, and
 * nothing has been released: wait for space, then append it again. FAILED sets err (FATAL); every
 * later append fails too, since the state of the disk is unknown.
 */
enum spool_append spool_append(struct spool *spool, struct record *r, bool durable,
	struct error *err);

/*
 * All records appended as durable before this call are on disk when it returns; it returns
 * immediately if they already are, or if the log does not sync per message. Any thread; blocking.
 * False sets err (FATAL): a sync has failed, now or earlier. Then nothing may be acknowledged any
 * more: a sync is never retried, since the kernel may have dropped what it could not write. For
 * records that nobody else syncs, the keeper calls it within two seconds.
 */
MUST_CHECK bool spool_sync(struct spool *spool, struct error *err);

/* Wait until there may be space again, or spool_stop_waiting(). False if stopped. */
bool spool_wait_for_space(struct spool *spool);
void spool_stop_waiting(struct spool *spool);

/* The next record begins a new segment as soon as one is ready, unless this one is empty. Any
 * thread. */
void spool_rotate(struct spool *spool);

/* Change the limits: a log that exceeds the new one gets no new segment until enough of it has been
 * released and removed. Any thread. */
void spool_set_limits(struct spool *spool, int64_t bytes_max, int64_t retain_us,
	int64_t sync_interval_us);

/* Number of the last record that a cursor can read. Any thread. */
uint64_t spool_last_seq(const struct spool *spool);

/* Everything up to seq is stored for good; it is kept for options.retain_us and then removed. */
void spool_release(struct spool *spool, uint64_t seq);

/* Returns a failure of the keeper, once: true with err. The loop polls it. */
bool spool_failed(struct spool *spool, struct error *err);

void spool_stats(struct spool *spool, struct spool_stats *out);

/* How many records are newer than seq; skipped numbers do not count. Any thread. */
uint64_t spool_count_newer(struct spool *spool, uint64_t seq);

/* When the first record newer than seq was received; false if there is none to read. The loop. */
MUST_CHECK bool spool_received_newer(struct spool *spool, uint64_t seq, int64_t *received_us_out);

/* A reading position. Records live in the arena that the cursor is given, for as long as that
 * does. */
struct spool_cursor;

enum spool_next { SPOOL_RECORD, SPOOL_EMPTY, SPOOL_ERROR };

/* Before the oldest record kept. */
void spool_begin_position(struct spool *spool, struct position *out);

MUST_CHECK bool spool_cursor_open(struct spool_cursor **out, struct spool *spool,
	struct error *err);
void spool_cursor_close(struct spool_cursor **cursor);

/* Go to the first record after seq. *lost_out counts the missing records in between; numbers
 * skipped on purpose do not count. */
MUST_CHECK bool spool_cursor_seek(struct spool_cursor *cursor, uint64_t seq, uint64_t *lost_out,
	struct error *err);

/*
 * Is this the log that somebody has read up to that position? False with err (FATAL) if not: the
 * log ends earlier; or its record with that number is a different one, as in a copy that went its
 * own way; or the number was skipped, but fewer records were read than the log has.
 *
 * *out is the log's own position: the same number; a higher one if the log has removed what
 * follows; or a lower one if the number is among the skipped ones. Blocking: it may have to read a
 * segment.
 */
MUST_CHECK bool spool_cursor_recognise(struct spool_cursor *cursor, const struct position *at,
	struct position *out, struct error *err);

/* Call before the arena given to spool_cursor_next() is reset. */
void spool_cursor_drop_window(struct spool_cursor *cursor);

/* ERROR sets err: FULL = close this batch and continue with another arena. */
enum spool_next spool_cursor_next(struct spool_cursor *cursor, struct arena *arena,
	struct record *out, struct error *err);

#endif
