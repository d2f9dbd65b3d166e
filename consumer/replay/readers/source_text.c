#include "base/check.h"
#include "base/fs.h"
#include "replay/readers/source_private.h"

#include <stdlib.h>

const char *source_path(const struct replay_source *s)
{
	return strcmp(s->files->paths[s->file], "-") == 0 ? "standard input"
							  : s->files->paths[s->file];
}

static bool source_is_reported(const struct source_reported *last, size_t file, int64_t position)
{
	return file < last->file || (file == last->file && position <= last->position);
}

void source_report(struct replay_source *s, const char *unit, int64_t position, uint64_t count,
	const char *why)
{
	if (source_is_reported(&s->reported, s->file, position))
		return;
	s->reported = (struct source_reported){s->file, position};
	s->events.on_unreadable(s->events.context, source_path(s), unit, position, count, why);
}

/* If none of so many lines was understood, the rest is left out. A log of frames may begin with
 * much else; the rows of a table are all alike. */
enum { LINES_PATIENT = 100000, ROWS_PATIENT = 1000 };

bool source_go_on(struct replay_source *s, int64_t line, const char *why)
{
	uint64_t patient = s->kind == SOURCE_CSV ? ROWS_PATIENT : LINES_PATIENT;

	source_report(s, "line", line, 1, why);
	if (s->understood || ++s->not_understood < patient)
		return true;
	source_report(s, "line", line + 1, 1,
		"nothing in the file so far was understood; the rest of it is left out");
	return false;
}

void source_on_damage(void *context, int64_t offset, const char *why)
{
	struct replay_source *s = context;

	if (source_is_reported(&s->reported_packed, s->file, offset))
		return;
	s->reported_packed = (struct source_reported){s->file, offset};
	s->events.on_unreadable(s->events.context, source_path(s), "byte", offset, 1, why);
}

bool source_read(struct replay_source *s, bool *more_out, struct error *err)
{
	int64_t got;

	memmove(s->buffer, s->buffer + s->buffer_at, s->buffer_size - s->buffer_at);
	s->buffer_offset += (int64_t)s->buffer_at;
	s->buffer_size -= s->buffer_at;
	s->buffer_at = 0;
	if (s->buffer_size == s->buffer_room && s->buffer_room < SOURCE_LINE_BYTES_MAX) {
		uint8_t *grown;

		CHECK(s->buffer_room > 0);
		grown = realloc(s->buffer, s->buffer_room * 2);
		if (grown == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		s->buffer = grown;
		s->buffer_room *= 2;
	}
	got = fs_pread(s->fd, s->buffer + s->buffer_size, s->buffer_room - s->buffer_size,
		s->buffer_offset + (int64_t)s->buffer_size, source_path(s), err);
	if (got < 0)
		return false;
	s->buffer_size += (size_t)got;
	*more_out = got > 0;
	return true;
}

bool source_line(struct replay_source *s, struct slice *out, struct error *err)
{
	size_t searched = 0;
	bool more = true, cut = false;

	for (;;) {
		uint8_t *from = s->buffer + s->buffer_at;
		size_t left = s->buffer_size - s->buffer_at;
		uint8_t *end =
			left > searched ? memchr(from + searched, '\n', left - searched) : NULL;

		if (end != NULL || (!more && left > 0)) {
			size_t size = end != NULL ? (size_t)(end - from) : left;

			s->lines++;
			s->buffer_at += size + (end != NULL);
			if (size > 0 && from[size - 1] == '\r')
				size--;
			*out = slice_of(from, cut ? 0 : size);
			return true;
		}
		*out = (struct slice){NULL, 0};
		if (!more)
			return true;
		searched = left;
		if (left >= SOURCE_LINE_BYTES_MAX) {
			if (!cut)
				source_report(s, "line", (int64_t)s->lines + 1, 1,
					"it is longer than 32 MiB");
			cut = true;
			searched = 0;
			s->buffer_at = s->buffer_size;
		}
		if (!source_read(s, &more, err))
			return false;
	}
}
