#include "base/fs.h"
#include "base/log.h"
#include "spool/archive.h"
#include "spool/spool_private.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A crash leaves the last segment without a proper end. It is read, cut after its last whole record
 * and closed for good; writing continues in a new one. A torn last record is normal (it was never
 * acknowledged); damage before whole records is not, and is reported. Then RECOVER_SKIP numbers are
 * skipped: the disk may have lost records that were never synced but are already in the database,
 * and their numbers must not be used again.
 *
 * The last segment says where the numbers continue, even if it has no records, by what it follows.
 * Without any segment, the mark of a proper shutdown says it. Without that nothing does, and the
 * numbers begin again under a new identity.
 */
static const uint64_t RECOVER_SKIP = UINT64_C(1) << 32;

/* A window and the largest record. */
enum { RECOVER_ARENA_BYTES = 64 * 1024 * 1024 };

/* A log that was closed properly has lost records at its end. */
static void recover_lost(struct spool *s, const struct position *closed)
{
	log_error("spool_records_lost", "the log ends before the record it was closed at",
		"dir=%s last_seq=%" PRIu64 " closed_at=%" PRIu64, LOG_VALUE(s->dir), s->end.seq,
		closed->seq);
	s->damaged_records += closed->seq - s->end.seq;
	position_skip(&s->end, closed->seq - s->end.seq);
	if (closed->counted)
		s->end.records = closed->records;
	s->end.seq = closed->seq;
	s->next_seq = closed->seq + 1;
}

/* If numbers begin again, the next segment can get the same first number, and so the same
 * generation, as the released one that became the spare: its old records would count. */
static bool recover_drop_spare(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES];

	spool_path(s, "spare.tmp", path);
	return fs_unlink_if_there(path, err) && fs_sync_dir(s->dir, err);
}

/* Where the numbers end, and where they continue. */
static bool recover_numbers(struct spool *s, bool clean, const struct position *closed,
	struct error *err)
{
	bool found = s->segments_count > 0 || s->empty_found;

	if (!found && !recover_drop_spare(s, err))
		return false;
	if (!found && clean)
		s->end = *closed;
	else if (!found && s->identity_found && !spool_change_identity(s, err))
		return false;
	if (s->next_seq <= s->end.seq)
		s->next_seq = s->end.seq + 1;
	if (found && clean && closed->seq >= s->next_seq)
		recover_lost(s, closed);
	s->left_out = found && !clean;
	if (s->left_out)
		s->next_seq += RECOVER_SKIP;
	return true;
}

static int recover_order(const void *a, const void *b)
{
	const struct spool_segment *x = a, *y = b;

	if (x->first_seq == y->first_seq)
		return x->archived - y->archived;
	return x->first_seq > y->first_seq ? 1 : -1;
}

/* A segment beside its archive: the crash came before its removal. The archive can be made again,
 * the segment cannot. */
static bool recover_twins(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	size_t kept = 0;

	for (size_t i = 0; i < s->segments_count; i++) {
		if (kept == 0 || s->segments[kept - 1].first_seq != s->segments[i].first_seq) {
			s->segments[kept++] = s->segments[i];
			continue;
		}
		spool_file_path(s, &s->segments[i], path);
		if (!fs_unlink(path, err))
			return false;
	}
	s->segments_count = kept;
	return true;
}

static void recover_note_aside(struct spool *s, uint64_t first_seq)
{
	if (!s->aside_found || first_seq > s->aside_first_seq)
		s->aside_first_seq = first_seq;
	s->aside_found = true;
}

/* A segment that an earlier start set aside: its name says which records it had. */
static bool recover_is_aside(const char *name, uint64_t *first_seq_out)
{
	return segment_name_parse_with(name, SEGMENT_ASIDE, first_seq_out) ||
	       segment_name_parse_with(name, SEGMENT_PACKED SEGMENT_ASIDE, first_seq_out);
}

static bool recover_add(struct spool *s, const char *name, struct error *err)
{
	uint64_t first_seq;
	bool archived = archive_name_parse(name, &first_seq);

	if (recover_is_aside(name, &first_seq))
		recover_note_aside(s, first_seq);
	if (!archived && !segment_name_parse(name, &first_seq))
		return true;
	if (!spool_segments_reserve(s, err))
		return false;
	s->segments[s->segments_count++] =
		(struct spool_segment){.first_seq = first_seq, .archived = archived};
	return true;
}

static bool recover_list(struct spool *s, struct error *err)
{
	DIR *dir = opendir(s->dir);
	const char *name = NULL;
	bool ok;

	if (dir == NULL)
		return error_set_errno(err, ERROR_FATAL, REASON_disk, "could not list \"%s\"",
			s->dir);
	do
		ok = fs_next_name(dir, s->dir, &name, err) &&
		     (name == NULL || recover_add(s, name, err));
	while (ok && name != NULL);
	closedir(dir);
	if (s->segments_count > 0)
		qsort(s->segments, s->segments_count, sizeof(*s->segments), recover_order);
	return ok && recover_twins(s, err);
}

