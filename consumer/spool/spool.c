#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "spool/spool_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An empty segment at the end: its successor has the same information. */
static bool spool_remove_empty(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES];

	if (!s->empty_found)
		return true;
	s->empty_found = false;
	if (s->empty_first_seq == s->segments[s->segments_count - 1].first_seq)
		return true; /* already replaced */
	spool_segment_path(s, s->empty_first_seq, path);
	return fs_unlink(path, err);
}

/* Only after all records are on disk: the next start relies on none missing. */
static bool spool_write_closed(struct spool *s)
{
	char path[SPOOL_PATH_BYTES], text[96];
	struct error err;
	bool written;
	int n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		s->end.seq, s->end.records, s->end.digest_from, s->end.digest);

	/* No segment records the skipped numbers yet: the next start has to skip them again. */
	if (s->left_out)
		return false;
	spool_path(s, "closed", path);
	spool_reserve_take(s->dir);
	written = (s->active_fd < 0 || fs_sync_data(s->active_fd, s->active_path, &err)) &&
		  fs_replace_file(path, slice_of(text, (size_t)n), &err);
	if (!written)
		log_failure(LOG_LEVEL_WARN, "spool_close_failed", &err);
	/* Make up for what was used, for spool_new_identity(). */
	if (!spool_reserve_make(s->dir, &err))
		log_failure(LOG_LEVEL_WARN, "spool_close_failed", &err);
	return written;
}

/* Only once `closed` exists, which says where the numbers continue. The spare may have been a
 * segment. */
static void spool_clear(struct spool *s)
{
	char path[SPOOL_PATH_BYTES];
	struct error err;
	bool ok = true;

	for (size_t i = 0; ok && i < s->segments_count; i++) {
		spool_file_path(s, &s->segments[i], path);
		ok = fs_unlink(path, &err);
	}
	spool_path(s, "spare.tmp", path);
	ok = ok && fs_unlink_if_there(path, &err) && fs_sync_dir(s->dir, &err);
	if (!ok)
		log_failure(LOG_LEVEL_WARN, "spool_close_failed", &err);
}

void spool_close(struct spool **spool)
{
	struct spool *s = *spool;

	*spool = NULL;
	if (s == NULL)
		return;
	spool_archiver_stop(s);
	spool_keeper_stop(s);
	if (!s->broken && !s->failed && spool_write_closed(s) && s->options.clear &&
		s->released_seq >= s->end.seq)
		spool_clear(s);
	(void)fs_close(&s->active_fd, s->active_path, NULL);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_cond_destroy(&s->archiver_wake);
	pthread_cond_destroy(&s->synced);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->segments_base);
	free(s->buffer);
	free(s);
}

struct uuid spool_identity(const struct spool *s)
{
	return s->identity;
}

struct uuid spool_session(const struct spool *s)
{
	return s->session;
}

static bool spool_put_header(struct spool *s, const struct segment_header *h,
	char path[static SPOOL_PATH_BYTES], int *fd_out, struct error *err)
{
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	char spare[SPOOL_PATH_BYTES];
	int fd;

	spool_path(s, "spare.tmp", spare);
	fd = fs_open(spare, FS_UPDATE, err);
	if (fd < 0)
		return false;
	segment_header_put(h, bytes);
	spool_segment_path(s, h->first_seq, path);
	*fd_out = fd;
	if (fs_pwrite(fd, slice_of(bytes, sizeof(bytes)), 0, spare, err) &&
		fs_sync_data(fd, spare, err) && fs_rename(spare, path, err) &&
		fs_sync_dir(s->dir, err))
		return true;
	(void)fs_close(fd_out, spare, NULL);
	return false;
}

/*
 * The spare, which is ready, becomes the next segment: first its header is synced, then it is
 * renamed, then the folder is synced. A crash in between leaves a spare.
 *
 * If it replaces an empty segment, it keeps that one's time: the database may have records that the
 * disk has lost, and recognises their segment by its time (spool_cursor_recognise()), even after
 * further starts.
 */
