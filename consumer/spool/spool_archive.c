#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "spool/archive.h"
#include "spool/spool_private.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/*
 * The archiver packs released segments while they are kept, oldest first. It has its own thread,
 * since packing takes long, and gets the processor only when nobody else wants it: until then the
 * log is larger, which costs only room.
 *
 * Order of a change, so that a crash anywhere leaves one whole file: pack into archive.tmp, sync,
 * rename to .seg.zst, sync the folder, only then remove the .seg (recovery prefers it).
 */
static const int64_t ARCHIVE_BEAT_US = 10 * US_PER_SECOND;

enum { ARCHIVE_NICE = 19 };

/* ---- reading archives ---- */

static void archive_on_damage(void *context, int64_t offset, int64_t bytes, const char *why)
{
	const char *path = context;

	log_error("spool_damaged", "a part of an archived segment cannot be read",
		"path=%s offset=%" PRId64 " bytes=%" PRId64 " why=%s", LOG_VALUE(path), offset,
		bytes, LOG_VALUE(why));
}

/* A file without a name: it vanishes when closed, even by a kill -9. */
static int archive_temporary(const struct spool *s, char path[static SPOOL_PATH_BYTES],
	struct error *err)
{
	int fd;

	spool_path(s, "unpacked.tmp", path);
	(void)unlink(path);
	fd = fs_open(path, FS_CREATE, err);
	if (fd >= 0 && !fs_unlink(path, err))
		(void)fs_close(&fd, path, NULL);
	return fd;
}

int spool_open_segment(const struct spool *s, const struct spool_segment *segment,
	char path[static SPOOL_PATH_BYTES], struct error *err)
{
	char unpacked[SPOOL_PATH_BYTES];
	int packed, fd;
	bool ok;

	spool_file_path(s, segment, path);
	packed = fs_open(path, FS_OWN, err);
	if (packed < 0 || !segment->archived)
		return packed;
	fd = archive_temporary(s, unpacked, err);
	ok = fd >= 0 && archive_unpack(packed, path, fd, unpacked,
				(struct archive_events){archive_on_damage, path}, err);
	(void)fs_close(&packed, path, NULL);
	if (fd >= 0 && !ok)
		(void)fs_close(&fd, unpacked, NULL);
	if (fd < 0 && fs_is_full(err))
		error_hint(err,
			"the database asks for records that are packed, and unpacking them "
			"takes spool.segment_bytes: free space on this disk, then start again");
	return fd;
}

/* ---- packing ---- */

/* Under the lock. Segments that retention is about to remove are not worth packing. */
static struct spool_segment *archive_next(struct spool *s)
{
	int64_t now_us = clock_wall_us();

	s->archiver_wake_seq = UINT64_MAX;
	for (size_t i = 0; i + 1 < s->segments_count; i++) {
		struct spool_segment *segment = &s->segments[i];

		if (segment->last_seq > s->released_seq) {
			s->archiver_wake_seq = segment->last_seq;
			break;
		}
		if (!segment->archived && !segment->damaged && !segment->plain &&
			now_us - segment->last_received_us < s->options.retain_us)
			return segment;
	}
	return NULL;
}

static struct spool_segment *archive_find(struct spool *s, uint64_t first_seq)
{
	for (size_t i = 0; i < s->segments_count; i++) {
		if (s->segments[i].first_seq == first_seq)
			return &s->segments[i];
	}
	return NULL;
}

static bool archive_make(struct spool *s, const struct spool_segment *segment, int64_t *bytes_out,
	struct archive_summary *summary, struct error *err)
{
	char from_path[SPOOL_PATH_BYTES], to_path[SPOOL_PATH_BYTES], path[SPOOL_PATH_BYTES];
	struct spool_segment archived = *segment;
	int from, to;
	bool ok;

	spool_file_path(s, segment, from_path);
	spool_path(s, "archive.tmp", to_path);
	archived.archived = true;
	spool_file_path(s, &archived, path);
	(void)unlink(to_path);
	from = fs_open(from_path, FS_OWN, err);
	if (from < 0)
		return false;
	to = fs_open(to_path, FS_CREATE, err);
	ok = to >= 0 && archive_pack(from, from_path, to, to_path, &s->stop_archiver, summary, err);
	if (ok && summary->last_seq != segment->last_seq)
		ok = error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
			"the end of \"%s\" is damaged", from_path);
	if (ok) {
		*bytes_out = fs_size(to, to_path, err);
		ok = *bytes_out >= 0 && fs_sync_data(to, to_path, err);
	}
	(void)fs_close(&from, from_path, NULL);
	if (to >= 0 && !fs_close(&to, to_path, ok ? err : NULL))
		ok = false;
	ok = ok && fs_rename(to_path, path, err);
	if (!ok)
		(void)unlink(to_path);
	return ok;
}

