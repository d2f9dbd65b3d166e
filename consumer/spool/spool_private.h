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

/* A file of the log. The last of the list is the one being written. */
struct spool_segment {
	uint64_t first_seq;
	uint64_t last_seq;         /* first_seq - 1 while empty; final once it is not the last */
	struct position follows;   /* what the log had taken before it */
	int64_t begun_us;          /* by its header */
	int64_t bytes;             /* size of the file */
	int64_t end_offset;        /* after the last record */
	int64_t first_received_us; /* of an archive; else when the segment was begun */
	int64_t last_received_us;
	bool damaged;  /* kept as .bad, never used again */
	bool archived; /* the file is an archive */
	bool plain;    /* it cannot be packed and stays as it is */
};

enum spool_spare { SPOOL_SPARE_NONE, SPOOL_SPARE_WANTED, SPOOL_SPARE_READY };

struct spool {
	struct spool_options options;
	char dir[SPOOL_PATH_BYTES - 64];
	struct uuid identity;
	struct uuid session; /* spool_session() */
	/* Recovery: the last segment if it has no records, to be removed once the next one, which
	 * says how far the numbers are, is there. */
	uint64_t empty_first_seq;
	int64_t empty_begun_us; /* the next one has it, too: spool_begin_segment() */
	bool empty_found;
	bool aside_found;         /* a segment was set aside, by this start or an earlier one; */
	uint64_t aside_first_seq; /* the last of them, by its name */
	bool identity_found;      /* by this start, not made */
	bool left_out;       /* numbers were skipped, and no segment was begun after them yet */
	bool broken;         /* an append failed */
	_Atomic bool rotate; /* spool_rotate() was called; any thread */
	int lock_fd;

	/* Intake thread only; active_fd is changed under the lock, for who syncs. -1: no segment
	 * is being written, there was no room for one yet. */
	int active_fd;
	char active_path[SPOOL_PATH_BYTES];
	int64_t active_offset;
	int64_t active_size;
	uint8_t *buffer; /* one record */
	size_t buffer_size;
	bool waits_for_spare; /* why the last append said SPOOL_FULL; else the disk is full */

	_Atomic uint64_t last_seq; /* readable */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct spool_segment *segments; /* the oldest kept; within segments_base */
	size_t segments_count;
	struct spool_segment *segments_base; /* malloc'ed */
	size_t segments_room;                /* of that */
	int64_t bytes;                       /* of all segments and the spare */
	uint64_t next_seq;
	struct position end;   /* of the record appended last */
	uint64_t durable_seq;  /* of the last one to be on disk before it may be read */
	uint64_t synced_seq;   /* up to here all are, as far as SPOOL_SYNC_MESSAGE promises it */
	pthread_cond_t synced; /* it is over */
	uint64_t syncs;
	uint64_t released_seq;
	uint64_t damaged_records;
	int64_t disk_full_us;
	struct log_repeat disk_trouble, let_go, archive_trouble;
	uint64_t let_go_records; /* not logged yet */
	enum spool_spare spare;
	bool syncing;      /* somebody is at it; on active_fd, which stays meanwhile */
	bool unsynced;     /* the active segment, with SPOOL_SYNC_INTERVAL */
	bool stop_waiting; /* intake must not block any more */
	bool stop_keeper;
	bool full;
	bool disk_full; /* the last try to take room found none; disk_full_us: when */
	bool failed;
	struct error failure;

	pthread_t keeper, archiver;
	bool keeper_runs, archiver_runs;
	_Atomic bool stop_archiver;
	pthread_cond_t archiver_wake; /* its own: it should not wake with every batch */
	uint64_t archiver_wake_seq;   /* released up to here, it has something to do */
};

/* spool_segments.c: paths, and the list of files. */
void spool_path(const struct spool *s, const char *name, char out[static SPOOL_PATH_BYTES]);
void spool_segment_path(const struct spool *s, uint64_t first_seq,
	char out[static SPOOL_PATH_BYTES]);

/* The file of a segment, whichever form it has. */
void spool_file_path(const struct spool *s, const struct spool_segment *segment,
	char out[static SPOOL_PATH_BYTES]);

/* Under the lock: room in the list for one more. */
MUST_CHECK bool spool_segments_reserve(struct spool *s, struct error *err);

/* Under the lock: the oldest segment leaves the list. */
void spool_segments_drop_oldest(struct spool *s);

/* Under the lock: the first failure counts, and wakes everybody. */
void spool_fail(struct spool *s, const struct error *err);

/* spool_identity.c: the folder is ours alone until the descriptor is closed. */
MUST_CHECK bool spool_lock_folder(const char *dir, int *lock_fd, struct error *err);

/* The log's UUID, made at the first start; and that of its session. */
MUST_CHECK bool spool_load_identity(struct spool *s, struct error *err);

/* The log has lost its numbers: another identity, the same session. */
MUST_CHECK bool spool_change_identity(struct spool *s, struct error *err);

/* spool_recover.c: read the folder, settle the last segment. */
MUST_CHECK bool spool_recover(struct spool *s, struct error *err);

/* spool_sync.c. Under the lock: what may be read, after an append or a sync. */
void spool_show_readable(struct spool *s);

/* Under the lock, which is given up meanwhile; nobody else may be at it. Sets failed. */
void spool_sync_active(struct spool *s);

/* Before another segment is begun: all that is in this one, unless nothing is ever synced. */
MUST_CHECK bool spool_sync_segment(struct spool *s, struct error *err);

/* spool_keeper.c */
MUST_CHECK bool spool_keeper_start(struct spool *s, struct error *err);
void spool_keeper_stop(struct spool *s);

/* spool_room.c: a file of zeros, all of its room taken, under the name of the spare. Not under the
 * lock. If it fails, nothing is left of it. */
MUST_CHECK bool spool_make_spare(struct spool *s, struct error *err);

/* Go on with a spare that an earlier run has left; one of another size is removed. */
MUST_CHECK bool spool_adopt_spare(struct spool *s, struct error *err);

/* A few blocks that are given up when a small file has to be written on a full disk; as many as
 * there is room for. */
MUST_CHECK bool spool_reserve_make(const char *dir, struct error *err);
void spool_reserve_take(const char *dir);

/* Under the lock: whether spool.bytes_max allows another segment. Two are always allowed. */
bool spool_fits(const struct spool *s);

/* Under the lock: the disk is full (why: an fs_is_full() error), has room again, or this was
 * removed before its time because it is full. */
void spool_note_full(struct spool *s, const struct error *why);
void spool_note_room(struct spool *s);
void spool_note_let_go(struct spool *s, const struct spool_segment *gone);

/*
 * spool_archive.c: open a segment for reading; what is packed is unpacked into a file without a
 * name in the log's folder. path is that of the file of the log. -1 with err on failure.
 */
MUST_CHECK int spool_open_segment(const struct spool *s, const struct spool_segment *segment,
	char path[static SPOOL_PATH_BYTES], struct error *err);

/* cursor.c: to read what is newer than seq beside the cursor that reports what is damaged. */
MUST_CHECK bool spool_cursor_open_to_peek(struct spool_cursor **out, struct spool *spool,
	uint64_t seq, struct error *err);

/* Under the lock: more is released, or a segment is full. */
void spool_wake_archiver(struct spool *s);

/* Where options.archive says so: a thread that packs what is released. */
MUST_CHECK bool spool_archiver_start(struct spool *s, struct error *err);
void spool_archiver_stop(struct spool *s);

#endif
