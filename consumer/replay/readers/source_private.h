#ifndef REPLAY_READERS_SOURCE_PRIVATE_H
#define REPLAY_READERS_SOURCE_PRIVATE_H

#include "replay/readers/source.h"
#include "spool/segment.h"

#include <sys/types.h>

/* Shared by source*.c only. */

enum { SOURCE_LINE_BYTES_MAX = 32 << 20 /* a message of 16 MiB in hexadecimal */ };

enum source_kind { SOURCE_SEGMENT, SOURCE_STREAM, SOURCE_TEXT, SOURCE_CSV };

/* Where to read for the message after seq. */
struct source_checkpoint {
	uint64_t seq;
	size_t file;
	int64_t offset;
	uint64_t inner; /* lines read, or the number within the segment */
	uint8_t content[SHA256_BYTES];
	uint64_t sum;
	int64_t time_us; /* of lines_memory */
};

/* A file as it was found when it was opened first. */
struct source_opened {
	bool known;
	dev_t device;
	ino_t inode;
	int64_t bytes; /* on disk */
};

/* The last place in the files that was reported. */
struct source_reported {
	size_t file;
	int64_t position;
};

struct replay_source {
	const struct replay_files *files;
	struct lines_pattern pattern; /* with a memory of ours */
	struct lines_memory memory;
	struct csv_reader *csv; /* NULL = the files are not CSV */
	struct replay_source_events events;

	size_t file;
	int fd;       /* of the unpacked file; -1 = none is open */
	int input_fd; /* standard input, unpacked: it cannot be opened twice; -1 = not read yet */
	enum source_kind kind;
	int64_t size;                 /* unpacked */
	int64_t disk_bytes;           /* as it is on disk */
	struct source_opened *opened; /* one for each file */
	int64_t done_bytes;           /* of the files before */

	struct segment_reader reader;
	struct archive_reader *archive; /* what it reads from; NULL = from fd */
	uint64_t missing;               /* of the reader, reported */

	uint8_t *buffer; /* of text, or of a stream */
	size_t buffer_room, buffer_size, buffer_at;
	int64_t buffer_offset;
	uint64_t lines;
	uint64_t not_understood; /* lines or rows of this file, before the first that is */
	bool understood;         /* one was */

	/* Of the messages up to seq: restarts at each checkpoint, with the digest so far. */
	struct sha256 *content;
	uint64_t sum; /* of the checksums of all messages up to seq */

	uint64_t seq;        /* of the message read last */
	uint64_t skip_until; /* messages up to here are passed over */

	/* What was reported once is not reported again when it is read again: in the file as it is
	 * packed, and in what it holds. */
	struct source_reported reported_packed, reported;

	struct source_checkpoint *checkpoints;
	size_t checkpoints_count, checkpoints_room;
};

/* source_content.c: the digest of the messages; before: of those up to a checkpoint, or zeros. */
void source_content_begin(struct replay_source *s, const uint8_t before[static SHA256_BYTES]);
/* r->link.checksum and .log are set; seq is that of the record. */
void source_content_add(struct replay_source *s, struct record *r);

/* source_text.c: what the readers of all kinds share. The name of the file, for reports. */
const char *source_path(const struct replay_source *s);

/* Something cannot be read, where and why; said once, also if it is read again. */
void source_report(struct replay_source *s, const char *unit, int64_t position, uint64_t count,
	const char *why);

/* The same of the file as it is packed; context is the source (struct unpack_events). */
void source_on_damage(void *context, int64_t offset, const char *why);

/* A line or row of text was not understood. False if none of this file's first ones was: whoever
 * wrote the file, it is not what it is read as, and the rest is left out. */
bool source_go_on(struct replay_source *s, int64_t line, const char *why);

/* Reads more into the buffer, after what it holds and without what was used; *more_out: there was
 * some. */
MUST_CHECK bool source_read(struct replay_source *s, bool *more_out, struct error *err);

/* A line without its end; absent at the end of the file. It lives until the next call. */
MUST_CHECK bool source_line(struct replay_source *s, struct slice *out, struct error *err);

/* source_csv.c: the names of the columns; *ok_out: they are what was asked for. */
MUST_CHECK bool source_csv_open(struct replay_source *s, bool *ok_out, struct error *err);
enum replay_next source_csv_next(struct replay_source *s, struct arena *arena, struct record *out,
	struct error *err);

#endif