/* Under the lock: the archive exists; is it still wanted? The segment may have been removed
 * meanwhile, or be open because it is being read again (spool_cursor_seek()). */
static bool archive_settle(struct spool *s, uint64_t first_seq, int64_t bytes,
	const struct archive_summary *summary)
{
	struct spool_segment *segment = archive_find(s, first_seq);

	if (segment == NULL || segment->last_seq > s->released_seq)
		return false;
	s->bytes += bytes - segment->bytes;
	segment->bytes = segment->end_offset = bytes;
	segment->first_received_us = summary->first_received_us;
	segment->archived = true;
	return true;
}

static void archive_remove(const char *path)
{
	struct error err;

	/* The next start finds and resolves it. */
	if (!fs_unlink(path, &err))
		log_failure(LOG_LEVEL_WARN, "spool_archive_failed", &err);
}

/* A failed sync, of whichever thread, is not tried again. False under the lock. */
static bool archive_sync_folder(struct spool *s)
{
	struct error err;
	bool failed;

	pthread_mutex_lock(&s->lock);
	failed = s->failed;
	pthread_mutex_unlock(&s->lock);
	if (!failed && fs_sync_dir(s->dir, &err))
		return true;
	pthread_mutex_lock(&s->lock);
	if (!failed)
		spool_fail(s, &err);
	return false;
}

/* Under the lock, released meanwhile. False if there was nothing to do, or it failed. */
static bool archive_one(struct spool *s)
{
	struct spool_segment *next = archive_next(s), before, after;
	char path[SPOOL_PATH_BYTES];
	struct archive_summary summary;
	int64_t bytes = 0;
	struct error err;
	bool ok, kept = false;

	if (next == NULL)
		return false;
	before = after = *next;
	after.archived = true;
	pthread_mutex_unlock(&s->lock);
	ok = archive_make(s, &before, &bytes, &summary, &err);
	if (ok && !archive_sync_folder(s))
		return false; /* the segment is still there */
	pthread_mutex_lock(&s->lock);
	next = archive_find(s, before.first_seq);
	if (ok)
		kept = archive_settle(s, before.first_seq, bytes, &summary);
	else if (next != NULL)
		next->plain = err.kind == ERROR_DAMAGED;
	pthread_cond_broadcast(&s->changed); /* packing may have made room */
	pthread_mutex_unlock(&s->lock);
	if (ok) {
		spool_file_path(s, kept ? &before : &after, path);
		archive_remove(path);
	}
	pthread_mutex_lock(&s->lock);
	if (!ok && next != NULL && err.kind != ERROR_STOPPED &&
		log_repeat_due(&s->archive_trouble, &err, &(uint64_t){0}))
		log_failure(LOG_LEVEL_WARN, "spool_archive_failed", &err);
	return ok;
}

static void *archiver_main(void *context)
{
	struct spool *s = context;
	struct timespec until;

	/* On Linux this applies to the calling thread only. Works without it, too. */
	(void)setpriority(PRIO_PROCESS, 0, ARCHIVE_NICE);
	pthread_mutex_lock(&s->lock);
	while (!s->stop_archiver && !s->failed) {
		/* On a full disk its room is needed for new records. */
		if ((!s->disk_full && archive_one(s)) || s->stop_archiver)
			continue;
		/* After a failure the beat is also the delay until the next attempt. */
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += ARCHIVE_BEAT_US / US_PER_SECOND;
		pthread_cond_timedwait(&s->archiver_wake, &s->lock, &until);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void spool_wake_archiver(struct spool *s)
{
	if (s->archiver_runs && s->released_seq >= s->archiver_wake_seq)
		pthread_cond_signal(&s->archiver_wake);
}

bool spool_archiver_start(struct spool *s, struct error *err)
{
	int failed;

	if (!s->options.archive)
		return true;
	failed = pthread_create(&s->archiver, NULL, archiver_main, s);
	if (failed != 0) {
		errno = failed;
		return error_set_errno(err, ERROR_FATAL, REASON_thread, "could not start a thread");
	}
	s->archiver_runs = true;
	return true;
}

void spool_archiver_stop(struct spool *s)
{
	if (!s->archiver_runs)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop_archiver = true;
	pthread_cond_broadcast(&s->archiver_wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->archiver, NULL);
	s->archiver_runs = false;
}
