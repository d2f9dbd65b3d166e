#include "base/fs.h"
#include "retention/part_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

/* zstd's default, the same as for the log: higher levels take three times as long for a few
 * percent. */
enum { PART_LEVEL = 3 };

struct part_writer {
	int fd;
	const char *path;
	int64_t written;
	struct part_trailer trailer;
	struct sha256 *sha256;
	ZSTD_CCtx *zstd;
	uint8_t *in; /* PART_FRAME_BYTES of COPY data */
	size_t in_size;
	uint8_t *packed; /* ZSTD_COMPRESSBOUND(PART_FRAME_BYTES) */

	/* The current note: room for its frame's head before the text, and for its digest. */
	uint8_t *note; /* PART_SKIPPABLE_BYTES + PART_NOTE_BYTES_MAX */
	size_t text_size;
	size_t text_begin; /* size of the beginning that all notes of this table share */
};

static bool writer_memory(struct error *err)
{
	return error_set(err, ERROR_FATAL, REASON_memory, "out of memory writing a partition file");
}

static bool writer_write(struct part_writer *w, const uint8_t *bytes, size_t size,
	struct error *err)
{
	if (!fs_pwrite(w->fd, slice_of(bytes, size), w->written, w->path, err))
		return false;
	w->written += (int64_t)size;
	return true;
}

/* ---- notes ---- */

static char *note_text(struct part_writer *w)
{
	return (char *)w->note + PART_SKIPPABLE_BYTES;
}

static size_t note_room(const struct part_writer *w)
{
	return PART_NOTE_BYTES_MAX - PART_SUM_BYTES - w->text_size;
}

static bool note_write(struct part_writer *w, struct error *err)
{
	part_sum(slice_of(note_text(w), w->text_size), note_text(w) + w->text_size);
	part_put_le32(w->note, PART_NOTE_MAGIC);
	part_put_le32(w->note + 4, (uint32_t)(w->text_size + PART_SUM_BYTES));
	return writer_write(w, w->note, PART_SKIPPABLE_BYTES + w->text_size + PART_SUM_BYTES, err);
}

/* ---- from open to close ---- */

static bool writer_make(struct part_writer *w, struct error *err)
{
	w->zstd = ZSTD_createCCtx();
	w->sha256 = sha256_new();
	w->in = malloc(PART_FRAME_BYTES);
	w->packed = malloc(ZSTD_COMPRESSBOUND(PART_FRAME_BYTES));
	w->note = malloc(PART_SKIPPABLE_BYTES + PART_NOTE_BYTES_MAX);
	if (w->zstd == NULL || w->sha256 == NULL || w->in == NULL || w->packed == NULL ||
		w->note == NULL)
		return writer_memory(err);
	/* Neither can fail: both are within zstd's documented bounds. */
	(void)ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, PART_LEVEL);
	(void)ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
	return true;
}

bool part_writer_open(struct part_writer **out, int fd, const char *path,
	const struct part_header *header, struct error *err)
{
	struct part_writer *w = calloc(1, sizeof(*w));
	bool ok;

	if (w == NULL)
		return writer_memory(err);
	w->fd = fd;
	w->path = path;
	ok = writer_make(w, err);
	if (ok) {
		w->text_size = part_header_format(header, note_text(w), note_room(w));
		CHECK(w->text_size > 0); /* PART_COLUMNS_MAX lines fit */
		ok = note_write(w, err);
	}
	if (!ok) {
		part_writer_close(&w);
		return false;
	}
	*out = w;
	return true;
}

void part_writer_close(struct part_writer **writer)
{
	struct part_writer *w = *writer;

	*writer = NULL;
	if (w == NULL)
		return;
	ZSTD_freeCCtx(w->zstd);
	sha256_free(&w->sha256);
	free(w->in);
	free(w->packed);
	free(w->note);
	free(w);
}

/* ---- rows of other tables ---- */

void part_writer_begin_other(struct part_writer *w, const char *table, const char *columns)
{
	int size;

	w->text_size = 0;
	size = snprintf(note_text(w), note_room(w), PART_OTHER_LINE "\ntable\t%s\ncolumns\t%s\n\n",
		table, columns);
	CHECK(size > 0 && (size_t)size < note_room(w));
	w->text_size = w->text_begin = (size_t)size;
}

bool part_writer_end_other(struct part_writer *w, struct error *err)
{
	bool ok = w->text_size == w->text_begin || note_write(w, err);

	w->text_size = w->text_begin;
	return ok;
}

bool part_writer_add_other(struct part_writer *w, struct slice line, struct error *err)
{
	CHECK(w->in_size == 0 && w->trailer.bytes == 0);
	if (line.size > note_room(w) && !part_writer_end_other(w, err))
		return false;
	if (line.size > note_room(w))
		return error_set(err, ERROR_FATAL, REASON_file,
			"a row of %zu bytes does not fit into \"%s\"", line.size, w->path);
	memcpy(note_text(w) + w->text_size, line.data, line.size);
	w->text_size += line.size;
	w->trailer.other_rows++;
	return true;
}

/* ---- rows ---- */

static bool writer_pack(struct part_writer *w, struct error *err)
{
	size_t packed;

	if (w->in_size == 0)
		return true;
	packed = ZSTD_compress2(w->zstd, w->packed, ZSTD_COMPRESSBOUND(PART_FRAME_BYTES), w->in,
		w->in_size);
	if (ZSTD_isError(packed))
		return error_set(err, ERROR_FATAL, REASON_zstd, "could not pack \"%s\": %s",
			w->path, ZSTD_getErrorName(packed));
	sha256_add(w->sha256, w->in, w->in_size);
	w->trailer.bytes += (int64_t)w->in_size;
	w->in_size = 0;
	return writer_write(w, w->packed, packed, err);
}

bool part_writer_add(struct part_writer *w, struct slice bytes, struct error *err)
{
	while (bytes.size > 0) {
		size_t room = PART_FRAME_BYTES - w->in_size;
		size_t take = bytes.size < room ? bytes.size : room;

		memcpy(w->in + w->in_size, bytes.data, take);
		w->in_size += take;
		bytes = slice_skip(bytes, take);
		if (w->in_size == PART_FRAME_BYTES && !writer_pack(w, err))
			return false;
	}
	return true;
}

bool part_writer_finish(struct part_writer *w, uint64_t rows, struct part_trailer *out,
	struct error *err)
{
	if (!writer_pack(w, err))
		return false;
	w->trailer.rows = rows;
	sha256_get(w->sha256, w->trailer.sha256);
	w->text_size = 0;
	w->text_size = part_trailer_format(&w->trailer, note_text(w), note_room(w));
	CHECK(w->text_size > 0);
	if (!note_write(w, err))
		return false;
	*out = w->trailer;
	return true;
}
