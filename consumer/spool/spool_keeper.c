#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "spool/spool_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The keeper's thread: everything in the log's work that may take long and need not be done before
 * a message is acknowledged. */
static const int64_t KEEPER_BEAT_US = 10 * US_PER_SECOND;
static const int64_t KEEPER_FULL_BEAT_US = US_PER_SECOND; /* to check for room */
static const int64_t KEEPER_LEFT_OVER_US = US_PER_SECOND;

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

/* Nothing signals that a full disk has room, so try again now and then. */
static bool keeper_may_try(const struct spool *s)
{
	return !s->disk_full || clock_mono_us() - s->disk_full_us >= KEEPER_FULL_BEAT_US;
}

static bool keeper_spare(struct spool *s)
{
	struct error err;
	bool ok;

	if (s->spare != SPOOL_SPARE_WANTED || !spool_fits(s) || !keeper_may_try(s))
		return false;
	pthread_mutex_unlock(&s->lock);
	ok = spool_make_spare(s, &err);
	ok = ok && spool_reserve_make(s->dir, &err);
	pthread_mutex_lock(&s->lock);
	if (ok)
		spool_note_room(s);
	else if (fs_is_full(&err))
		spool_note_full(s, &err);
	else
		spool_fail(s, &err);
	pthread_cond_broadcast(&s->changed);
	return true;
}

/* A record found no room although the spare exists: only the intake can find out whether it fits
 * now. */
static bool keeper_try_again(struct spool *s)
{
	if (!s->disk_full || s->spare == SPOOL_SPARE_WANTED || !keeper_may_try(s))
		return false;
	s->disk_full = false;
	pthread_cond_broadcast(&s->changed);
	return true;
}

/*
 * Oldest first, never the one being written. Stored records are kept for the retention time, unless
 * their room is needed for new ones. The last segment says where the numbers continue: it is
 * removed only if its room is needed, after a start that had no room for another.
 */
static bool keeper_removable(const struct spool *s)
{
	const struct spool_segment *oldest = &s->segments[0];
	bool needed = s->disk_full || (s->spare == SPOOL_SPARE_WANTED && !spool_fits(s));

	if (s->segments_count == 0 || oldest->last_seq > s->released_seq)
		return false;
	if (s->segments_count == 1)
		return s->disk_full && s->active_fd < 0 && keeper_may_try(s);
	return needed || clock_wall_us() - oldest->last_received_us > s->options.retain_us;
}

/*
 * Replaces the last segment by one without records, which says where the numbers continue, just as
 * after a crash. It needs no more room than the reserve has. Nobody appends meanwhile: there is
 * nothing to append to.
 */
static bool keeper_keep_numbers(struct spool *s, struct error *err)
{
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	char path[SPOOL_PATH_BYTES];
	struct segment_header h = {.spool = s->identity,
		.begun_us = s->segments[0].begun_us, /* the database may have it */
		.first_seq = s->next_seq,
		.follows = s->end};
	bool ok;

	pthread_mutex_unlock(&s->lock);
	segment_header_put(&h, bytes);
	spool_segment_path(s, h.first_seq, path);
	spool_reserve_take(s->dir);
	ok = fs_replace_file(path, slice_of(bytes, sizeof(bytes)), err);
	pthread_mutex_lock(&s->lock);
	if (ok) {
		s->empty_found = true;
		s->empty_first_seq = h.first_seq;
		s->empty_begun_us = h.begun_us;
	}
	return ok;
}

static bool keeper_remove(struct spool *s)
{
	struct spool_segment oldest;
	char path[SPOOL_PATH_BYTES], spare[SPOOL_PATH_BYTES];
	struct error err;
	bool reuse, ok;

	if (!keeper_removable(s))
		return false;
	if (s->segments_count == 1 && !keeper_keep_numbers(s, &err)) {
		if (fs_is_full(&err))
			spool_note_full(s, &err); /* retried soon */
		else
			spool_fail(s, &err);
		return false;
	}
	oldest = s->segments[0];
	reuse = s->spare == SPOOL_SPARE_WANTED && !oldest.damaged && !oldest.archived &&
		oldest.bytes == s->options.segment_bytes;
	spool_segments_drop_oldest(s);
	pthread_mutex_unlock(&s->lock);
	spool_file_path(s, &oldest, path);
	spool_path(s, "spare.tmp", spare);
	ok = reuse ? fs_rename(path, spare, &err) : fs_unlink(path, &err);
	pthread_mutex_lock(&s->lock);
	if (ok && s->disk_full) {
		spool_note_let_go(s, &oldest);
		s->disk_full = false; /* the next attempt will tell */
	}
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
	fd = dup(s->active_fd); /* intake may switch to the next segment meanwhile */
	s->unsynced = false;
	pthread_mutex_unlock(&s->lock);
	ok = fd >= 0 ? fs_sync_data(fd, s->dir, &err)
		     : error_set_errno(&err, ERROR_FATAL, REASON_disk, "could not sync the log");
	if (fd >= 0)
		close(fd);
	*synced_us = clock_mono_us();
	pthread_mutex_lock(&s->lock);
	if (!ok)
		spool_fail(s, &err);
	return true;
}

/* Records are synced before they are acknowledged. If the connection was lost before that, nobody
 * asks for a sync, but they must be stored all the same. */
static bool keeper_sync_left_over(struct spool *s, int64_t *synced_us)
{
	if (s->durable_seq <= s->synced_seq || s->syncing ||
		clock_mono_us() - *synced_us < KEEPER_LEFT_OVER_US)
		return false;
	spool_sync_active(s);
	*synced_us = clock_mono_us();
	return true;
}

static void keeper_wait(struct spool *s)
{
	int64_t wait_us = s->disk_full ? KEEPER_FULL_BEAT_US : KEEPER_BEAT_US;
	struct timespec until;

	if (s->options.sync == SPOOL_SYNC_INTERVAL && s->options.sync_interval_us < wait_us)
		wait_us = s->options.sync_interval_us;
	if (s->options.sync == SPOOL_SYNC_MESSAGE && KEEPER_LEFT_OVER_US < wait_us)
		wait_us = KEEPER_LEFT_OVER_US;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_us / US_PER_SECOND;
	until.tv_nsec += (wait_us % US_PER_SECOND) * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Each step is called under the lock, releases it for I/O, and returns whether it did something. */
static void *keeper_main(void *context)
{
	struct spool *s = context;
	int64_t synced_us = clock_mono_us();

	pthread_mutex_lock(&s->lock);
	while (!s->stop_keeper && !s->failed) {
		bool busy = keeper_remove(s);

		busy |= keeper_spare(s);
		busy |= keeper_try_again(s);
		busy |= keeper_sync(s, &synced_us);
		busy |= keeper_sync_left_over(s, &synced_us);
		if (!busy && !s->stop_keeper && !s->failed)
			keeper_wait(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

bool spool_keeper_start(struct spool *s, struct error *err)
{
	int failed = pthread_create(&s->keeper, NULL, keeper_main, s);

	if (failed != 0) {
		errno = failed;
		return error_set_errno(err, ERROR_FATAL, REASON_thread, "could not start a thread");
	}
	s->keeper_runs = true;
	return true;
}