static bool spool_begin_segment(struct spool *s, struct error *err)
{
	struct segment_header h = {.spool = s->identity};
	char path[SPOOL_PATH_BYTES];
	int fd = -1, old_fd;
	bool ok;

	pthread_mutex_lock(&s->lock);
	h.begun_us = s->empty_found ? s->empty_begun_us : clock_wall_us();
	h.first_seq = s->next_seq;
	h.follows = s->end;
	pthread_mutex_unlock(&s->lock);
	if (!spool_sync_segment(s, err) || !spool_put_header(s, &h, path, &fd, err))
		return false;
	pthread_mutex_lock(&s->lock);
	if (!spool_segments_reserve(s, err)) {
		pthread_mutex_unlock(&s->lock);
		(void)fs_close(&fd, path, NULL);
		return false;
	}
	old_fd = s->active_fd;
	s->active_fd = fd;
	s->left_out = false;
	s->active_offset = SEGMENT_HEADER_BYTES;
	s->active_size = s->options.segment_bytes;
	s->segments[s->segments_count++] = (struct spool_segment){.first_seq = h.first_seq,
		.last_seq = h.first_seq - 1,
		.follows = h.follows,
		.begun_us = h.begun_us,
		.bytes = s->active_size,
		.end_offset = SEGMENT_HEADER_BYTES,
		.first_received_us = h.begun_us,
		.last_received_us = h.begun_us};
	s->spare = SPOOL_SPARE_WANTED;
	s->unsynced = false;
	if (s->archiver_wake_seq == UINT64_MAX)
		s->archiver_wake_seq = h.follows.seq;
	spool_wake_archiver(s);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	ok = fs_close(&old_fd, s->active_path, err);
	memcpy(s->active_path, path, sizeof(path));
	return ok && spool_remove_empty(s, err);
}

static enum spool_append spool_out_of_room(struct spool *s, bool waits_for_spare,
	const struct error *why)
{
	s->waits_for_spare = waits_for_spare;
	pthread_mutex_lock(&s->lock);
	spool_note_full(s, why);
	pthread_mutex_unlock(&s->lock);
	return SPOOL_FULL;
}

/* At start, before threads. Without room, the log opens all the same. */
static bool spool_begin_first(struct spool *s, struct error *err)
{
	struct error failure;

	if (s->spare != SPOOL_SPARE_READY)
		s->spare = SPOOL_SPARE_WANTED;
	if (s->spare == SPOOL_SPARE_WANTED && !spool_fits(s))
		return true;
	if ((s->spare == SPOOL_SPARE_READY || spool_make_spare(s, &failure)) &&
		spool_begin_segment(s, &failure))
		return true;
	if (!fs_is_full(&failure)) {
		if (err != NULL)
			*err = failure;
		return false;
	}
	(void)spool_out_of_room(s, true, &failure);
	return true;
}

