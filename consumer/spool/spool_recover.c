#include "base/fs.h"
#include "base/log.h"
#include "spool/spool_private.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * What a crash leaves: the last segment without a proper end. It is read through, cut behind its
 * last whole record and closed for good; writing goes on in a new one. A torn last record is
 * normal (its sender was never told that we have it); damage before whole records is not, and is
 * reported. Numbers then leave out RECOVER_SKIP: the disk may have lost records that were never
 * synced but are in the database already, and their numbers must not come again.
 */
static const uint64_t RECOVER_SKIP = UINT64_C(1) << 32;

/* A window and the largest record. */
enum { RECOVER_ARENA_BYTES = 64 * 1024 * 1024 };

static bool recover_list(struct spool *s, struct error *err);
static bool recover_headers(struct spool *s, struct error *err);
static bool recover_last(struct spool *s, struct error *err);
static bool recover_closed(struct spool *s, bool *clean_out, uint64_t *last_out, struct error *err);

bool spool_recover(struct spool *s, struct error *err)
{
	uint64_t closed_at = 0;
	bool clean = false;

	if (!recover_list(s, err) || !recover_headers(s, err) || !recover_last(s, err) ||
		!recover_closed(s, &clean, &closed_at, err))
		return false;
	if (s->segments_count > 0)
		s->last_seq = s->segments[s->segments_count - 1].last_seq;
	if (clean && closed_at > s->last_seq) {
		log_error("spool_records_lost", "the log ends before the record it was closed at",
			"dir=%s last_seq=%" PRIu64 " closed_at=%" PRIu64, s->dir,
			(uint64_t)s->last_seq, closed_at);
		s->damaged_records += closed_at - s->last_seq;
		s->next_seq = closed_at + 1;
	} else {
		s->next_seq = s->last_seq + 1;
	}
	if (!clean && s->segments_count > 0)
		s->next_seq += RECOVER_SKIP;
	return true;
}

static int recover_order(const void *a, const void *b)
{
	const struct spool_segment *x = a, *y = b;

	return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static bool recover_list(struct spool *s, struct error *err)
{
	DIR *dir = opendir(s->dir);
	struct dirent *entry;
	bool ok = true;

	if (dir == NULL)
		return error_set_errno(err, ERROR_FATAL, "disk", "could not list \"%s\"", s->dir);
	while (ok && (entry = readdir(dir)) != NULL) { /* NOLINT: the stream is ours alone */
		uint64_t first_seq;

		if (!segment_name_parse(entry->d_name, &first_seq))
			continue;
		ok = spool_segments_reserve(s, err);
		if (ok)
			s->segments[s->segments_count++] =
				(struct spool_segment){.first_seq = first_seq};
	}
	closedir(dir);
	if (s->segments_count > 0)
		qsort(s->segments, s->segments_count, sizeof(*s->segments), recover_order);
	return ok;
}

/* A header that cannot be read takes its segment out of the log, not the log out of use. */
static bool recover_header(struct spool *s, struct spool_segment *segment, bool *usable_out,
	struct error *err)
{
	char path[SPOOL_PATH_BYTES], bad[SPOOL_PATH_BYTES + 8];
	struct segment_reader reader;
	int fd;
	bool ok;

	spool_segment_path(s, segment->first_seq, path);
	fd = fs_open(path, FS_READ, err);
	if (fd < 0)
		return false;
	ok = segment_reader_init(&reader, fd, path, err);
	(void)fs_close(&fd, path, NULL);
	*usable_out = ok;
	if (!ok) {
		if (strcmp(err->reason, "spool_damaged") != 0)
			return false;
		log_failure(LOG_LEVEL_ERROR, "spool_segment_set_aside", err);
		snprintf(bad, sizeof(bad), "%s.bad", path);
		return fs_rename(path, bad, err);
	}
	if (memcmp(&reader.header.spool, &s->identity, sizeof(s->identity)) != 0) {
		error_set(err, ERROR_FATAL, "spool_mixed", "\"%s\" belongs to another log", path);
		return error_hint(err, "segments cannot be moved between logs; replay it instead");
	}
	segment->follows_seq = reader.header.follows_seq;
	segment->last_received_us = reader.header.begun_us;
	segment->bytes = segment->end_offset = reader.size;
	s->bytes += reader.size;
	return true;
}

static bool recover_headers(struct spool *s, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->segments_count; i++) {
		bool usable = false;

		if (!recover_header(s, &s->segments[i], &usable, err))
			return false;
		if (usable)
			s->segments[kept++] = s->segments[i];
	}
	s->segments_count = kept;
	for (size_t i = 0; i + 1 < kept; i++) {
		s->segments[i].last_seq = s->segments[i + 1].follows_seq;
		s->segments[i].last_received_us = s->segments[i + 1].last_received_us;
		/* The one behind was set aside: what this one ends with is not known. */
		if (s->segments[i].last_seq >= s->segments[i + 1].first_seq ||
			s->segments[i].last_seq + 1 < s->segments[i].first_seq)
			s->segments[i].last_seq = s->segments[i + 1].first_seq - 1;
	}
	return true;
}

