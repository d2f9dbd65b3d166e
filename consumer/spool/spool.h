#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "spool/record.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The durable log between the broker and the database: a folder of segments, the only queue of the
 * program. What spool_append() has accepted is read by a cursor in the same order, also by the
 * next process after a kill -9 at any moment; with SPOOL_SYNC_MESSAGE also after a power cut, if
 * the record was appended as durable and spool_sync() has returned since. One sync serves all who
 * wait for it. Until then no cursor shows such a record: a database never has what the log lacks.
 *
 * The folder:
 *
 *	identity                  the log's UUID; progress in the database is kept under it
 *	identity.new              there while spool_new_identity() is at work
 *	session                   the UUID in the default MQTT client id, where it is another one
 *	lock                      held (flock) by the one process that uses the log
 *	closed                    there after a proper shutdown only: where the log ends
 *	<first seq>.seg           segments, see spool/segment.h
 *	<first seq>.seg.zst       segments that are released, packed, see spool/archive.h
 *	<first seq>.seg[.zst].bad one with damage, set aside for a person to look at
 *	spare.tmp                 the next segment, all of its room taken ahead
 *	reserve                   16 KiB beside bytes_max, given up so that `closed` can be written,
 *	                          or a new identity, when the disk is full
 *	archive.tmp, unpacked.tmp a segment on its way into or out of an archive
 *
 * Numbers (seq) only grow. After a crash 2^32 of them are skipped, so that a record the disk lost
 * can never be mistaken for a new one: the database may have stored it. They continue when all
 * records are gone, since each segment says what came before it. If nothing in the folder says how
 * far they are (somebody removed the segments of a log that was not closed), the log gets another
 * identity.
 *
 * A full disk, or quota, is not a failure: spool_append() says SPOOL_FULL, what is released is
 * removed before its time, and the log resumes by itself once there is room. Opening an existing
 * log takes no room: without room for another segment it is opened with none, to be read and
 * released. The first files of a new log take a little; without that spool_open() says NO_SPACE.
 *
 * Threads: spool_append(), spool_wait_for_space(): one intake thread. spool_sync(): any. The cursor
 * and spool_release(): the loop. One thread of the spool's own ("keeper") makes spares, syncs at
 * intervals and removes what is released; another ("archiver"), of lowest priority, packs it while
 * it is kept. Everything else: before or after threads.
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
	bool archive; /* pack what is kept */
	bool clear; /* at spool_close(), once all is released: no record stays, the numbers go on */
};

/* Numbers for metrics and for spool ls; one consistent picture. */
struct spool_stats {
	uint64_t oldest_seq; /* first record kept; the number of the next one if none is */
	uint64_t last_seq;
	uint64_t released_seq;
	uint64_t damaged_records; /* found since start */
	int64_t bytes;            /* of all files */
	uint32_t segments;
	uint32_t archived; /* of them */
	bool full;         /* spool_append() would say SPOOL_FULL */
	bool disk_full;    /* because the disk is, not because of bytes_max */
	uint64_t syncs;    /* of segments while they were written, since start */
};

/*
 * Opens or creates the log. FATAL: the folder is used by another process, a segment is of an
 * unknown version, or the disk fails.
 */
MUST_CHECK bool spool_open(struct spool **out, const struct spool_options *options,
	struct error *err);

/* Syncs, records that the shutdown was clean, and frees. NULL is fine. */
void spool_close(struct spool **spool);

struct uuid spool_identity(const struct spool *spool);

/* What the default MQTT client id is made of: the identity, or what that was before the log lost
 * its numbers. The broker's session is the same one then, with what it has queued. */
struct uuid spool_session(const struct spool *spool);

/*
 * Make the log in dir, which no process uses, one that no database knows: everything in it is fed
 * again, and what is stored already is found to be a duplicate. For a copy of a log (a cloned
 * machine, a restored volume). May be interrupted at any moment and called again. FATAL on error.
 */
MUST_CHECK bool spool_new_identity(const char *dir, struct uuid *out, struct error *err);

