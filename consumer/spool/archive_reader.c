#include "base/fs.h"
#include "spool/archive_private.h"

#include <stdlib.h>
#include <zstd.h>

struct archive_reader {
	int fd;
	const char *path;
	struct archive_events events;
	struct archive_table table; /* without the summary */
	struct segment_header header;
	int64_t size; /* of the segment */
	ZSTD_DCtx *zstd;
	uint8_t *packed;   /* ZSTD_COMPRESSBOUND(ARCHIVE_FRAME_BYTES) */
	uint8_t *unpacked; /* ARCHIVE_FRAME_BYTES */

	/* The current frame. */
	size_t at;
	int64_t packed_offset; /* in the archive */
	int64_t offset;        /* in the segment */
	bool loaded;
};

/* The summary has a checksum, so a changed byte in the table is caught here. Otherwise a wrong size
 * would shift everything after it. */
static bool reader_fits(const struct archive_table *table, const struct archive_summary *summary)
{
	int64_t bytes = 0;

	for (size_t i = 0; i + 1 < table->count; i++)
		bytes += table->frames[i].unpacked;
	return summary->whole && bytes == summary->bytes &&
	       table->frames[0].unpacked == SEGMENT_HEADER_BYTES;
}

static bool reader_make(struct archive_reader **out, const struct archive_table *table,
	const struct archive_summary *summary, struct error *err)
{
	struct archive_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	r->header = summary->header;
	r->size = summary->bytes;
	r->zstd = ZSTD_createDCtx();
	r->packed = malloc(ZSTD_COMPRESSBOUND(ARCHIVE_FRAME_BYTES));
	r->unpacked = malloc(ARCHIVE_FRAME_BYTES);
	if (r->zstd == NULL || r->packed == NULL || r->unpacked == NULL) {
		archive_reader_close(&r);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	r->table = (struct archive_table){table->frames, table->count - 1};
	*out = r;
	return true;
}

bool archive_reader_open(struct archive_reader **out, int fd, const char *path,
	struct archive_events events, struct error *err)
{
	int64_t size = fs_size(fd, path, err);
	struct archive_summary summary;
	struct archive_table table;
	bool found, ok = true;

	*out = NULL;
	if (size < 0 || !archive_table_read(fd, path, size, &table, &found, err))
		return false;
	if (!found)
		return true;
	if (archive_summary_read(fd, path, &summary, NULL) && reader_fits(&table, &summary))
		ok = reader_make(out, &table, &summary, err);
	if (*out == NULL) {
		free(table.frames);
		return ok;
	}
	(*out)->fd = fd;
	(*out)->path = path;
	(*out)->events = events;
	return true;
}

void archive_reader_close(struct archive_reader **reader)
{
	struct archive_reader *r = *reader;

	*reader = NULL;
	if (r == NULL)
		return;
	ZSTD_freeDCtx(r->zstd);
	free(r->table.frames);
	free(r->packed);
	free(r->unpacked);
	free(r);
}

int64_t archive_reader_size(const struct archive_reader *r)
{
	return r->size;
}

/* To the frame that holds an offset of the segment, or past the last one. */
static void reader_seek(struct archive_reader *r, int64_t offset)
{
	if (offset < r->offset) {
		r->at = 0;
		r->packed_offset = r->offset = 0;
		r->loaded = false;
	}
	while (r->at < r->table.count && offset - r->offset >= r->table.frames[r->at].unpacked) {
		r->packed_offset += r->table.frames[r->at].packed;
		r->offset += r->table.frames[r->at].unpacked;
		r->at++;
		r->loaded = false;
	}
}

/* Unreadable parts become zeros, as in a file with a hole. */
static bool reader_load(struct archive_reader *r, struct error *err)
{
	const struct archive_frame *f = &r->table.frames[r->at];
	int64_t got = fs_pread(r->fd, r->packed, f->packed, r->packed_offset, r->path, err);
	const char *why = NULL;
	size_t size = 0;

	if (got < 0)
		return false;
	if (got < f->packed) {
		why = "it is cut off";
	} else {
		size = ZSTD_decompressDCtx(r->zstd, r->unpacked, f->unpacked, r->packed, f->packed);
		if (ZSTD_isError(size)) {
			why = ZSTD_getErrorName(size);
			size = 0;
		}
	}
	if (why != NULL)
		r->events.on_damage(r->events.context, r->packed_offset, f->unpacked, why);
	memset(r->unpacked + size, 0, f->unpacked - size);
	if (r->at == 0) /* a new identity is written only to the summary */
		segment_header_put(&r->header, r->unpacked);
	r->loaded = true;
	return true;
}

int64_t archive_reader_pread(struct archive_reader *r, void *out, size_t size, int64_t offset,
	struct error *err)
{
	size_t done = 0;

	while (done < size) {
		size_t skip, part;

		reader_seek(r, offset + (int64_t)done);
		if (r->at == r->table.count)
			break;
		if (!r->loaded && !reader_load(r, err))
			return -1;
		skip = (size_t)(offset + (int64_t)done - r->offset);
		part = r->table.frames[r->at].unpacked - skip;
		if (part > size - done)
			part = size - done;
		memcpy((uint8_t *)out + done, r->unpacked + skip, part);
		done += part;
	}
	return (int64_t)done;
}
