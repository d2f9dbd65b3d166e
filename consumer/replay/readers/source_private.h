#ifndef REPLAY_READERS_SOURCE_PRIVATE_H
#define REPLAY_READERS_SOURCE_PRIVATE_H

#include "replay/readers/source.h"
#include "spool/segment.h"

#include <sys/types.h>

/* Shared by source*.c only. */

enum { SOURCE_LINE_BYTES_MAX = 32 << 20 /* a message of 16 MiB in hexadecimal */ };

enum source_kind { SOURCE_SEGMENT, SOURCE_STREAM, SOURCE_TEXT, SOURCE_CSV };

/* Where to continue reading after message seq. */
struct source_checkpoint {
	uint64_t seq;
	size_t file;
	int64_t offset;
	uint64_t inner; /* lines read, or the record's number in the segment */
	uint8_t content[SHA256_BYTES];
	uint64_t sum;
	int64_t time_us; /* in lines_memory */
};

/* A file as it was when it was first opened. */
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
	int fd;       /* of the unpacked file; -1 = none */
	int input_fd; /* standard input, unpacked, kept open; -1 = not read yet */
	enum source_kind kind;
	int64_t size;                 /* unpacked */
	int64_t disk_bytes;           /* on disk */
	struct source_opened *opened; /* one per file */
	int64_t done_bytes;           /* of earlier files */

	struct segment_reader reader;
	struct archive_reader *archive; /* the reader's source; NULL = fd */
	uint64_t missing;               /* how much of reader.missing is reported */

	uint8_t *buffer; /* for text or a stream */
	size_t buffer_room, buffer_size, buffer_at;
	int64_t buffer_offset;
	uint64_t lines;
	uint64_t not_understood; /* lines or rows of this file before the first one understood */
	bool understood;         /* a line or row was */
	bool rewritten_said;     /* memory.rewritten is logged */

	/* Digest of the messages up to seq: restarts at each checkpoint, with the digest so far. */
	struct sha256 *content;
	uint64_t sum; /* sum of the checksums of all messages up to seq */

	uint64_t seq;        /* of the last message read */
	uint64_t skip_until; /* skip messages up to here */

	/* What was reported is not reported again when it is read again: in the packed file, and in
	 * its content. */
	struct source_reported reported_packed, reported;

	struct source_checkpoint *checkpoints;
	size_t checkpoints_count, checkpoints_room;
};

/* source_content.c: the digest of the messages; before: the digest at a checkpoint, or zeros. */
void source_content_begin(struct replay_source *s, const uint8_t before[static SHA256_BYTES]);
/* r->link.checksum and .log are set; seq is the record's. */
void source_content_add(struct replay_source *s, struct record *r);

/* source_text.c: shared by all kinds of readers. The name of the file, for reports. */
const char *source_path(const struct replay_source *s);

/* Reports what cannot be read, where and why; only once, even if it is read again. */
void source_report(struct replay_source *s, const char *unit, int64_t position, uint64_t count,
	const char *why);

/* The same for the packed file; context is the source (struct unpack_events). */
void source_on_damage(void *context, int64_t offset, const char *why);

/* A line or row of text was not understood. False if none of the file's first ones was: then the
 * file is something else, and the rest is left out. */
bool source_go_on(struct replay_source *s, int64_t line, const char *why);

/* Reads more into the buffer, after its unread content; *more_out: there was more. */
MUST_CHECK bool source_read(struct replay_source *s, bool *more_out, struct error *err);

/* A line without its end; absent at the end of the file. Valid until the next call. */
MUST_CHECK bool source_line(struct replay_source *s, struct slice *out, struct error *err);

/* source_csv.c: reads the names of the columns; *ok_out: they match the map. */
MUST_CHECK bool source_csv_open(struct replay_source *s, bool *ok_out, struct error *err);
enum replay_next source_csv_next(struct replay_source *s, struct arena *arena, struct record *out,
	struct error *err);

#endif
