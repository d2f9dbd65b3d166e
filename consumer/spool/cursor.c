#include "base/fs.h"
#include "base/log.h"
#include "spool/spool_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Arenas for records skipped on the way to the position, until they are reset. */
enum {
	CURSOR_SKIP_BYTES = 512 * 1024,
	CURSOR_PEEK_BYTES = 64 << 20, /* address space: more than twice the largest record */
};

#define CURSOR_COPIED_HINT                                                                         \
	"`ocpp-persister spool new-identity --spool.dir=...` makes it a log of its own: all of "   \
	"it "                                                                                      \
	"is fed again, and what is already stored is a duplicate. With --keep-session if no "      \
	"other worker has the original: then it takes what the broker queues for it"

struct spool_cursor {
	struct spool *spool;
	bool peeks; /* the main cursor will report damage */
	struct segment_reader reader;
	int fd; /* -1: no segment is open */
	char path[SPOOL_PATH_BYTES];
	uint64_t position;      /* the last record read, or the one sought */
	uint64_t follows;       /* the same, but not advanced past damage */
	struct position had;    /* the log's own position at follows, if it is known (counted) */
	struct position log;    /* the log's own position in the open segment */
	uint64_t log_missing;   /* how much of reader.missing is counted in log */
	struct position known;  /* recognised last, if counted: removed records count from here */
	uint64_t stop_seq;      /* readable in the open segment */
	uint64_t missing_known; /* how much of reader.missing is reported */
};

bool spool_cursor_open(struct spool_cursor **out, struct spool *spool, struct error *err)
{
	struct spool_cursor *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory opening the log");
	c->spool = spool;
	c->fd = -1;
	*out = c;
	return true;
}

bool spool_cursor_open_to_peek(struct spool_cursor **out, struct spool *spool, uint64_t seq,
	struct error *err)
{
	if (!spool_cursor_open(out, spool, err))
		return false;
	(*out)->peeks = true;
	(*out)->position = seq;
	return true;
}

static bool cursor_is_beyond(uint64_t seq, uint64_t highest, struct error *err)
{
	if (seq <= highest)
		return false;
	error_set(err, ERROR_FATAL, REASON_spool_behind,
		"the database has record %" PRIu64 " of this log, which ends at %" PRIu64, seq,
		highest);
	error_hint(err, CURSOR_COPIED_HINT);
	return true;
}

/* Under the lock: the log's own position at seq, from its headers. False: seq is inside that
 * segment. */
static bool cursor_find(const struct spool *s, uint64_t seq, struct position *out,
	struct spool_segment *within)
{
	*out = s->end;
	if (seq >= s->end.seq)
		return true;
	for (size_t i = s->segments_count; i-- > 0;) {
		const struct spool_segment *segment = &s->segments[i];

		if (segment->last_seq >= segment->first_seq && seq >= segment->first_seq) {
			*within = *segment;
			/* A segment that ended early lacks the numbers after its last record. */
			return seq > segment->last_seq;
		}
		*out = segment->follows;
		if (seq >= segment->follows.seq)
			return true;
	}
	return true;
}

static bool cursor_read_position(struct spool *s, const struct spool_segment *segment, uint64_t seq,
	struct position *out, struct error *err)
{
	char path[SPOOL_PATH_BYTES];
	struct segment_reader reader;
	struct arena arena;
	bool ok;
	int fd;

	if (!arena_init(&arena, CURSOR_PEEK_BYTES, 0))
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading the log");
	fd = spool_open_segment(s, segment, path, err);
	ok = fd >= 0 && segment_reader_init(&reader, fd, path, err);
	if (ok) {
		*out = reader.header.follows;
		ok = segment_reader_pass(&reader, seq, &arena, out, &(int64_t){0}, err);
	}
	if (ok)
		segment_pass_damaged(&reader.header, seq, out);
	(void)fs_close(&fd, path, NULL);
	arena_fini(&arena);
	return ok;
}

/*
 * A skipped number belongs to a record that the disk has lost and the database has: then its
 * segment is here, and the database has counted more than the log. Otherwise the database has read
 * a different log, and lacks what is in this one.
 */
static bool cursor_is_elsewhere(const struct position *log, const struct position *at,
	bool segment_is_here)
{
	if (log->seq >= at->seq)
		return false;
	return (at->segment_us != 0 && !segment_is_here) ||
	       (log->counted && at->counted && at->records <= log->records);
}

/* Under the lock. */
static bool cursor_has_segment(const struct spool_cursor *c, const struct position *at)
{
	const struct spool *s = c->spool;
	bool aside = s->aside_found && s->aside_first_seq <= at->seq;

	/* Recognised earlier, while the segment still existed. */
	if (c->known.seq == at->seq && c->known.segment_us == at->segment_us)
		return true;
	for (size_t i = s->segments_count; i-- > 0;) {
		const struct spool_segment *x = &s->segments[i];

		/* Or it had no records left, and this one replaced it. */
		if (x->begun_us == at->segment_us)
			return true;
		if (x->first_seq > s->aside_first_seq && x->first_seq <= at->seq)
			aside = false;
	}
	return s->empty_begun_us == at->segment_us || aside;
}

