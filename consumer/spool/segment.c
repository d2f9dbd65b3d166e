#include "spool/segment.h"

#include "base/fs.h"
#include "spool/archive.h"
#include "spool/record.h"

#include <inttypes.h>

enum {
	/* One read has about 200 records; a quiet log reads what there is. */
	SEGMENT_WINDOW_BYTES = 128 * 1024,
	/* spool.segment_bytes is at most 1 GiB */
	SEGMENT_RECORDS_MAX = (1 << 30) / RECORD_FIXED_BYTES,
};

static int64_t segment_reader_pread(const struct segment_reader *r, void *out, size_t size,
	int64_t offset, struct error *err)
{
	return r->archive != NULL ? archive_reader_pread(r->archive, out, size, offset, err)
				  : fs_pread(r->fd, out, size, offset, r->path, err);
}

static bool segment_reader_begin(struct segment_reader *r, struct error *err)
{
	uint8_t header[SEGMENT_HEADER_BYTES];
	int64_t got = segment_reader_pread(r, header, sizeof(header), 0, err);

	if (got < 0)
		return false;
	if (got < SEGMENT_HEADER_BYTES)
		return error_set(err, ERROR_DAMAGED, REASON_spool_damaged, "\"%s\" is cut off",
			r->path);
	if (!segment_header_get(header, r->path, &r->header, err))
		return false;
	r->last_seq = r->header.first_seq - 1;
	r->offset = SEGMENT_HEADER_BYTES;
	return true;
}

bool segment_reader_init(struct segment_reader *r, int fd, const char *path, struct error *err)
{
	*r = (struct segment_reader){.fd = fd, .path = path};
	if (!segment_reader_begin(r, err))
		return false;
	r->size = fs_size(fd, path, err);
	return r->size >= 0;
}

bool segment_reader_init_packed(struct segment_reader *r, struct archive_reader *archive,
	const char *path, struct error *err)
{
	*r = (struct segment_reader){.fd = -1,
		.archive = archive,
		.path = path,
		.size = archive_reader_size(archive)};
	return segment_reader_begin(r, err);
}

void segment_reader_drop_window(struct segment_reader *r)
{
	r->window = (struct slice){NULL, 0};
}

/* At least size bytes from an offset; fewer only at the end of the file. */
static bool segment_reader_load(struct segment_reader *r, int64_t offset, size_t size,
	struct arena *arena, struct error *err)
{
	uint8_t *bytes;
	int64_t got;

	if (size < SEGMENT_WINDOW_BYTES)
		size = SEGMENT_WINDOW_BYTES;
	if ((int64_t)size > r->size - offset)
		size = (size_t)(r->size - offset);
	bytes = arena_bytes(arena, size);
	if (bytes == NULL)
		return error_set(err, ERROR_FULL, REASON_arena_full, "no room to read from \"%s\"",
			r->path);
	got = segment_reader_pread(r, bytes, size, offset, err);
	if (got < 0)
		return false;
	if ((size_t)got < size)
		r->size = offset + got; /* it became shorter */
	arena_trim(arena, bytes + got);
	r->window = slice_of(bytes, (size_t)got);
	r->window_offset = offset;
	return true;
}

/* The window's content from an offset on. */
static struct slice segment_reader_rest(const struct segment_reader *r, int64_t offset)
{
	size_t skip = (size_t)(offset - r->window_offset);

	if (slice_is_absent(r->window) || offset < r->window_offset || skip >= r->window.size)
		return (struct slice){NULL, 0};
	return slice_of(r->window.data + skip, r->window.size - skip);
}

/* The whole record at an offset, whatever its number; reads more bytes as needed. */
static bool segment_reader_get(struct segment_reader *r, int64_t offset, struct arena *arena,
	struct record *out, size_t *size_out, enum record_status *status_out, struct error *err)
{
	bool fresh = false;
	size_t need = 0;

	for (;;) {
		struct slice rest = segment_reader_rest(r, offset);

		*status_out = RECORD_PARTIAL;
		if (rest.size > 0)
			*status_out = record_get(rest, r->header.first_seq, out, &need);
		if (*status_out == RECORD_OK ||
			(*status_out != RECORD_PARTIAL && (fresh || offset >= r->size))) {
			*size_out = need;
			return true;
		}
		/* What was read ahead may be out of date: it may have been written since. */
		fresh = true;
		if ((int64_t)need > r->size - offset || offset >= r->size) {
			*status_out = RECORD_END;
			return true;
		}
		if (!segment_reader_load(r, offset, need, arena, err))
			return false;
	}
}

/* Whether a record may be of this segment: what looks like one after damage may be part of a
 * message. How much is missing says nothing: damaged parts of an archive may be left out. */
static bool segment_reader_may_follow(const struct segment_reader *r, uint64_t seq)
{
	return seq > r->last_seq && seq - r->header.first_seq < SEGMENT_RECORDS_MAX;
}

/*
 * After damage: the offset of the next whole record that may follow the last, or the file's size.
 * Windows overlap by one byte less than a record's prefix; their memory is given back.
 */