bool spool_open(struct spool **out, const struct spool_options *options, struct error *err)
{
	struct spool *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (s == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory opening the log");
	s->options = *options;
	s->lock_fd = s->active_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_cond_init(&s->synced, &monotonic);
	pthread_cond_init(&s->archiver_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (strlen(options->dir) >= sizeof(s->dir)) {
		error_set(err, ERROR_FATAL, REASON_bad_setting, "spool.dir is too long");
		goto fail;
	}
	snprintf(s->dir, sizeof(s->dir), "%s", options->dir);
	if (!fs_make_dir(s->dir, err) || !spool_lock_folder(s->dir, &s->lock_fd, err) ||
		!spool_load_identity(s, err) || !spool_recover(s, err))
		goto fail;
	if (!spool_reserve_make(s->dir, err) || !spool_adopt_spare(s, err) ||
		!spool_begin_first(s, err) || !spool_keeper_start(s, err) ||
		!spool_archiver_start(s, err))
		goto fail;
	*out = s;
	return true;
fail:
	s->broken = true; /* nothing was appended, so there is nothing to close properly */
	spool_close(&s);
	return false;
}

/* The next segment, if available. While the keeper is preparing it, this waits. */
static enum spool_append spool_next_segment(struct spool *s, struct error *err)
{
	bool ready, failed;

	pthread_mutex_lock(&s->lock);
	while (s->spare != SPOOL_SPARE_READY && !s->failed && !s->stop_waiting && !s->disk_full &&
		spool_fits(s))
		pthread_cond_wait(&s->changed, &s->lock);
	failed = s->failed;
	if (failed)
		*err = s->failure;
	ready = s->spare == SPOOL_SPARE_READY;
	s->full = !ready;
	pthread_mutex_unlock(&s->lock);
	s->waits_for_spare = !ready;
	if (failed)
		return SPOOL_FAILED;
	if (!ready)
		return SPOOL_FULL;
	if (spool_begin_segment(s, err))
		return SPOOL_APPENDED;
	/* The spare exists, so the wait is for the disk. */
	return fs_is_full(err) ? spool_out_of_room(s, false, err) : SPOOL_FAILED;
}

static bool spool_buffer_reserve(struct spool *s, size_t size, struct error *err)
{
	uint8_t *grown;

	if (size <= s->buffer_size)
		return true;
	grown = realloc(s->buffer, size * 2);
	if (grown == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory,
			"out of memory appending to the log");
	s->buffer = grown;
	s->buffer_size = size * 2;
	return true;
}

/* A new segment was asked for. That never makes the log full: it waits for the spare. */
static bool spool_takes_rotation(struct spool *s)
{
	bool ready;

	if (!s->rotate)
		return false;
	pthread_mutex_lock(&s->lock);
	ready = s->spare == SPOOL_SPARE_READY;
	pthread_mutex_unlock(&s->lock);
	if (s->active_offset > SEGMENT_HEADER_BYTES && !ready)
		return false;
	s->rotate = false;
	return s->active_offset > SEGMENT_HEADER_BYTES;
}

/* Chooses the segment that the record fits into. */
static enum spool_append spool_turn(struct spool *s, size_t size, struct error *err)
{
	if (s->active_offset + (int64_t)size > s->active_size)
		return spool_next_segment(s, err);
	if (!spool_takes_rotation(s) || spool_begin_segment(s, err))
		return SPOOL_APPENDED;
	if (!fs_is_full(err))
		return SPOOL_FAILED;
	s->rotate = true; /* later, when there is room; this record still fits */
	return SPOOL_APPENDED;
}

/* Write into the current segment, which has room. If the write fails halfway, the next record
 * overwrites it. */
static enum spool_append spool_append_write(struct spool *s, struct record *r, size_t size,
	bool durable, struct error *err)
{
	struct spool_segment *active;
	uint64_t generation;
	bool failed;

	pthread_mutex_lock(&s->lock);
	failed = s->failed;
	if (failed && err != NULL)
		*err = s->failure;
	generation = s->segments[s->segments_count - 1].first_seq;
	r->seq = s->next_seq;
	pthread_mutex_unlock(&s->lock);
	if (failed)
		return SPOOL_FAILED;
	record_put(s->buffer, r, generation);
	if (!fs_pwrite(s->active_fd, slice_of(s->buffer, size), s->active_offset, s->active_path,
		    err))
		return fs_is_full(err) ? spool_out_of_room(s, false, err) : SPOOL_FAILED;
	s->active_offset += (int64_t)size;
	pthread_mutex_lock(&s->lock);
	active = &s->segments[s->segments_count - 1];
	active->last_seq = r->seq;
	active->end_offset = s->active_offset;
	active->last_received_us = r->received_us;
	s->next_seq++;
	s->unsynced = true;
	s->full = false;
	position_add(&s->end, r->seq, record_checksum(s->buffer + size));
	if (durable && s->options.sync == SPOOL_SYNC_MESSAGE)
		s->durable_seq = r->seq;
	spool_show_readable(s);
	pthread_mutex_unlock(&s->lock);
	return SPOOL_APPENDED;
}

/* For everybody: keeper and archiver would sync what could not be synced. */
static void spool_append_fail(struct spool *s, const struct error *err)
{
	s->broken = true;
	pthread_mutex_lock(&s->lock);
	spool_fail(s, err);
	pthread_mutex_unlock(&s->lock);
}

enum spool_append spool_append(struct spool *s, struct record *r, bool durable, struct error *err)
{
	enum spool_append result = SPOOL_APPENDED;
	size_t size = record_bytes(r);

	if (s->broken) {
		error_set(err, ERROR_FATAL, REASON_disk, "an earlier write to the log failed");
		return SPOOL_FAILED;
	}
	CHECK((int64_t)size <= s->options.segment_bytes - SEGMENT_HEADER_BYTES);
	if (!spool_buffer_reserve(s, size, err))
		result = SPOOL_FAILED;
	else
		result = spool_turn(s, size, err);
	if (result == SPOOL_APPENDED)
		result = spool_append_write(s, r, size, durable, err);
	if (result == SPOOL_FAILED)
		spool_append_fail(s, err);
	return result;
}

bool spool_wait_for_space(struct spool *s)
{
	bool go_on;

	pthread_mutex_lock(&s->lock);
	while (!s->stop_waiting && !s->failed &&
		(s->waits_for_spare ? s->spare != SPOOL_SPARE_READY : s->disk_full))
		pthread_cond_wait(&s->changed, &s->lock);
	go_on = !s->stop_waiting;
	pthread_mutex_unlock(&s->lock);
	return go_on;
}

void spool_stop_waiting(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop_waiting = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void spool_rotate(struct spool *s)
{
	s->rotate = true;
}

void spool_set_limits(struct spool *s, int64_t bytes_max, int64_t retain_us,
	int64_t sync_interval_us)
{
	pthread_mutex_lock(&s->lock);
	s->options.bytes_max = bytes_max;
	s->options.retain_us = retain_us;
	s->options.sync_interval_us = sync_interval_us;
	pthread_cond_broadcast(&s->changed); /* there may be room now, or something to remove */
	pthread_mutex_unlock(&s->lock);
}

uint64_t spool_last_seq(const struct spool *s)
{
	return s->last_seq;
}

void spool_release(struct spool *s, uint64_t seq)
{
	pthread_mutex_lock(&s->lock);
	if (seq > s->released_seq) {
		s->released_seq = seq;
		pthread_cond_broadcast(&s->changed);
		spool_wake_archiver(s);
	}
	pthread_mutex_unlock(&s->lock);
}

bool spool_failed(struct spool *s, struct error *err)
{
	bool failed;

	pthread_mutex_lock(&s->lock);
	failed = s->failed;
	if (failed)
		*err = s->failure;
	pthread_mutex_unlock(&s->lock);
	return failed;
}

void spool_begin_position(struct spool *s, struct position *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->segments_count > 0 ? s->segments[0].follows : s->end;
	pthread_mutex_unlock(&s->lock);
}

void spool_stats(struct spool *s, struct spool_stats *out)
{
	uint32_t archived = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->segments_count; i++)
		archived += s->segments[i].archived;
	*out = (struct spool_stats){
		.oldest_seq = s->segments_count > 0 ? s->segments[0].first_seq : s->next_seq,
		.last_seq = s->last_seq,
		.released_seq = s->released_seq,
		.damaged_records = s->damaged_records,
		.bytes = s->bytes,
		.segments = (uint32_t)s->segments_count,
		.archived = archived,
		.syncs = s->syncs,
		.full = s->full,
		.disk_full = s->disk_full,
	};
	pthread_mutex_unlock(&s->lock);
}