bool spool_cursor_recognise(struct spool_cursor *c, const struct position *at, struct position *out,
	struct error *err)
{
	struct spool *s = c->spool;
	struct spool_segment segment;
	uint64_t highest;
	bool found, here;

	pthread_mutex_lock(&s->lock);
	highest = s->next_seq - 1;
	found = cursor_find(s, at->seq, out, &segment);
	here = cursor_has_segment(c, at);
	/* Keep the segment from being removed while it is read. */
	if (at->seq < s->released_seq)
		s->released_seq = at->seq;
	pthread_mutex_unlock(&s->lock);
	if (cursor_is_beyond(at->seq, highest, err) ||
		(!found && !cursor_read_position(s, &segment, at->seq, out, err)))
		return false;
	if (out->seq == at->seq ? position_differs(out, at) : cursor_is_elsewhere(out, at, here)) {
		error_set(err, ERROR_FATAL, REASON_spool_copied,
			"record %" PRIu64 " of this log is not the one that the database has: the "
			"log is a copy, or was "
			"restored to an earlier point",
			at->seq);
		return error_hint(err, CURSOR_COPIED_HINT);
	}
	c->known = *at;
	return true;
}

void spool_cursor_drop_window(struct spool_cursor *c)
{
	segment_reader_drop_window(&c->reader);
}

/* A record was read, to skip or to return: how does it follow the last one returned? By the counts
 * if they are known, since not every number in between need be a record. */
static void cursor_count(struct spool_cursor *c, struct record *r)
{
	uint64_t damaged = c->reader.missing - c->log_missing;
	uint64_t before = r->seq - 1 - damaged;

	c->log_missing = c->reader.missing;
	r->link.follows = c->follows;
	r->link.missing = r->seq - 1 - (before > c->follows ? before : c->follows);
	if (c->log.seq > c->follows)
		r->link.missing += c->log.seq - c->follows;
	position_skip(&c->log, damaged);
	if (c->log.counted && c->had.counted && c->log.records >= c->had.records)
		r->link.missing = c->log.records - c->had.records;
	position_add(&c->log, r->seq, r->link.checksum);
	c->log.segment_us = c->reader.header.begun_us;
	r->link.log = c->log;
	if (r->seq > c->position || r->seq == c->follows)
		c->had = c->log;
}

uint64_t spool_count_newer(struct spool *s, uint64_t seq)
{
	uint64_t count = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->segments_count; i++) {
		const struct spool_segment *segment = &s->segments[i];
		uint64_t from = seq >= segment->first_seq ? seq : segment->first_seq - 1;

		count += segment->last_seq > from ? segment->last_seq - from : 0;
	}
	pthread_mutex_unlock(&s->lock);
	return count;
}

/* It is not worth unpacking a segment for one time of receipt: that of its first record is
 * enough. */
