#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "spool/spool_private.h"

#include <inttypes.h>
#include <unistd.h>

/* Reserves room on the disk in advance. All of a segment is allocated before it is used, so that a
 * full disk shows up while there is still time to wait, and not in the middle of a record. */
enum { ROOM_ZEROS_BYTES = 256 * 1024, ROOM_RESERVE_BYTES = 16 * 1024 };

static const char spare_file[] = "spare.tmp";
static const char reserve_file[] = "reserve";

/* ---- the spare ---- */

/*
 * If every message is synced, the file is first written full of zeros: overwriting allocated,
 * written blocks changes no file system metadata, so each sync is one write to the disk instead of
 * two or three.
 */
static bool room_fill(const struct spool *s, int fd, const char *path, struct error *err)
{
	static const uint8_t zeros[ROOM_ZEROS_BYTES];
	int64_t size = s->options.segment_bytes;

	if (!fs_truncate(fd, size, path, err) || !fs_allocate(fd, size, path, err))
		return false;
	for (int64_t at = 0; s->options.sync == SPOOL_SYNC_MESSAGE && at < size;) {
		int64_t n = size - at < ROOM_ZEROS_BYTES ? size - at : ROOM_ZEROS_BYTES;

		if (!fs_pwrite(fd, slice_of(zeros, (size_t)n), at, path, err))
			return false;
		at += n;
	}
	return s->options.sync == SPOOL_SYNC_NONE || fs_sync_data(fd, path, err);
}

static void room_spare_is_ready(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	s->bytes += s->options.segment_bytes;
	s->spare = SPOOL_SPARE_READY;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

bool spool_make_spare(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	bool ok;
	int fd;

	spool_path(s, spare_file, path);
	(void)unlink(path);
	fd = fs_open(path, FS_CREATE, err);
	if (fd < 0)
		return false;
	ok = room_fill(s, fd, path, err);
	if (!fs_close(&fd, path, ok ? err : NULL))
		ok = false;
	if (ok)
		room_spare_is_ready(s);
	else
		(void)unlink(path); /* its room may be all that is left */
	return ok;
}

bool spool_adopt_spare(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	struct error failure;
	int64_t size;
	bool ok, there;
	int fd;

	spool_path(s, spare_file, path);
	if (!fs_exists(path, &there, err))
		return false;
	if (!there)
		return true;
	fd = fs_open(path, FS_UPDATE, err);
	if (fd < 0)
		return false;
	size = fs_size(fd, path, &failure);
	/* It may have holes. */
	ok = size == s->options.segment_bytes && fs_allocate(fd, size, path, &failure);
	(void)fs_close(&fd, path, NULL);
	if (ok) {
		room_spare_is_ready(s);
		return true;
	}
	if (size >= 0 && (size != s->options.segment_bytes || fs_is_full(&failure)))
		return fs_unlink(path, err);
	if (err != NULL)
		*err = failure;
	return false;
}

/* ---- the reserve ---- */

bool spool_reserve_make(const char *dir, struct error *err)
{
	static const uint8_t zeros[ROOM_RESERVE_BYTES];
	char path[SPOOL_PATH_BYTES];
	struct error failure;
	int64_t size;
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, reserve_file);
	fd = fs_open(path, FS_LOCK, &failure);
	if (fd >= 0) {
		size = fs_size(fd, path, &failure);
		ok = size >= ROOM_RESERVE_BYTES ||
		     (size >= 0 &&
			     fs_pwrite(fd, slice_of(zeros, sizeof(zeros)), 0, path, &failure));
		if (fs_close(&fd, path, ok ? &failure : NULL) && ok)
			return true;
	}
	if (fs_is_full(&failure))
		return true;
	if (err != NULL)
		*err = failure;
	return false;
}

void spool_reserve_take(const char *dir)
{
	char path[SPOOL_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", dir, reserve_file);
	(void)unlink(path);
}

/* ---- a full disk ---- */

bool spool_fits(const struct spool *s)
{
	return s->segments_count < 2 || s->bytes + s->options.segment_bytes <= s->options.bytes_max;
}

void spool_note_full(struct spool *s, const struct error *why)
{
	struct error err = *why;
	uint64_t suppressed;

	s->disk_full = s->full = true;
	s->disk_full_us = clock_mono_us();
	if (log_repeat_due(&s->disk_trouble, why, &suppressed)) {
		error_hint(&err, "receiving waits and resumes by itself once there is room; to "
				 "make some, what the database has is removed before spool.retain "
				 "is over. Nothing else helps but freeing space on this disk");
		log_failure(LOG_LEVEL_ERROR, "spool_disk_full", &err);
	}
	pthread_cond_broadcast(&s->changed);
}

void spool_note_room(struct spool *s)
{
	s->disk_full = false;
	if (log_repeat_over(&s->disk_trouble))
		log_info("spool_has_room", "there is room on the disk again", "dir=%s", s->dir);
}

void spool_note_let_go(struct spool *s, const struct spool_segment *gone)
{
	s->let_go_records += gone->last_seq - gone->first_seq + 1;
	if (!log_repeat_due(&s->let_go, NULL, &(uint64_t){0}))
		return;
	log_warn("spool_let_go",
		"the disk is full: records that the database has are removed before spool.retain "
		"is over; if it is restored to a time before them, they are lost to it",
		"dir=%s up_to_seq=%" PRIu64 " records=%" PRIu64, s->dir, gone->last_seq,
		s->let_go_records);
	s->let_go_records = 0;
}
