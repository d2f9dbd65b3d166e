#include "base/fs.h"
#include "base/log.h"
#include "replay/readers/source_private.h"
#include "replay/readers/unpack.h"
#include "spool/archive.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SOURCE_BUFFER_BYTES = 256 * 1024,
	SOURCE_SKIP_BYTES = 512 * 1024, /* for skipped messages, until the arena is reset */
	SOURCE_CHECKPOINT = 4096,       /* messages */
};

/* The beginning of each record; the last byte is the version. */
static const uint8_t stream_magic[] = {0x9a, 0xce, 'O', 'P', 'R', RECORD_MAGIC & 0xff};

bool replay_source_open(struct replay_source **out, const struct replay_files *files,
	const struct lines_pattern *pattern, const struct csv_map *csv,
	struct replay_source_events events, struct error *err)
{
	struct replay_source *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->buffer = malloc(SOURCE_BUFFER_BYTES);
		s->csv = csv == NULL ? NULL : calloc(1, sizeof(*s->csv));
		s->content = sha256_new();
		s->opened = calloc(files->count + 1, sizeof(*s->opened));
		s->fd = s->input_fd = -1;
	}
	if (s == NULL || s->buffer == NULL || s->content == NULL || s->opened == NULL ||
		(csv != NULL && s->csv == NULL)) {
		replay_source_close(&s);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	s->files = files;
	s->pattern = *pattern;
	s->pattern.memory = &s->memory;
	s->memory.time_us = INT64_MIN;
	if (csv != NULL)
		s->csv->map = csv;
	s->events = events;
	s->buffer_room = SOURCE_BUFFER_BYTES;
	source_content_begin(s, (const uint8_t[SHA256_BYTES]){0});
	s->reported.position = s->reported_packed.position = -1;
	*out = s;
	return true;
}

static void source_close_file(struct replay_source *s)
{
	segment_reader_drop_window(&s->reader);
	archive_reader_close(&s->archive);
	if (s->fd >= 0 && s->fd != s->input_fd)
		close(s->fd);
	s->fd = -1;
}

void replay_source_close(struct replay_source **source)
{
	struct replay_source *s = *source;

	*source = NULL;
	if (s == NULL)
		return;
	source_close_file(s);
	if (s->input_fd >= 0)
		close(s->input_fd);
	free(s->buffer);
	free(s->csv);
	free(s->checkpoints);
	free(s->opened);
	sha256_free(&s->content);
	free(s);
}

/* ---- files ---- */

static void source_on_frame(void *context, int64_t offset, int64_t bytes, const char *why)
{
	(void)bytes;
	source_on_damage(context, offset, why);
}

/* A log in use packs and removes its segments meanwhile. */
static int source_open(const char *path, struct error *err)
{
	char packed[PATH_MAX];

	if (access(path, F_OK) == 0 || !cstr_ends_with(path, ".seg"))
		return fs_open(path, FS_READ, err);
	snprintf(packed, sizeof(packed), "%s.zst", path);
	return fs_open(packed, FS_READ, err);
}

/* An archive of a log is read directly. Standard input may be anything, and is kept unpacked; CSV
 * is text, whatever it looks like. */
static bool source_unpack_from(struct replay_source *s, int fd, struct error *err)
{
	struct archive_events frames = {source_on_frame, s};
	struct unpack_events events = {source_on_damage, s};

	if (fd != STDIN_FILENO && s->csv == NULL &&
		!archive_reader_open(&s->archive, fd, source_path(s), frames, err))
		return false;
	if (s->archive == NULL)
		return unpack(fd, source_path(s), events, &s->fd, err);
	s->fd = fd;
	return true;
}

/*
 * A file that is read again must be the same one: a log rotated meanwhile leaves its name to
 * another file. (A log in use packs its segments into new files, which say themselves what they
 * contain.)
 */
static bool source_recognise(struct replay_source *s, int fd, struct error *err)
{
	struct source_opened *o = &s->opened[s->file];
	struct source_opened now = {.known = true};
	struct stat status;
	const char *path = source_path(s);

	if (fstat(fd, &status) != 0)
		return error_set_errno(err, ERROR_FATAL, REASON_file, "could not look at \"%s\"",
			path);
	now.device = status.st_dev;
	now.inode = status.st_ino;
	now.bytes = S_ISREG(status.st_mode) && fd != STDIN_FILENO ? status.st_size : 0;
	s->disk_bytes = now.bytes;
	if (o->known && (o->device != now.device || o->inode != now.inode) &&
		!cstr_ends_with(path, ".seg") && !cstr_ends_with(path, ".seg.zst")) {
		error_set(err, ERROR_FATAL, REASON_file_changed,
			"\"%s\" is not the file that was read before", path);
		return error_hint(err, "run it again: what is stored already is a duplicate");
	}
	*o = now;
	return true;
}