static bool segment_reader_resync(struct segment_reader *r, struct arena *arena,
	int64_t *offset_out, struct error *err)
{
	struct arena_mark mark = arena_mark(arena);
	int64_t offset = r->offset + 1;
	bool ok = true;

	while (offset < r->size) {
		enum record_status status;
		struct record found;
		struct slice rest;
		size_t size, candidate;

		segment_reader_drop_window(r);
		arena_rewind(arena, mark);
		ok = segment_reader_load(r, offset, 0, arena, err);
		if (!ok)
			break;
		rest = r->window;
		candidate = record_candidate(rest, r->header.first_seq);
		if (candidate == rest.size) {
			offset += (int64_t)rest.size;
			if (offset < r->size)
				offset -= RECORD_PREFIX_BYTES - 1;
			continue;
		}
		offset += (int64_t)candidate;
		ok = segment_reader_get(r, offset, arena, &found, &size, &status, err);
		if (!ok || (status == RECORD_OK && segment_reader_may_follow(r, found.seq)))
			break;
		offset++;
	}
	segment_reader_drop_window(r);
	arena_rewind(arena, mark);
	*offset_out = offset;
	return ok;
}

enum segment_next segment_reader_next(struct segment_reader *r, uint64_t stop_seq,
	struct arena *arena, struct record *out, struct error *err)
{
	enum record_status status;
	size_t size;

	if (r->last_seq >= stop_seq)
		return SEGMENT_END;
	for (;;) {
		int64_t next;

		if (!segment_reader_get(r, r->offset, arena, out, &size, &status, err))
			return SEGMENT_ERROR;
		if (status == RECORD_OK && out->seq > r->last_seq)
			break;
		/* The end, or damage followed by more records. */
		if (!segment_reader_resync(r, arena, &next, err))
			return SEGMENT_ERROR;
		if (next >= r->size)
			return SEGMENT_END;
		r->offset = next;
	}
	r->missing += out->seq - r->last_seq - 1;
	r->last_seq = out->seq;
	r->offset += (int64_t)size;
	return SEGMENT_RECORD;
}

bool segment_reader_pass(struct segment_reader *r, uint64_t stop_seq, struct arena *arena,
	struct position *at, int64_t *received_us, struct error *err)
{
	for (;;) {
		uint64_t missing = r->missing;
		struct record record;

		switch (segment_reader_next(r, stop_seq, arena, &record, err)) {
		case SEGMENT_RECORD:
			break;
		case SEGMENT_END:
			return true;
		case SEGMENT_ERROR:
			return false;
		}
		position_skip(at, r->missing - missing);
		position_add(at, record.seq, record.link.checksum);
		*received_us = record.received_us;
		if (arena->used > SEGMENT_RESET_BYTES) {
			segment_reader_drop_window(r);
			arena_reset(arena);
		}
	}
}

void segment_pass_damaged(const struct segment_header *header, uint64_t seq, struct position *at)
{
	uint64_t known = at->seq >= header->first_seq ? at->seq : header->first_seq - 1;

	if (at->seq >= seq)
		return;
	position_skip(at, seq - known);
	at->seq = seq;
}

/* Record seq, if it begins between two offsets; sets *found_out. */
static bool segment_reader_scan(struct segment_reader *r, uint64_t seq, int64_t from, int64_t to,
	struct arena *arena, struct record *out, bool *found_out, struct error *err)
{
	size_t wanted = (size_t)(to - from) + RECORD_PREFIX_BYTES - 1;

	*found_out = false;
	segment_reader_drop_window(r);
	if (!segment_reader_load(r, from, wanted, arena, err))
		return false;
	while (from < to) {
		struct slice rest = segment_reader_rest(r, from);
		size_t candidate = record_candidate(rest, r->header.first_seq), size;
		enum record_status status;

		if (candidate == rest.size)
			return true;
		from += (int64_t)candidate;
		if (!segment_reader_get(r, from, arena, out, &size, &status, err))
			return false;
		*found_out = status == RECORD_OK && out->seq == seq;
		if (*found_out) {
			r->last_seq = seq;
			r->offset = from + (int64_t)size;
			return true;
		}
		from++;
	}
	return true;
}

bool segment_reader_last(struct segment_reader *r, uint64_t seq, struct arena *arena,
	struct record *out, struct error *err)
{
	int64_t to = r->size;
	struct arena_mark mark = arena_mark(arena);

	while (to > SEGMENT_HEADER_BYTES) {
		int64_t from = to - SEGMENT_WINDOW_BYTES;
		bool found;

		if (from < SEGMENT_HEADER_BYTES)
			from = SEGMENT_HEADER_BYTES;
		arena_rewind(arena, mark);
		if (!segment_reader_scan(r, seq, from, to, arena, out, &found, err))
			return false;
		if (found)
			return true;
		to = from;
	}
	return error_set(err, ERROR_ABSENT, REASON_spool_damaged,
		"\"%s\" does not end with record %" PRIu64, r->path, seq);
}
