#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "spool/spool_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/*
 * The spool's own thread: whatever of the log's work may take long and need not be done before a
 * message is acknowledged.
 */
static const int64_t KEEPER_BEAT_US = 10 * US_PER_SECOND;

enum { KEEPER_ZEROS_BYTES = 256 * 1024 };

static void *keeper_main(void *context);
static bool keeper_spare(struct spool *s);
static bool keeper_remove(struct spool *s);
static bool keeper_sync(struct spool *s, int64_t *synced_us);
static void keeper_wait(struct spool *s);

bool spool_keeper_start(struct spool *s, struct error *err)
{
	int failed = pthread_create(&s->keeper, NULL, keeper_main, s);

	if (failed != 0) {
		errno = failed;
		return error_set_errno(err, ERROR_FATAL, "thread", "could not start a thread");
	}
	s->keeper_runs = true;
	return true;
}

void spool_keeper_stop(struct spool *s)
{
	if (!s->keeper_runs)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop_keeper = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->keeper, NULL);
	s->keeper_runs = false;
}

/* Each step is called under the lock, gives it up for I/O, and says whether it did something. */
static void *keeper_main(void *context)
{
	struct spool *s = context;
	int64_t synced_us = clock_mono_us();

	pthread_mutex_lock(&s->lock);
	while (!s->stop_keeper && !s->failed) {
		bool busy = keeper_remove(s);

		busy |= keeper_spare(s);
		busy |= keeper_sync(s, &synced_us);
		if (!busy && !s->stop_keeper && !s->failed)
			keeper_wait(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static bool keeper_spare(struct spool *s)
{
	struct error err;
	bool ok;

	if (s->spare != SPOOL_SPARE_WANTED ||
		s->bytes + s->options.segment_bytes > s->options.bytes_max)
		return false;
	pthread_mutex_unlock(&s->lock);
	ok = spool_make_spare(s, &err);
	pthread_mutex_lock(&s->lock);
	if (ok)
		s->spare = SPOOL_SPARE_READY;
	else
		spool_fail(s, &err);
	pthread_cond_broadcast(&s->changed);
	return true;
}

/*
 * Where every message is synced, the file is written full of zeros first: overwriting what is
 * allocated and written needs no change of the file system's own data, so each sync is one write
 * to the disk and not two or three.
 */
bool spool_make_spare(struct spool *s, struct error *err)
{
	static const uint8_t zeros[KEEPER_ZEROS_BYTES];
	int64_t size = s->options.segment_bytes;
	char path[SPOOL_PATH_BYTES];
	bool ok;
	int fd;

	spool_path(s, "spare.tmp", path);
	(void)unlink(path);
	fd = fs_open(path, FS_CREATE, err);
	if (fd < 0)
		return false;
	ok = fs_truncate(fd, size, path, err);
	for (int64_t at = 0; ok && s->options.sync == SPOOL_SYNC_MESSAGE && at < size;) {
		int64_t n = size - at < KEEPER_ZEROS_BYTES ? size - at : KEEPER_ZEROS_BYTES;

		ok = fs_pwrite(fd, slice_of(zeros, (size_t)n), at, path, err);
		at += n;
	}
	if (ok && s->options.sync != SPOOL_SYNC_NONE)
		ok = fs_sync_data(fd, path, err);
	if (!fs_close(&fd, path, ok ? err : NULL))
		ok = false;
	if (ok) {
		pthread_mutex_lock(&s->lock);
		s->bytes += size;
		pthread_mutex_unlock(&s->lock);
	}
	return ok;
}

/*
 * Oldest first, never the one being written. What is stored is kept for the retention time, unless
 * the room is needed for what is not.
 */
static bool keeper_removable(const struct spool *s)
{
	const struct spool_segment *oldest = &s->segments[0];
	bool needed = s->spare == SPOOL_SPARE_WANTED &&
		      s->bytes + s->options.segment_bytes > s->options.bytes_max;

	if (s->segments_count < 2 || oldest->last_seq > s->released_seq)
		return false;
	return needed || clock_wall_us() - oldest->last_received_us > s->options.retain_us;
}

static bool keeper_remove(struct spool *s)
{
	struct spool_segment oldest;
	char path[SPOOL_PATH_BYTES], spare[SPOOL_PATH_BYTES];
	struct error err;
	bool reuse, ok;

	if (!keeper_removable(s))
		return false;
	oldest = s->segments[0];
	reuse = s->spare == SPOOL_SPARE_WANTED && !oldest.damaged && !oldest.archived &&
		oldest.bytes == s->options.segment_bytes;
	s->segments_count--;
	memmove(s->segments, s->segments + 1, s->segments_count * sizeof(*s->segments));
	pthread_mutex_unlock(&s->lock);
	spool_file_path(s, &oldest, path);
	spool_path(s, "spare.tmp", spare);
	ok = reuse ? fs_rename(path, spare, &err) : fs_unlink(path, &err);
	pthread_mutex_lock(&s->lock);
	if (!ok)
		spool_fail(s, &err);
	else if (reuse)
		s->spare = SPOOL_SPARE_READY; /* its old records are of another generation */
	else
		s->bytes -= oldest.bytes;
	pthread_cond_broadcast(&s->changed);
	return true;
}

static bool keeper_sync(struct spool *s, int64_t *synced_us)
{
	struct error err;
	bool ok;
	int fd;

	if (s->options.sync != SPOOL_SYNC_INTERVAL || !s->unsynced ||
		clock_mono_us() - *synced_us < s->options.sync_interval_us)
		return false;
	fd = dup(s->active_fd); /* intake may change to the next segment meanwhile */
	s->unsynced = false;
	pthread_mutex_unlock(&s->lock);
	ok = fd >= 0 ? fs_sync_data(fd, s->dir, &err)
		     : error_set_errno(&err, ERROR_FATAL, "disk", "could not sync the log");
	if (fd >= 0)
		close(fd);
	*synced_us = clock_mono_us();
	pthread_mutex_lock(&s->lock);
	if (!ok)
		spool_fail(s, &err);
	return true;
}

static void keeper_wait(struct spool *s)
{
	int64_t wait_us = KEEPER_BEAT_US;
	struct timespec until;

	if (s->options.sync == SPOOL_SYNC_INTERVAL)
		wait_us = s->options.sync_interval_us;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_us / US_PER_SECOND;
	until.tv_nsec += (wait_us % US_PER_SECOND) * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&s->changed, &s->lock, &until);
}