enum spool_append { SPOOL_APPENDED, SPOOL_FULL, SPOOL_FAILED };

/*
 * Append a record; r->seq is set. durable: with SPOOL_SYNC_MESSAGE it can be read, and must be
 * acknowledged, only after spool_sync(). FULL: the limit is reached, or the disk full, and nothing
 * is released: wait for space, then append the same again. FAILED sets err (FATAL); every later
 * append fails too, since the state of the disk is unknown.
 */
enum spool_append spool_append(struct spool *spool, struct record *r, bool durable,
	struct error *err);

/*
 * All records that were appended as durable before this was called are on disk; at once if they are
 * already, or if the log does not sync per message. Any thread; blocking. False sets err (FATAL): a
 * sync has failed, now or earlier. Then nothing may be acknowledged any more: it is never tried
 * again, since the kernel may have dropped what it could not write. The keeper calls it for what
 * nobody else asks for, within two seconds.
 */
MUST_CHECK bool spool_sync(struct spool *spool, struct error *err);

/* Until there may be space again, or spool_stop_waiting(). False if stopped. */
bool spool_wait_for_space(struct spool *spool);
void spool_stop_waiting(struct spool *spool);

/* The next record begins a new segment, as soon as one is ready, unless this one is empty. Any
 * thread. */
void spool_rotate(struct spool *spool);

/* Other limits from here on: a log that is larger than the new one gets no new segment until enough
 * of it is released and removed. Any thread. */
void spool_set_limits(struct spool *spool, int64_t bytes_max, int64_t retain_us,
	int64_t sync_interval_us);

/* Number of the last record that a cursor can read. Any thread. */
uint64_t spool_last_seq(const struct spool *spool);

/* All up to seq is stored for good; it is kept for options.retain_us and then removed. */
void spool_release(struct spool *spool, uint64_t seq);

/* A failure of the keeper, once: true with err. For the loop to look at now and then. */
bool spool_failed(struct spool *spool, struct error *err);

void spool_stats(struct spool *spool, struct spool_stats *out);

/* How many records are newer than seq; numbers that were skipped do not count. Any thread. */
uint64_t spool_count_newer(struct spool *spool, uint64_t seq);

/* When the first record newer than seq was received; false if there is none to be read. The
 * loop. */
MUST_CHECK bool spool_received_newer(struct spool *spool, uint64_t seq, int64_t *received_us_out);

/*
 * A reading position. It reads into the arena that it is given; records live as long as that.
 */
struct spool_cursor;

enum spool_next { SPOOL_RECORD, SPOOL_EMPTY, SPOOL_ERROR };

/* Before the oldest record that is kept. */
void spool_begin_position(struct spool *spool, struct position *out);

MUST_CHECK bool spool_cursor_open(struct spool_cursor **out, struct spool *spool,
	struct error *err);
void spool_cursor_close(struct spool_cursor **cursor);

/*
 * Go to the first record after seq. *lost_out counts the records between that are gone; numbers
 * that were left out on purpose do not count.
 */
MUST_CHECK bool spool_cursor_seek(struct spool_cursor *cursor, uint64_t seq, uint64_t *lost_out,
	struct error *err);

/*
 * Is this the log that somebody has read up to there? False with err (FATAL) if it is not: its end
 * is before that, or its record of that number is another one, as in a copy that went its own way,
 * or the number was left out but fewer records were read than the log has.
 *
 * *out is the log's own position: the same number; a higher one if it has let go of what follows;
 * or a lower one if the number is among those that were left out. Blocking: it may have to read a
 * segment.
 */
MUST_CHECK bool spool_cursor_recognise(struct spool_cursor *cursor, const struct position *at,
	struct position *out, struct error *err);

/* Before the arena given to spool_cursor_next() is reset. */
void spool_cursor_drop_window(struct spool_cursor *cursor);

/* ERROR sets err: FULL = close this batch and go on with another arena. */
enum spool_next spool_cursor_next(struct spool_cursor *cursor, struct arena *arena,
	struct record *out, struct error *err);

#endif