/* Whole records of the last segment; what follows the last of them is cut off. */
static bool recover_last(struct spool *s, struct error *err)
{
	struct spool_segment *last;
	struct segment_reader reader;
	struct arena arena = {.base = NULL};
	char path[SPOOL_PATH_BYTES];
	enum segment_next next;
	struct record r;
	bool ok = false;
	int fd;

	if (s->segments_count == 0)
		return true;
	last = &s->segments[s->segments_count - 1];
	spool_segment_path(s, last->first_seq, path);
	fd = fs_open(path, FS_UPDATE, err);
	if (fd < 0)
		return false;
	if (!arena_init(&arena, RECOVER_ARENA_BYTES, 0)) {
		error_set(err, ERROR_FATAL, "memory", "out of memory reading \"%s\"", path);
		goto out;
	}
	if (!segment_reader_init(&reader, fd, path, err))
		goto out;
	while ((next = segment_reader_next(&reader, UINT64_MAX, &arena, &r, err)) != SEGMENT_END) {
		if (next == SEGMENT_ERROR)
			goto out;
		last->last_received_us = r.received_us;
		if (arena.used > RECOVER_ARENA_BYTES / 2) {
			segment_reader_drop_window(&reader);
			arena_reset(&arena);
		}
	}
	last->last_seq = reader.last_seq;
	s->damaged_records += reader.missing;
	if (reader.missing > 0)
		log_error("spool_damaged", "records in the middle of a segment are damaged",
			"path=%s records=%" PRIu64, path, reader.missing);
	if (reader.last_seq < last->first_seq) {
		s->bytes -= last->bytes;
		s->segments_count--;
		ok = fs_unlink(path, err);
	} else {
		s->bytes += reader.offset - last->bytes;
		last->bytes = last->end_offset = reader.offset;
		ok = fs_truncate(fd, reader.offset, path, err) && fs_sync_data(fd, path, err);
	}
out:
	arena_fini(&arena);
	(void)fs_close(&fd, path, NULL);
	return ok;
}

/* The mark of a proper shutdown counts once. */
static bool recover_closed(struct spool *s, bool *clean_out, uint64_t *last_out, struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	size_t size;
	char *text;

	spool_path(s, "spare.tmp", path);
	if (unlink(path) != 0 && errno != ENOENT)
		return error_set_errno(err, ERROR_FATAL, "disk", "could not remove \"%s\"", path);
	spool_path(s, "closed", path);
	*clean_out = access(path, F_OK) == 0;
	if (!*clean_out)
		return true;
	text = fs_read_file(path, 64, &size, err);
	if (text == NULL)
		return false;
	*last_out = strtoull(text, NULL, 10);
	free(text);
	return fs_unlink(path, err) && fs_sync_dir(s->dir, err);
}
