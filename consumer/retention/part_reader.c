#include "base/fs.h"
#include "retention/copy_walk.h"
#include "retention/part_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>

enum { READER_PACKED_BYTES = ZSTD_COMPRESSBOUND(PART_FRAME_BYTES) };

struct part_reader {
	int fd;
	const char *path;
	int64_t size;
	int64_t offset; /* of the last piece */
	int64_t next;   /* of the one after it */
	struct part_header header;
	struct part_trailer trailer;
	struct part_trailer found; /* what was read, to compare with the trailer */
	struct copy_walk walk;
	struct sha256 *sha256;
	ZSTD_DCtx *zstd;
	uint8_t *in;       /* READER_PACKED_BYTES: a frame, or a note with its head */
	uint8_t *unpacked; /* PART_FRAME_BYTES */
	char table[PART_NAME_BYTES];
	char *columns; /* of rows of another table; points into in */
};

static bool reader_damaged(const struct part_reader *r, struct error *err, const char *why)
{
	error_set(err, ERROR_DAMAGED, REASON_file, "\"%s\" is damaged at byte %" PRId64 ": %s",
		r->path, r->offset, why);
	if (err != NULL)
		err->offset = r->offset;
	return false;
}

/* ---- notes ---- */

/* Reads up to size bytes from the next place into r->in. */
static bool reader_load(struct part_reader *r, size_t size, size_t *got_out, struct error *err)
{
	int64_t got = fs_pread(r->fd, r->in, size, r->next, r->path, err);

	if (got < 0)
		return false;
	r->offset = r->next;
	*got_out = (size_t)got;
	return true;
}

/* A note whose head is in r->in, along with the bytes available. Returns its text without the
 * digest. */
static bool reader_note(struct part_reader *r, size_t got, struct slice *text_out,
	struct error *err)
{
	size_t size = part_get_le32(r->in + 4);
	uint8_t *text = r->in + PART_SKIPPABLE_BYTES;
	char sum[PART_SUM_BYTES];

	if (size < PART_SUM_BYTES || size > PART_NOTE_BYTES_MAX)
		return reader_damaged(r, err, "the size of a note is impossible");
	if (PART_SKIPPABLE_BYTES + size > got)
		return reader_damaged(r, err, "it is cut off");
	*text_out = slice_of(text, size - PART_SUM_BYTES);
	part_sum(*text_out, sum);
	if (memcmp(text + text_out->size, sum, sizeof(sum)) != 0)
		return reader_damaged(r, err, "the checksum of a header or footer does not match");
	r->next += PART_SKIPPABLE_BYTES + (int64_t)size;
	return true;
}

/* Removes the first line; false if it is a different one. */
static bool note_begins(struct slice *text, const char *line)
{
	size_t size = strlen(line);

	if (text->size <= size || memcmp(text->data, line, size) != 0 || text->data[size] != '\n')
		return false;
	*text = slice_skip(*text, size + 1);
	return true;
}

static bool reader_foreign(const struct part_reader *r, struct error *err)
{
	error_set(err, ERROR_FOREIGN, REASON_file,
		"\"%s\" has an unknown version of the format of partition files", r->path);
	return error_hint(err, "a newer ocpp-persister wrote it: use that one to read it");
}

static bool reader_header(struct part_reader *r, struct error *err)
{
	struct slice text;
	const char *why = "its first line is wrong";
	size_t got;

	if (!reader_load(r, READER_PACKED_BYTES, &got, err))
		return false;
	if (got < PART_MAGIC_BYTES || !part_is(r->in)) {
		error_set(err, ERROR_FOREIGN, REASON_file, "\"%s\" is not a partition file",
			r->path);
		return error_hint(err, "`partitions archive` writes them");
	}
	/* The version first: anything else may have changed with it. */
	text = slice_of(r->in + PART_SKIPPABLE_BYTES, got - PART_SKIPPABLE_BYTES);
	if (!note_begins(&text, PART_HEADER_LINE))
		return reader_foreign(r, err);
	if (!reader_note(r, got, &text, err))
		return false;
	if (!note_begins(&text, PART_HEADER_LINE) || !part_header_parse(&r->header, text, &why))
		return reader_damaged(r, err, why);
	return true;
}

static void reader_count_lines(struct part_reader *r, struct slice lines)
{
	for (size_t i = 0; i < lines.size; i++)
		r->found.other_rows += lines.data[i] == '\n';
}

/* "table\tNAME\ncolumns\tNAMES\n\n" and the lines. */
static bool note_other(struct part_reader *r, struct slice text, struct part_piece *out)
{
	char *at = (char *)r->in + (text.data - r->in), *end = at + text.size;
	char *table = at + strlen("table\t"), *columns = memchr(at, '\n', text.size), *lines;

	if (columns == NULL || memcmp(at, "table\t", strlen("table\t")) != 0 ||
		columns - table <= 0 || columns - table >= PART_NAME_BYTES)
		return false;
	*columns++ = '\0';
	memcpy(r->table, table, (size_t)(columns - table));
	lines = columns >= end ? NULL : memchr(columns, '\n', (size_t)(end - columns));
	if (lines == NULL || lines + 1 >= end || lines[1] != '\n' ||
		strncmp(columns, "columns\t", strlen("columns\t")) != 0)
		return false;
	*lines = '\0';
	out->table = r->table;
	out->columns = columns + strlen("columns\t");
	out->bytes = slice_of(lines + 2, (size_t)(end - lines - 2));
	reader_count_lines(r, out->bytes);
	return true;
}

