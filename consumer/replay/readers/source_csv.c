#include "replay/readers/source_private.h"

/* The row at the beginning of the unread bytes; PARTIAL at the end of the file. */
static bool csv_peek(struct replay_source *s, bool header, enum csv_status *status_out,
	const char **why_out, struct error *err)
{
	bool more = true;

	for (;;) {
		struct slice rest =
			slice_of(s->buffer + s->buffer_at, s->buffer_size - s->buffer_at);

		*status_out = CSV_PARTIAL;
		if (rest.size > 0)
			*status_out = header ? csv_header(s->csv, rest, !more, why_out)
					     : csv_read(s->csv, rest, !more, why_out);
		if (*status_out != CSV_PARTIAL || !more)
			return true;
		if (!source_read(s, &more, err))
			return false;
	}
}

static void csv_use(struct replay_source *s)
{
	s->buffer_at += s->csv->row.bytes;
	s->lines += s->csv->row.lines;
}

bool source_csv_open(struct replay_source *s, bool *ok_out, struct error *err)
{
	enum csv_status status;
	const char *why = "";

	if (!csv_peek(s, true, &status, &why, err))
		return false;
	if (status == CSV_BAD)
		source_report(s, "line", 1, 1, why);
	*ok_out = status == CSV_OK;
	if (*ok_out)
		csv_use(s);
	return true;
}

/* Skips a bad row or, if its end is unknown, its first line: one quote too many does not cost the
 * rest. */
static bool csv_pass(struct replay_source *s, struct error *err)
{
	struct slice line;

	if (s->csv->row.bytes == 0)
		return source_line(s, &line, err);
	csv_use(s);
	return true;
}

/*
 * Collects the rows of one meter value in the arena, up to a row of another. *begun_out: there were
 * some; otherwise nothing more of this file is read. False with err: FULL if the arena is.
 */
static bool csv_collect(struct replay_source *s, struct arena *arena, bool *begun_out,
	struct error *err)
{
	const char *why = "";

	for (*begun_out = false;;) {
		enum csv_status status;

		if (!csv_peek(s, false, &status, &why, err))
			return false;
		if (status == CSV_PARTIAL)
			return true;
		if (status == CSV_OK && *begun_out) {
			if (!csv_goes_with(s->csv))
				return true;
			status = csv_add(s->csv, &why) ? CSV_OK : CSV_BAD;
		} else if (status == CSV_OK) {
			if (!csv_begin(s->csv, arena))
				return error_set(err, ERROR_FULL, REASON_arena_full,
					"no room for a row");
			*begun_out = s->understood = true;
		}
		if (status != CSV_BAD) {
			csv_use(s);
			continue;
		}
		if (!source_go_on(s, (int64_t)s->lines + 1, why))
			return true;
		if (!csv_pass(s, err))
			return false;
	}
}

enum replay_next source_csv_next(struct replay_source *s, struct arena *arena, struct record *out,
	struct error *err)
{
	struct arena_mark mark = arena_mark(arena);
	int64_t offset = s->buffer_offset + (int64_t)s->buffer_at;
	uint64_t lines = s->lines, not_understood = s->not_understood;
	bool begun, understood = s->understood;

	if (csv_collect(s, arena, &begun, err)) {
		if (!begun)
			return REPLAY_END;
		if (csv_end(s->csv, out))
			return REPLAY_RECORD;
		error_set(err, ERROR_FULL, REASON_arena_full, "no room for a meter value");
	}
	/* Read them again, into another arena, and from the file: the buffer has dropped them. */
	arena_rewind(arena, mark);
	s->buffer_offset = offset;
	s->buffer_size = s->buffer_at = 0;
	s->lines = lines;
	s->not_understood = not_understood;
	s->understood = understood;
	return REPLAY_ERROR;
}