static bool recover_read_header(struct spool_segment *segment, int fd, const char *path,
	struct segment_header *out, int64_t *bytes_out, int64_t *received_us_out, struct error *err)
{
	struct archive_summary summary;
	struct segment_reader reader;

	if (!segment->archived) {
		if (!segment_reader_init(&reader, fd, path, err))
			return false;
		*out = reader.header;
		*bytes_out = reader.size;
		*received_us_out = reader.header.begun_us;
		return true;
	}
	if (!archive_summary_read(fd, path, &summary, err))
		return false;
	*out = summary.header;
	if (summary.whole)
		segment->last_seq = summary.last_seq;
	*received_us_out = summary.whole ? summary.first_received_us : summary.header.begun_us;
	*bytes_out = fs_size(fd, path, err);
	return *bytes_out >= 0;
}

static bool recover_has_records(int fd, const char *path, bool *has_out, struct error *err)
{
	struct segment_reader reader;
	struct arena arena;
	struct record record;
	enum segment_next next = SEGMENT_ERROR;

	if (!arena_init(&arena, RECOVER_ARENA_BYTES, 0))
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading \"%s\"",
			path);
	if (segment_reader_init(&reader, fd, path, err))
		next = segment_reader_next(&reader, UINT64_MAX, &arena, &record, err);
	*has_out = next == SEGMENT_RECORD;
	arena_fini(&arena);
	return next != SEGMENT_ERROR;
}

/*
 * A released segment was being reused for a later one: its new header is on disk, the rename is
 * not. It has no records yet and is removed, as it would have been. If it has some, somebody
 * renamed it.
 */
static bool recover_misnamed(int fd, const char *path, bool *removed_out, struct error *err)
{
	bool has = false;

	*removed_out = false;
	if (!recover_has_records(fd, path, &has, err))
		return false;
	if (has)
		return error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
			"\"%s\" has records of another segment than its name says", path);
	*removed_out = true;
	return fs_unlink(path, err);
}

/* An unreadable header takes its segment out of the log, but not the log out of use. */
static bool recover_header(struct spool *s, struct spool_segment *segment, bool *usable_out,
	struct error *err)
{
	char path[SPOOL_PATH_BYTES], bad[SPOOL_PATH_BYTES + 8];
	struct segment_header header;
	int64_t bytes;
	int fd;
	bool ok, removed = false;

	spool_file_path(s, segment, path);
	fd = fs_open(path, FS_OWN, err);
	if (fd < 0)
		return false;
	ok = recover_read_header(segment, fd, path, &header, &bytes, &segment->first_received_us,
		err);
	if (ok && header.first_seq != segment->first_seq)
		ok = recover_misnamed(fd, path, &removed, err);
	(void)fs_close(&fd, path, NULL);
	*usable_out = ok && !removed;
	if (removed)
		return true;
	if (!ok) {
		if (err->kind != ERROR_DAMAGED)
			return false;
		log_failure(LOG_LEVEL_ERROR, "spool_segment_set_aside", err);
		recover_note_aside(s, segment->first_seq);
		snprintf(bad, sizeof(bad), "%s" SEGMENT_ASIDE, path);
		return fs_rename(path, bad, err);
	}
	if (memcmp(&header.spool, &s->identity, sizeof(s->identity)) != 0) {
		error_set(err, ERROR_FATAL, REASON_spool_mixed, "\"%s\" belongs to another log",
			path);
		return error_hint(err, "segments cannot be moved between logs; replay it instead");
	}
	segment->follows = header.follows;
	segment->begun_us = header.begun_us;
	segment->last_received_us = header.begun_us;
	segment->bytes = segment->end_offset = bytes;
	s->bytes += bytes;
	return true;
}

/*
 * The next segment's header says that it follows what is older than this one: then it took the
 * place of this one, which was empty, and a crash came before that was removed. If it has records
 * all the same, it is kept.
 */
static bool recover_replaced(struct spool *s, struct spool_segment *segment, bool *removed_out,
	struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	bool has = true, ok;
	int fd;

	*removed_out = false;
	if (segment->archived)
		return true;
	spool_file_path(s, segment, path);
	fd = fs_open(path, FS_OWN, err);
	if (fd < 0)
		return false;
	ok = recover_has_records(fd, path, &has, err);
	(void)fs_close(&fd, path, NULL);
	if (!ok || has)
		return ok;
	*removed_out = true;
	s->bytes -= segment->bytes;
	return fs_unlink(path, err);
}

/* Where each but the last ends: where the next one begins. */
static bool recover_ends(struct spool *s, struct error *err)
{
	size_t count = s->segments_count, kept = 0;

	for (size_t i = 0; i + 1 < count; i++) {
		struct spool_segment *segment = &s->segments[i], *next = segment + 1;
		bool replaced = next->follows.seq + 1 < segment->first_seq, removed = false;

		if (replaced && !recover_replaced(s, segment, &removed, err))
			return false;
		if (removed)
			continue;
		segment->last_seq = next->follows.seq;
		segment->last_received_us = next->last_received_us;
		/* The next one was set aside, so where this one ends is unknown. */
		if (segment->last_seq >= next->first_seq || replaced)
			segment->last_seq = next->first_seq - 1;
		s->segments[kept++] = *segment;
	}
	if (count > 0)
		s->segments[kept++] = s->segments[count - 1];
	s->segments_count = kept;
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
	return recover_ends(s, err);
}

