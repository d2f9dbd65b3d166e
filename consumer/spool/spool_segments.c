#include "spool/archive.h"
#include "spool/spool_private.h"

#include <stdio.h>
#include <stdlib.h>

/* The list of the log's files, and their paths: below everything that uses them. */

void spool_path(const struct spool *s, const char *name, char out[static SPOOL_PATH_BYTES])
{
	snprintf(out, SPOOL_PATH_BYTES, "%s/%s", s->dir, name);
}

void spool_segment_path(const struct spool *s, uint64_t first_seq,
	char out[static SPOOL_PATH_BYTES])
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(first_seq, name);
	spool_path(s, name, out);
}

void spool_file_path(const struct spool *s, const struct spool_segment *segment,
	char out[static SPOOL_PATH_BYTES])
{
	char name[ARCHIVE_NAME_BYTES];

	if (!segment->archived) {
		spool_segment_path(s, segment->first_seq, out);
		return;
	}
	archive_name(segment->first_seq, name);
	spool_path(s, name, out);
}

/* The table grows with the log, but is small in comparison: an entry per file. */
bool spool_segments_reserve(struct spool *s, struct error *err)
{
	size_t gone = s->segments_base == NULL ? 0 : (size_t)(s->segments - s->segments_base);
	size_t room = s->segments_room == 0 ? 64 : s->segments_room * 2;
	struct spool_segment *grown;

	if (gone + s->segments_count < s->segments_room)
		return true;
	if (gone > s->segments_count) {
		memcpy(s->segments_base, s->segments, s->segments_count * sizeof(*s->segments));
		s->segments = s->segments_base;
		return true;
	}
	grown = realloc(s->segments_base, room * sizeof(*grown));
	if (grown == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory,
			"out of memory opening a segment");
	s->segments_base = grown;
	s->segments = grown + gone;
	s->segments_room = room;
	return true;
}

void spool_segments_drop_oldest(struct spool *s)
{
	s->segments++;
	s->segments_count--;
}

void spool_fail(struct spool *s, const struct error *err)
{
	if (!s->failed) {
		s->failed = true;
		s->failure = *err;
	}
	pthread_cond_broadcast(&s->changed);
}
