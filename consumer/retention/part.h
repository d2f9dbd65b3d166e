#ifndef RETENTION_PART_H
#define RETENTION_PART_H

#include "base/error.h"
#include "base/sha256.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A partition file: the rows of one partition, <partition>.copy.zst. It is an ordinary zstd file:
 * `zstd -d` turns it into the output of COPY ... (FORMAT binary), which psql can read without this
 * program. Everything else is in skippable frames ("notes"), as lines of text that `strings` shows:
 *
 *	note       "ocpp-persister partition 1", then the header: a word, a tab and a value per line
 *	note ...   "ocpp-persister rows 1", then rows of another table that these rows refer to: its
 *	           name and columns, an empty line, and what COPY ... (FORMAT text) gave
 *	frame ...  the rows, PART_FRAME_BYTES each at most unpacked, with size and checksum; each
 *	           can be read without the others
 *	note       "ocpp-persister end 1", then the trailer: rows, rows of notes, bytes, SHA-256
 *
 * A note is: 0x184d2a53 and its size (both little-endian, as in zstd), the text, and as its last
 * line "xxh3 <16 hexadecimal digits>\n", the digest of the text before that line. A version other
 * than 1 is refused.
 *
 * Blocking; one thread; memory: a frame and a note, packed and unpacked, plus what zstd needs.
 */
enum {
	PART_FRAME_BYTES = 1 << 20,
	PART_NOTE_BYTES_MAX = 1 << 20,
	PART_COLUMNS_MAX = 256,
	PART_NAME_BYTES = 64, /* PostgreSQL's limit for names, terminated */
	PART_TYPE_BYTES = 64,
	PART_TIME_BYTES = 40,
};

/* Rows with this column are meaningless without the rows it refers to. */
#define PART_OTHER_COLUMN "layout_id"
#define PART_OTHER_TABLE "meter_value_layouts"

struct part_column {
	char name[PART_NAME_BYTES];
	char type[PART_TYPE_BYTES]; /* in the notation of format_type() */
};

struct part_header {
	char table[PART_NAME_BYTES];
	char name[PART_NAME_BYTES]; /* the partition's name */
	char from_time[PART_TIME_BYTES],
		to_time[PART_TIME_BYTES]; /* the time it covers, half-open */
	int64_t schema_version;
	struct part_column columns[PART_COLUMNS_MAX]; /* columns of the rows, in order */
	size_t columns_count;
};

struct part_trailer {
	uint64_t rows;
	uint64_t other_rows; /* in notes */
	int64_t bytes;       /* of the COPY data, unpacked */
	uint8_t sha256[SHA256_BYTES];
};

/* ---- writing ---- */

struct part_writer;

/* Into an empty file, from its beginning; fd and path are borrowed. */
MUST_CHECK bool part_writer_open(struct part_writer **out, int fd, const char *path,
	const struct part_header *header, struct error *err);
void part_writer_close(struct part_writer **writer);

/* Rows of another table that the rows refer to; they come before the rows: first the table, then
 * its rows line by line, as COPY returned them. */
void part_writer_begin_other(struct part_writer *w, const char *table, const char *columns);
MUST_CHECK bool part_writer_add_other(struct part_writer *w, struct slice line, struct error *err);
MUST_CHECK bool part_writer_end_other(struct part_writer *w, struct error *err);

/* COPY data, in pieces of any size. */
MUST_CHECK bool part_writer_add(struct part_writer *w, struct slice bytes, struct error *err);

/* The end. Does not sync the file. */
MUST_CHECK bool part_writer_finish(struct part_writer *w, uint64_t rows, struct part_trailer *out,
	struct error *err);

/* ---- reading ---- */

/* Whether a file begins like a partition file; it may be damaged further on. */
enum { PART_MAGIC_BYTES = 4 + 4 + 24 };
bool part_is(const uint8_t start[static PART_MAGIC_BYTES]);

struct part_reader;

/* Checks everything while reading. False with err: DAMAGED with the place, FOREIGN for an unknown
 * version, or the error of a file operation. fd and path are borrowed. */
MUST_CHECK bool part_reader_open(struct part_reader **out, int fd, const char *path,
	struct error *err);
void part_reader_close(struct part_reader **reader);

const struct part_header *part_reader_header(const struct part_reader *r);

enum part_next {
	PART_OTHER,  /* rows of another table: table_out, columns_out and lines */
	PART_ROWS,   /* COPY data */
	PART_END,    /* complete and correct */
	PART_FAILED, /* err says why */
};

struct part_piece {
	struct slice bytes; /* lines, or COPY data */
	const char *table;  /* for PART_OTHER */
	const char *columns;
};

/* The next piece, valid until the next call. */
MUST_CHECK enum part_next part_reader_next(struct part_reader *r, struct part_piece *out,
	struct error *err);

/* After PART_END. */
const struct part_trailer *part_reader_trailer(const struct part_reader *r);

/* Reads a whole file; false with err as above. header_out may be NULL. */
MUST_CHECK bool part_check(int fd, const char *path, struct part_header *header_out,
	struct part_trailer *out, struct error *err);

#endif