static bool source_unpack(struct replay_source *s, struct error *err)
{
	const char *path = s->files->paths[s->file];
	bool input = strcmp(path, "-") == 0, ok;
	int fd;

	if (input && s->input_fd >= 0) {
		s->fd = s->input_fd;
		s->disk_bytes = 0;
		return true;
	}
	fd = input ? STDIN_FILENO : source_open(path, err);
	if (fd < 0)
		return false;
	ok = source_recognise(s, fd, err) && source_unpack_from(s, fd, err);
	if (!input && (!ok || s->fd != fd))
		close(fd);
	if (!ok)
		s->fd = -1;
	else if (input)
		s->input_fd = s->fd;
	return ok;
}

static void source_open_segment(struct replay_source *s)
{
	struct error why;
	bool ok = s->archive != NULL
			  ? segment_reader_init_packed(&s->reader, s->archive, source_path(s), &why)
			  : segment_reader_init(&s->reader, s->fd, source_path(s), &why);

	s->kind = SOURCE_SEGMENT;
	s->missing = 0;
	if (ok)
		return;
	source_report(s, "byte", 0, 1, why.message);
	source_close_file(s);
}

/* Starts at the beginning of the open file. True even if it has nothing to read: then s->fd is
 * -1. */
static bool source_begin_file(struct replay_source *s, struct error *err)
{
	static const uint8_t segment[] = {0x96, 0xce, 'O', 'P', 'S'};
	uint8_t start[sizeof(segment)] = {0};
	bool named;

	if (s->archive != NULL) {
		s->size = archive_reader_size(s->archive);
		source_open_segment(s);
		return true;
	}
	s->size = fs_size(s->fd, source_path(s), err);
	if (s->size < 0 || fs_pread(s->fd, start, sizeof(start), 0, source_path(s), err) < 0)
		return false;
	s->kind = SOURCE_TEXT;
	s->buffer_size = s->buffer_at = 0;
	s->buffer_offset = 0;
	s->lines = 0;
	s->not_understood = 0;
	s->understood = false;
	s->rewritten_said = s->memory.rewritten = false;
	if (s->csv != NULL) {
		s->kind = SOURCE_CSV;
		if (!source_csv_open(s, &named, err))
			return false;
		if (!named)
			source_close_file(s);
		return true;
	}
	if (memcmp(start, stream_magic, sizeof(start)) == 0)
		s->kind = SOURCE_STREAM;
	if (memcmp(start, segment, sizeof(start)) != 0)
		return true;
	source_open_segment(s);
	return true;
}

static bool source_open_file(struct replay_source *s, struct error *err)
{
	return source_unpack(s, err) && source_begin_file(s, err);
}

static void source_next_file(struct replay_source *s)
{
	s->done_bytes += s->disk_bytes;
	s->disk_bytes = 0;
	source_close_file(s);
	s->file++;
}

int64_t replay_source_bytes(const struct replay_source *s)
{
	int64_t at = s->kind == SOURCE_SEGMENT ? s->reader.offset
					       : s->buffer_offset + (int64_t)s->buffer_at;

	if (s->fd < 0 || s->size <= 0)
		return s->done_bytes;
	return s->done_bytes + (int64_t)((double)s->disk_bytes * (double)at / (double)s->size);
}

/* ---- lines ---- */

static void text_say_rewritten(struct replay_source *s)
{
	if (!s->memory.rewritten || s->rewritten_said)
		return;
	s->rewritten_said = true;
	log_warn("capture_rewritten",
		"mosquitto_sub wrote payloads of this capture again (-F '%J'), with numbers that "
		"may differ: messages may not be recognised as those received live",
		"file=%s line=%" PRIu64, LOG_VALUE(source_path(s)), s->lines);
}

static enum replay_next text_next(struct replay_source *s, struct arena *arena, struct record *out,
	struct error *err)
{
	struct arena_mark mark = arena_mark(arena);