/* The last segment was read: it ends where its last whole record does. */
static bool recover_cut(struct spool *s, struct spool_segment *last,
	const struct segment_reader *reader, struct error *err)
{
	uint64_t missing = reader->missing;

	/* An archive also says where it ended. */
	if (last->archived && last->last_seq > reader->last_seq) {
		missing += last->last_seq - reader->last_seq;
		position_skip(&s->end, last->last_seq - reader->last_seq);
	} else {
		last->last_seq = reader->last_seq;
	}
	s->damaged_records += missing;
	if (missing > 0)
		log_error("spool_damaged", "records in the middle of a segment are damaged",
			"path=%s records=%" PRIu64, LOG_VALUE(reader->path), missing);
	s->next_seq = last->last_seq + 1;
	if (last->last_seq >= last->first_seq)
		s->end.seq = last->last_seq;
	if (last->archived)
		return true;
	if (last->last_seq < last->first_seq) {
		s->bytes -= last->bytes;
		s->segments_count--;
		s->empty_found = true;
		s->empty_first_seq = last->first_seq;
		s->empty_begun_us = last->begun_us;
		/* The next one may need its room; until then its header is needed. */
		return fs_truncate(reader->fd, SEGMENT_HEADER_BYTES, reader->path, err) &&
		       fs_sync_data(reader->fd, reader->path, err);
	}
	s->bytes += reader->offset - last->bytes;
	last->bytes = last->end_offset = reader->offset;
	return fs_truncate(reader->fd, reader->offset, reader->path, err) &&
	       fs_sync_data(reader->fd, reader->path, err);
}

/* Keeps the whole records of the last segment; cuts off what follows. */
static bool recover_last(struct spool *s, struct error *err)
{
	struct spool_segment *last;
	struct segment_reader reader;
	struct arena arena = {.base = NULL};
	char path[SPOOL_PATH_BYTES];
	bool ok = false;
	int fd;

	if (s->segments_count == 0)
		return true;
	last = &s->segments[s->segments_count - 1];
	spool_file_path(s, last, path);
	fd = last->archived ? spool_open_segment(s, last, path, err)
			    : fs_open(path, FS_UPDATE, err);
	if (fd < 0)
		return false;
	if (!arena_init(&arena, RECOVER_ARENA_BYTES, 0)) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading \"%s\"", path);
		goto out;
	}
	if (!segment_reader_init(&reader, fd, path, err))
		goto out;
	s->end = last->follows;
	ok = segment_reader_pass(&reader, UINT64_MAX, &arena, &s->end, &last->last_received_us,
		     err) &&
	     recover_cut(s, last, &reader, err);
out:
	arena_fini(&arena);
	(void)fs_close(&fd, path, NULL);
	return ok;
}

/* Only the seq, as older programs wrote it, or the whole position. */
static bool recover_parse_closed(const char *text, struct position *out)
{
	int fields = sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &out->seq,
		&out->records, &out->digest_from, &out->digest);

	out->counted = out->digested = fields == 4;
	return fields >= 1;
}

/* The mark of a proper shutdown is valid once. */
static bool recover_closed(struct spool *s, bool *clean_out, struct position *closed_out,
	struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	size_t size;
	char *text;

	static const char *const leftovers[] = {"archive.tmp", "unpacked.tmp"};

	*closed_out = (struct position){.seq = 0};
	for (size_t i = 0; i < sizeof(leftovers) / sizeof(*leftovers); i++) {
		spool_path(s, leftovers[i], path);
		if (unlink(path) != 0 && errno != ENOENT)
			return error_set_errno(err, ERROR_FATAL, REASON_disk,
				"could not remove \"%s\"", path);
	}
	spool_path(s, "closed", path);
	if (!fs_exists(path, clean_out, err))
		return false;
	if (!*clean_out)
		return true;
	text = fs_read_own_file(path, 128, &size, err);
	if (text == NULL)
		return false;
	*clean_out = recover_parse_closed(text, closed_out);
	free(text);
	return fs_unlink(path, err) && fs_sync_dir(s->dir, err);
}

bool spool_recover(struct spool *s, struct error *err)
{
	struct position closed;
	bool clean = false;

	if (!recover_list(s, err) || !recover_headers(s, err) || !recover_last(s, err) ||
		!recover_closed(s, &clean, &closed, err) ||
		!recover_numbers(s, clean, &closed, err))
		return false;
	/* What was unknown before is counted from here on. */
	if (!s->end.counted)
		s->end = (struct position){.seq = s->end.seq, .counted = true};
	if (!s->end.digested) {
		s->end.digested = true;
		s->end.digest_from = s->next_seq;
		s->end.digest = 0;
	}
	s->last_seq = s->durable_seq = s->synced_seq = s->end.seq;
	return true;
}