/* ---- from open to close ---- */

static bool reader_make(struct part_reader *r, struct error *err)
{
	r->zstd = ZSTD_createDCtx();
	r->sha256 = sha256_new();
	r->in = malloc(READER_PACKED_BYTES);
	r->unpacked = malloc(PART_FRAME_BYTES);
	if (r->zstd == NULL || r->sha256 == NULL || r->in == NULL || r->unpacked == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	r->size = fs_size(r->fd, r->path, err);
	return r->size >= 0;
}

/* A note fits into the buffer for a frame. */
_Static_assert(PART_SKIPPABLE_BYTES + PART_NOTE_BYTES_MAX <= READER_PACKED_BYTES,
	"a note does not fit");

bool part_reader_open(struct part_reader **out, int fd, const char *path, struct error *err)
{
	struct part_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	r->fd = fd;
	r->path = path;
	if (!reader_make(r, err) || !reader_header(r, err)) {
		part_reader_close(&r);
		return false;
	}
	copy_walk_init(&r->walk, r->header.columns_count);
	*out = r;
	return true;
}

void part_reader_close(struct part_reader **reader)
{
	struct part_reader *r = *reader;

	*reader = NULL;
	if (r == NULL)
		return;
	ZSTD_freeDCtx(r->zstd);
	sha256_free(&r->sha256);
	free(r->in);
	free(r->unpacked);
	free(r);
}

const struct part_header *part_reader_header(const struct part_reader *r)
{
	return &r->header;
}

const struct part_trailer *part_reader_trailer(const struct part_reader *r)
{
	return &r->trailer;
}

/* ---- pieces ---- */

static enum part_next reader_rows(struct part_reader *r, size_t got, struct part_piece *out,
	struct error *err)
{
	size_t packed = ZSTD_findFrameCompressedSize(r->in, got), size;
	const char *why = "";

	if (ZSTD_isError(packed)) {
		reader_damaged(r, err,
			got < READER_PACKED_BYTES ? "it is cut off, or damaged"
						  : ZSTD_getErrorName(packed));
		return PART_FAILED;
	}
	size = ZSTD_decompressDCtx(r->zstd, r->unpacked, PART_FRAME_BYTES, r->in, packed);
	if (ZSTD_isError(size)) {
		reader_damaged(r, err, ZSTD_getErrorName(size));
		return PART_FAILED;
	}
	r->next += (int64_t)packed;
	out->bytes = slice_of(r->unpacked, size);
	sha256_add(r->sha256, r->unpacked, size);
	r->found.bytes += (int64_t)size;
	for (size_t at = 0; at < size;) {
		size_t passed = copy_walk_step(&r->walk, slice_skip(out->bytes, at), &why);

		if (passed == 0) {
			reader_damaged(r, err, why);
			return PART_FAILED;
		}
		at += passed;
	}
	return PART_ROWS;
}

static bool reader_is_whole(struct part_reader *r)
{
	const struct part_trailer *said = &r->trailer;

	r->found.rows = r->walk.rows;
	sha256_get(r->sha256, r->found.sha256);
	return r->walk.state == COPY_WALK_END && said->rows == r->found.rows &&
	       said->other_rows == r->found.other_rows && said->bytes == r->found.bytes &&
	       memcmp(said->sha256, r->found.sha256, SHA256_BYTES) == 0;
}

static enum part_next reader_end(struct part_reader *r, struct slice text, struct error *err)
{
	bool ok = part_trailer_parse(&r->trailer, text) ||
		  reader_damaged(r, err, "its trailer cannot be read");

	if (ok && !reader_is_whole(r))
		ok = reader_damaged(r, err, "the rows are not those that the trailer describes");
	if (ok && r->next != r->size) {
		r->offset = r->next;
		ok = reader_damaged(r, err, "there is more after its end");
	}
	return ok ? PART_END : PART_FAILED;
}

enum part_next part_reader_next(struct part_reader *r, struct part_piece *out, struct error *err)
{
	uint32_t magic;
	struct slice text;
	size_t got;

	*out = (struct part_piece){.table = NULL};
	if (!reader_load(r, READER_PACKED_BYTES, &got, err))
		return PART_FAILED;
	magic = got < PART_SKIPPABLE_BYTES ? 0 : part_get_le32(r->in);
	if (magic == PART_ZSTD_MAGIC)
		return reader_rows(r, got, out, err);
	if (magic != PART_NOTE_MAGIC) {
		reader_damaged(r, err,
			got < PART_SKIPPABLE_BYTES ? "it is cut off" : "no frame begins here");
		return PART_FAILED;
	}
	if (!reader_note(r, got, &text, err))
		return PART_FAILED;
	if (note_begins(&text, PART_END_LINE))
		return reader_end(r, text, err);
	if (r->found.bytes == 0 && note_begins(&text, PART_OTHER_LINE) && note_other(r, text, out))
		return PART_OTHER;
	reader_damaged(r, err, "a note does not belong here");
	return PART_FAILED;
}

bool part_check(int fd, const char *path, struct part_header *header_out, struct part_trailer *out,
	struct error *err)
{
	struct part_reader *r = NULL;
	enum part_next next;
	struct part_piece piece;

	if (!part_reader_open(&r, fd, path, err))
		return false;
	do
		next = part_reader_next(r, &piece, err);
	while (next == PART_OTHER || next == PART_ROWS);
	if (next == PART_END) {
		*out = r->trailer;
		if (header_out != NULL)
			*header_out = r->header;
	}
	part_reader_close(&r);
	return next == PART_END;
}
