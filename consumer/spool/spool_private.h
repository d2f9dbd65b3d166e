#ifndef SPOOL_SPOOL_PRIVATE_H
#define SPOOL_SPOOL_PRIVATE_H

#include "base/log.h"
#include "spool/segment.h"
#include "spool/spool.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

/* Shared by the files of spool/ only. */

enum { SPOOL_PATH_BYTES = PATH_MAX };

/* A file of the log. The last one in the list is being written. */
struct spool_segment {
	uint64_t first_seq;
	uint64_t last_seq;       /* first_seq - 1 while empty; final once another segment follows */
	struct position follows; /* the log's position before it */
	int64_t begun_us;        /* by its header */
	int64_t bytes;           /* size of the file */
	int64_t end_offset;      /* after the last record */
	int64_t first_received_us; /* for an archive; otherwise when the segment was begun */
	int64_t last_received_us;
	bool damaged;  /* kept as .bad, never used again */
	bool archived; /* the file is an archive */
	bool plain;    /* it cannot be packed */
};

enum spool_spare { SPOOL_SPARE_NONE, SPOOL_SPARE_WANTED, SPOOL_SPARE_READY };

struct spool {
	struct spool_options options;
	char dir[SPOOL_PATH_BYTES - 64];
	struct uuid identity;
	struct uuid session; /* spool_session() */
	/* Recovery: the last segment if it has no records. It is removed once its successor exists,
	 * which says where the numbers continue. */
	uint64_t empty_first_seq;
	int64_t empty_begun_us; /* its successor keeps it: spool_begin_segment() */
	bool empty_found;
	bool aside_found;         /* this start or an earlier one set a segment aside */
	uint64_t aside_first_seq; /* the last such segment, by its name */
	bool identity_found;      /* on disk; not created by this start */
	bool left_out;            /* numbers were skipped, and no segment has begun since */
	bool broken;              /* an append failed */
	_Atomic bool rotate;      /* spool_rotate() was called; any thread */
	int lock_fd;

	/* Intake thread only; active_fd changes under the lock, for syncing threads. -1: no segment
	 * is being written, because there was no room for one yet. */
	int active_fd;
	char active_path[SPOOL_PATH_BYTES];
	int64_t active_offset;
	int64_t active_size;
	uint8_t *buffer; /* one record */
	size_t buffer_size;
	bool waits_for_spare; /* the last SPOOL_FULL was for lack of a spare, not of disk */

	_Atomic uint64_t last_seq; /* readable */

	pthread_mutex_t lock; /* for everything below */
	pthread_cond_t changed;
	struct spool_segment *segments; /* oldest first; within segments_base */
	size_t segments_count;
	struct spool_segment *segments_base; /* malloc'ed */
	size_t segments_room;                /* capacity of segments_base */
	int64_t bytes;                       /* of all segments and the spare */
	uint64_t next_seq;
	struct position end;   /* after the last record appended */
	uint64_t durable_seq;  /* the last record that must be on disk before it is read */
	uint64_t synced_seq;   /* everything up to here is synced, as SPOOL_SYNC_MESSAGE promises */
	pthread_cond_t synced; /* a sync has ended */
	uint64_t syncs;
	uint64_t released_seq;
	uint64_t damaged_records;
	int64_t disk_full_us;
	struct log_repeat disk_trouble, let_go, archive_trouble;
	uint64_t let_go_records; /* not logged yet */
	enum spool_spare spare;
	bool syncing;      /* somebody is syncing active_fd, which must not change meanwhile */
	bool unsynced;     /* the active segment has unsynced records (SPOOL_SYNC_INTERVAL) */
	bool stop_waiting; /* intake must not block any more */
	bool stop_keeper;
	bool full;
	bool disk_full; /* the last attempt to reserve room failed; disk_full_us: when */
	bool failed;
	struct error failure;

	pthread_t keeper, archiver;
	bool keeper_runs, archiver_runs;
	_Atomic bool stop_archiver;
	pthread_cond_t archiver_wake; /* its own condition, so that not every batch wakes it */
	uint64_t archiver_wake_seq;   /* it has work to do once this is released */
};