	for (;;) {
		size_t at = s->buffer_at;
		int64_t offset = s->buffer_offset;
		struct slice line;
		struct error why;

		if (!source_line(s, &line, err))
			return REPLAY_ERROR;
		if (slice_is_absent(line))
			return REPLAY_END;
		if (line.size == 0)
			continue;
		if (lines_record(line, &s->pattern, arena, out, &why)) {
			s->understood = true;
			text_say_rewritten(s);
			return REPLAY_RECORD;
		}
		arena_rewind(arena, mark);
		if (why.kind != ERROR_POISON) {
			/* Read it again, into another arena. The buffer may have moved
			 * meanwhile. */
			s->buffer_at = at - (size_t)(s->buffer_offset - offset);
			s->lines--;
			*err = why;
			return REPLAY_ERROR;
		}
		if (!source_go_on(s, (int64_t)s->lines, why.message))
			return REPLAY_END;
	}
}

/* ---- streams of records ---- */

/* Bytes to the next place, after the first byte, that begins like a record. */
static size_t stream_next_place(const uint8_t *from, size_t size)
{
	const uint8_t *at =
		size <= 1 ? NULL : memmem(from + 1, size - 1, stream_magic, sizeof(stream_magic));

	if (at != NULL)
		return (size_t)(at - from);
	return size > sizeof(stream_magic) ? size - sizeof(stream_magic) + 1 : 1;
}

/* The record at the beginning of the buffer. Records from any segments may follow each other. */
static enum record_status stream_get(const struct replay_source *s, struct record *out,
	size_t *bytes_out)
{
	struct slice rest = slice_of(s->buffer + s->buffer_at, s->buffer_size - s->buffer_at);
	size_t magic = rest.size < sizeof(stream_magic) ? rest.size : sizeof(stream_magic);
	enum record_status status = RECORD_PARTIAL;

	*bytes_out = RECORD_PREFIX_BYTES;
	if (magic > 0 && memcmp(rest.data, stream_magic, magic) != 0)
		return RECORD_DAMAGED;
	if (rest.size >= RECORD_PREFIX_BYTES)
		status = record_get(rest, record_generation(rest), out, bytes_out);
	return status == RECORD_END || *bytes_out > SOURCE_LINE_BYTES_MAX ? RECORD_DAMAGED : status;
}

static bool stream_keep(struct record *r, struct arena *arena, struct error *err)
{
	r->topic = arena_copy(arena, r->topic);
	r->trace = arena_copy(arena, r->trace);
	r->payload = arena_copy(arena, r->payload);
	return (!slice_is_absent(r->topic) && !slice_is_absent(r->trace) &&
		       !slice_is_absent(r->payload)) ||
	       error_set(err, ERROR_FULL, REASON_arena_full, "no room for a record");
}

static enum replay_next stream_next(struct replay_source *s, struct arena *arena,
	struct record *out, struct error *err)
{
	bool more = true, lost = false;

	for (;;) {
		int64_t offset = s->buffer_offset + (int64_t)s->buffer_at;
		size_t bytes = 0;

		switch (stream_get(s, out, &bytes)) {
		case RECORD_OK:
			if (!stream_keep(out, arena, err))
				return REPLAY_ERROR;
			s->buffer_at += bytes;
			return REPLAY_RECORD;
		case RECORD_PARTIAL:
			if (more) {
				if (!source_read(s, &more, err))
					return REPLAY_ERROR;
				continue;
			}
			if (s->buffer_at == s->buffer_size)
				return REPLAY_END;
			break; /* cut off, or its size is damaged */
		case RECORD_DAMAGED:
		case RECORD_END:
			break;
		}
		if (!lost)
			source_report(s, "byte", offset, 1, "damaged records");
		lost = true;
		s->buffer_at +=
			stream_next_place(s->buffer + s->buffer_at, s->buffer_size - s->buffer_at);
		more = true;
	}
}

/* ---- segments ---- */

static enum replay_next segment_next(struct replay_source *s, struct arena *arena,
	struct record *out, struct error *err)
{
	int64_t before = s->reader.offset;
	enum segment_next next = segment_reader_next(&s->reader, UINT64_MAX, arena, out, err);

	if (next == SEGMENT_ERROR)
		return REPLAY_ERROR;
	if (s->reader.missing > s->missing)
		source_report(s, "byte", before, s->reader.missing - s->missing, "damaged records");
	s->missing = s->reader.missing;
	return next == SEGMENT_RECORD ? REPLAY_RECORD : REPLAY_END;
}

/* ---- positions ---- */