static bool cursor_peek_archive(struct spool *s, uint64_t seq, int64_t *received_us_out)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->segments_count; i++) {
		if (s->segments[i].last_seq > seq) {
			found = s->segments[i].archived;
			if (found)
				*received_us_out = s->segments[i].first_received_us;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Under the lock: how far the segment may be read. Records that wait for a sync are not shown: the
 * database must never have what the log may still lose. */
static uint64_t cursor_readable(const struct spool *s, const struct spool_segment *segment)
{
	return segment->last_seq < s->last_seq ? segment->last_seq : s->last_seq;
}

static void cursor_close_segment(struct spool_cursor *c)
{
	segment_reader_drop_window(&c->reader);
	(void)fs_close(&c->fd, c->path, NULL);
}

/* Everything readable has been read: there may be more by now, or the segment is finished. */
static void cursor_refresh(struct spool_cursor *c)
{
	struct spool *s = c->spool;
	bool last = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = s->segments_count; i-- > 0;) {
		if (s->segments[i].first_seq == c->reader.header.first_seq) {
			c->stop_seq = cursor_readable(s, &s->segments[i]);
			if (!s->segments[i].archived)
				c->reader.size = s->segments[i].end_offset;
			last = i + 1 == s->segments_count;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!last && c->reader.last_seq >= c->stop_seq)
		cursor_close_segment(c);
}

/* The first segment that has something newer than the position. */
static enum spool_next cursor_open_segment(struct spool_cursor *c, struct error *err)
{
	struct spool *s = c->spool;
	struct spool_segment segment = {.first_seq = 0};
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->segments_count && !found; i++) {
		if (cursor_readable(s, &s->segments[i]) > c->position) {
			found = true;
			segment = s->segments[i];
			c->stop_seq = cursor_readable(s, &segment);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!found)
		return SPOOL_EMPTY;
	c->fd = spool_open_segment(s, &segment, c->path, err);
	if (c->fd < 0)
		return SPOOL_ERROR;
	c->missing_known = c->log_missing = 0;
	if (!segment_reader_init(&c->reader, c->fd, c->path, err)) {
		cursor_close_segment(c);
		return SPOOL_ERROR;
	}
	c->log = c->reader.header.follows;
	/* Just before the segment, perhaps at a skipped number. */
	if (c->log.seq <= c->follows && c->follows < c->reader.header.first_seq)
		c->had = c->log;
	/* Reading ahead of the writer would be wasted. */
	if (!segment.archived)
		c->reader.size = segment.end_offset;
	return SPOOL_RECORD;
}

bool spool_received_newer(struct spool *s, uint64_t seq, int64_t *received_us_out)
{
	struct spool_cursor c = {.spool = s, .peeks = true, .fd = -1, .position = seq};
	struct arena arena;
	struct record r;
	bool found;

	if (cursor_peek_archive(s, seq, received_us_out))
		return true;
	if (!arena_init(&arena, CURSOR_PEEK_BYTES, 0))
		return false;
	found = spool_cursor_next(&c, &arena, &r, NULL) == SPOOL_RECORD;
	if (found)
		*received_us_out = r.received_us;
	cursor_close_segment(&c);
	arena_fini(&arena);
	return found;
}

bool spool_cursor_seek(struct spool_cursor *c, uint64_t seq, uint64_t *lost_out, struct error *err)
{
	struct spool *s = c->spool;
	uint64_t highest, oldest;

	cursor_close_segment(c);
	pthread_mutex_lock(&s->lock);
	highest = s->next_seq - 1;
	/* Keep what will be read again from being removed. */
	if (seq < s->released_seq)
		s->released_seq = seq;
	oldest = s->segments_count > 0 ? s->segments[0].follows.seq : s->end.seq;
	*lost_out = oldest > seq ? oldest - seq : 0;
	pthread_mutex_unlock(&s->lock);
	if (cursor_is_beyond(seq, highest, err))
		return false;
	c->position = c->follows = seq;
	c->had = (struct position){.seq = seq};
	if (c->known.counted && c->known.seq == seq)
		c->had = c->known;
	return true;
}

void spool_cursor_close(struct spool_cursor **cursor)
{
	if (*cursor != NULL)
		cursor_close_segment(*cursor);
	free(*cursor);
	*cursor = NULL;
}

/* Once per segment and find; the file gets a second name, so that nothing removes it. */
static void cursor_report_damage(struct spool_cursor *c, uint64_t records)
{
	struct spool *s = c->spool;
	char bad[SPOOL_PATH_BYTES + 8];

	c->missing_known += records;
	if (c->peeks)
		return;
	snprintf(bad, sizeof(bad), "%s" SEGMENT_ASIDE, c->path);
	pthread_mutex_lock(&s->lock);
	s->damaged_records += records;
	for (size_t i = 0; i < s->segments_count; i++) {
		if (s->segments[i].first_seq == c->reader.header.first_seq)
			s->segments[i].damaged = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (link(c->path, bad) != 0 && errno != EEXIST)
		log_warn("spool_bad_not_kept", "could not give the damaged segment a second name",
			"path=%s errno=%d", LOG_VALUE(bad), errno);
	log_error("spool_damaged", "records in a segment are damaged and were skipped",
		"path=%s records=%" PRIu64 " after_seq=%" PRIu64 " kept_as=%s", LOG_VALUE(c->path),
		records, c->position, LOG_VALUE(bad));
}

enum spool_next spool_cursor_next(struct spool_cursor *c, struct arena *arena, struct record *out,
	struct error *err)
{
	struct arena_mark mark = arena_mark(arena);

	while (c->position < c->spool->last_seq) {
		enum segment_next next;

		if (c->fd < 0) {
			enum spool_next opened = cursor_open_segment(c, err);

			if (opened != SPOOL_RECORD)
				return opened;
		}
		next = segment_reader_next(&c->reader, c->stop_seq, arena, out, err);
		if (next == SEGMENT_ERROR)
			return SPOOL_ERROR;
		if (next == SEGMENT_RECORD)
			cursor_count(c, out);
		if (c->reader.missing > c->missing_known)
			cursor_report_damage(c, c->reader.missing - c->missing_known);
		if (next == SEGMENT_RECORD) {
			/* Still on the way to the position sought. */
			if (out->seq <= c->position) {
				if (arena->used - mark.used > CURSOR_SKIP_BYTES) {
					segment_reader_drop_window(&c->reader);
					arena_rewind(arena, mark);
				}
				continue;
			}
			c->position = c->follows = out->seq;
			return SPOOL_RECORD;
		}
		if (c->reader.last_seq < c->stop_seq) {
			cursor_report_damage(c, c->stop_seq - c->reader.last_seq);
			c->reader.last_seq = c->stop_seq;
		}
		if (c->stop_seq > c->position)
			c->position = c->stop_seq;
		cursor_refresh(c);
	}
	return SPOOL_EMPTY;
}