/* spool_segments.c: paths, and the list of files. */
void spool_path(const struct spool *s, const char *name, char out[static SPOOL_PATH_BYTES]);
void spool_segment_path(const struct spool *s, uint64_t first_seq,
	char out[static SPOOL_PATH_BYTES]);

/* The file of a segment, in whichever form it exists. */
void spool_file_path(const struct spool *s, const struct spool_segment *segment,
	char out[static SPOOL_PATH_BYTES]);

/* Under the lock: make room in the list for one more. */
MUST_CHECK bool spool_segments_reserve(struct spool *s, struct error *err);

/* Under the lock: remove the oldest segment from the list. */
void spool_segments_drop_oldest(struct spool *s);

/* Under the lock: note a failure (the first one counts) and wake everybody. */
void spool_fail(struct spool *s, const struct error *err);

/* spool_identity.c: lock the folder for us alone until the descriptor is closed. */
MUST_CHECK bool spool_lock_folder(const char *dir, int *lock_fd, struct error *err);

/* The log's UUID, created at the first start, and that of its session. */
MUST_CHECK bool spool_load_identity(struct spool *s, struct error *err);

/* The log has lost its numbers: new identity, same session. */
MUST_CHECK bool spool_change_identity(struct spool *s, struct error *err);

/* spool_recover.c: read the folder, settle the last segment. */
MUST_CHECK bool spool_recover(struct spool *s, struct error *err);

/* spool_sync.c. Under the lock: update what may be read, after an append or a sync. */
void spool_show_readable(struct spool *s);

/* Under the lock, which is released meanwhile; nobody else may be syncing. Sets failed. */
void spool_sync_active(struct spool *s);

/* Before another segment begins: sync everything in this one, unless nothing is ever synced. */
MUST_CHECK bool spool_sync_segment(struct spool *s, struct error *err);

/* spool_keeper.c */
MUST_CHECK bool spool_keeper_start(struct spool *s, struct error *err);
void spool_keeper_stop(struct spool *s);

/* spool_room.c: create the spare: a file of zeros with all of its room reserved. Not under the
 * lock. If it fails, nothing is left behind. */
MUST_CHECK bool spool_make_spare(struct spool *s, struct error *err);

/* Reuse a spare left by an earlier run; one with another size is removed. */
MUST_CHECK bool spool_adopt_spare(struct spool *s, struct error *err);

/* Reserve a few blocks to give up when a small file has to be written on a full disk; as many as
 * there is room for. */
MUST_CHECK bool spool_reserve_make(const char *dir, struct error *err);
void spool_reserve_take(const char *dir);

/* Under the lock: whether spool.bytes_max allows another segment. Two are always allowed. */
bool spool_fits(const struct spool *s);

/* Under the lock: note that the disk is full (why: an fs_is_full() error), that it has room again,
 * or that this segment was removed early because the disk is full. */
void spool_note_full(struct spool *s, const struct error *why);
void spool_note_room(struct spool *s);
void spool_note_let_go(struct spool *s, const struct spool_segment *gone);

/* spool_archive.c: open a segment for reading; an archive is unpacked into an unnamed file in the
 * log's folder. path is that of the log's file. -1 with err on failure. */
MUST_CHECK int spool_open_segment(const struct spool *s, const struct spool_segment *segment,
	char path[static SPOOL_PATH_BYTES], struct error *err);

/* cursor.c: to read what is newer than seq, beside the cursor that reports damage. */
MUST_CHECK bool spool_cursor_open_to_peek(struct spool_cursor **out, struct spool *spool,
	uint64_t seq, struct error *err);

/* Under the lock: more has been released, or a segment is full. */
void spool_wake_archiver(struct spool *s);

/* If options.archive is set: start a thread that packs released segments. */
MUST_CHECK bool spool_archiver_start(struct spool *s, struct error *err);
void spool_archiver_stop(struct spool *s);

#endif