static bool source_checkpoint(struct replay_source *s, struct error *err)
{
	size_t room = s->checkpoints_room == 0 ? 64 : s->checkpoints_room * 2;
	struct source_checkpoint *grown;
	uint8_t content[SHA256_BYTES];

	if (s->seq % SOURCE_CHECKPOINT != 0)
		return true;
	sha256_get(s->content, content);
	source_content_begin(s, content);
	if (s->checkpoints_count > 0 && s->checkpoints[s->checkpoints_count - 1].seq >= s->seq)
		return true;
	/* If frames decide their own direction, all frames before them must be read again. */
	if (s->pattern.count > 0 && !s->pattern.has_direction)
		return true;
	if (s->checkpoints_count == s->checkpoints_room) {
		grown = realloc(s->checkpoints, room * sizeof(*grown));
		if (grown == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		s->checkpoints = grown;
		s->checkpoints_room = room;
	}
	s->checkpoints[s->checkpoints_count] = (struct source_checkpoint){.seq = s->seq,
		.time_us = s->csv != NULL ? s->csv->time_us : s->memory.time_us,
		.file = s->file,
		.offset = s->kind == SOURCE_SEGMENT ? s->reader.offset
						    : s->buffer_offset + (int64_t)s->buffer_at,
		.inner = s->kind == SOURCE_SEGMENT ? s->reader.last_seq : s->lines,
		.sum = s->sum};
	memcpy(s->checkpoints[s->checkpoints_count++].content, content, SHA256_BYTES);
	return true;
}

static bool source_go_to(struct replay_source *s, const struct source_checkpoint *c,
	struct error *err)
{
	/* Do not reopen an open file: its name may belong to another file by now. */
	bool open = c->file == s->file && s->fd >= 0;

	source_content_begin(s, c->content);
	s->sum = c->sum;
	s->seq = c->seq;
	memset(&s->memory.calls, 0, sizeof(s->memory.calls));
	s->memory.time_us = c->time_us;
	if (s->csv != NULL)
		s->csv->time_us = c->seq > 0 ? c->time_us : 0;
	if (!open) {
		source_close_file(s);
		while (s->file > c->file)
			s->done_bytes -= s->opened[--s->file].bytes;
		s->disk_bytes = 0;
	}
	if (!open && c->offset == 0)
		return true; /* opened later */
	segment_reader_drop_window(&s->reader);
	if (!(open ? source_begin_file(s, err) : source_open_file(s, err)))
		return false;
	if (s->fd < 0 || c->offset == 0)
		return true;
	if (s->kind == SOURCE_SEGMENT) {
		s->reader.offset = c->offset;
		s->reader.last_seq = c->inner;
	} else {
		s->buffer_offset = c->offset;
		s->buffer_size = s->buffer_at = 0;
		s->lines = c->inner;
		s->understood = true; /* a message has been read from it */
	}
	return true;
}

bool replay_source_seek(struct replay_source *s, uint64_t seq, struct error *err)
{
	struct source_checkpoint nearest = {.seq = 0, .time_us = INT64_MIN};

	s->skip_until = seq;
	if (seq >= s->seq)
		return true;
	for (size_t i = 0; i < s->checkpoints_count && s->checkpoints[i].seq <= seq; i++)
		nearest = s->checkpoints[i];
	return source_go_to(s, &nearest, err);
}

void replay_source_drop_window(struct replay_source *s)
{
	segment_reader_drop_window(&s->reader);
}

enum replay_next replay_source_next(struct replay_source *s, struct arena *arena,
	struct record *out, struct error *err)
{
	struct arena_mark mark = arena_mark(arena);

	for (;;) {
		enum replay_next next;

		if (s->file == s->files->count)
			return REPLAY_END;
		if (s->fd < 0 && !source_open_file(s, err))
			return REPLAY_ERROR;
		if (s->fd < 0) {
			source_next_file(s);
			continue;
		}
		next = s->kind == SOURCE_SEGMENT  ? segment_next(s, arena, out, err)
		       : s->kind == SOURCE_STREAM ? stream_next(s, arena, out, err)
		       : s->kind == SOURCE_CSV    ? source_csv_next(s, arena, out, err)
						  : text_next(s, arena, out, err);
		if (next == REPLAY_ERROR)
			return next;
		if (next == REPLAY_END) {
			source_next_file(s);
			continue;
		}
		out->seq = ++s->seq;
		source_content_add(s, out);
		if (!source_checkpoint(s, err))
			return REPLAY_ERROR;
		if (s->seq > s->skip_until)
			return REPLAY_RECORD;
		if (arena->used - mark.used > SOURCE_SKIP_BYTES) {
			segment_reader_drop_window(&s->reader);
			arena_rewind(arena, mark);
		}
	}
}
