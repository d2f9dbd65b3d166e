#include "base/fs.h"
#include "spool/archive_private.h"

#include <stdlib.h>
#include <zstd.h>

enum { UNPACK_IN_BYTES = ZSTD_COMPRESSBOUND(ARCHIVE_FRAME_BYTES) };

struct unpacker {
	int from, to;
	const char *from_path, *to_path;
	struct archive_events events;
	ZSTD_DCtx *zstd;
	uint8_t *in;  /* UNPACK_IN_BYTES */
	uint8_t *out; /* ARCHIVE_FRAME_BYTES */
	int64_t size; /* of the archive */
	int64_t end;  /* of the unpacked segment so far */
	struct archive_summary summary;
	bool header_read;
};

static void unpack_damage(struct unpacker *u, int64_t offset, int64_t bytes, const char *why)
{
	u->events.on_damage(u->events.context, offset, bytes, why);
}

/* The frame at the beginning of in; expected: unpacked bytes, or -1 if unknown. */
static bool unpack_frame(struct unpacker *u, int64_t offset, size_t packed, int64_t expected,
	struct error *err)
{
	size_t size = ZSTD_decompressDCtx(u->zstd, u->out, ARCHIVE_FRAME_BYTES, u->in, packed);

	if (ZSTD_isError(size)) {
		unpack_damage(u, offset, expected > 0 ? expected : 0, ZSTD_getErrorName(size));
		u->end += expected > 0 ? expected : 0;
		return true;
	}
	/* A frame of a few bytes can unpack to a megabyte: allow no more than the archive's own
	 * total. */
	if (u->summary.whole && u->end + (int64_t)size > u->summary.bytes) {
		unpack_damage(u, offset, 0, "it holds more than its summary says");
		return true;
	}
	if (offset == 0)
		u->header_read = size == SEGMENT_HEADER_BYTES;
	else if (u->end < SEGMENT_HEADER_BYTES)
		u->end = SEGMENT_HEADER_BYTES; /* the header keeps its room */
	if (!fs_pwrite(u->to, slice_of(u->out, size), u->end, u->to_path, err))
		return false;
	u->end += (int64_t)size;
	return true;
}

static void unpack_skippable(struct unpacker *u, int64_t offset, size_t size)
{
	struct archive_summary summary;

	if (get_le32(u->in) != ARCHIVE_SUMMARY_MAGIC ||
		size != ARCHIVE_SKIPPABLE_BYTES + ARCHIVE_SUMMARY_BYTES)
		return;
	if (!archive_summary_get(u->in + ARCHIVE_SKIPPABLE_BYTES, u->from_path, &summary))
		unpack_damage(u, offset, 0, "the summary is damaged");
	else if (!u->summary.whole) /* otherwise already read, with the counts of the first frame */
		u->summary = summary;
}

/* By the seek table: each frame is where it says, whatever happened to the others. */
static bool unpack_by_table(struct unpacker *u, const struct archive_table *table,
	struct error *err)
{
	int64_t offset = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct archive_frame *f = &table->frames[i];
		int64_t got = fs_pread(u->from, u->in, f->packed, offset, u->from_path, err);

		if (got < 0)
			return false;
		if (got < f->packed)
			unpack_damage(u, offset, f->unpacked, "it is cut off");
		else if (i + 1 == table->count && f->packed >= ARCHIVE_SKIPPABLE_BYTES)
			unpack_skippable(u, offset, f->packed);
		else if (!unpack_frame(u, offset, f->packed, f->unpacked, err))
			return false;
		offset += f->packed;
	}
	return true;
}

/* Bytes to the next place, after the first byte, that begins like one of our frames. */
static size_t unpack_next_frame(const uint8_t *in, size_t size)
{
	static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd},
			     summary[] = {0x50, 0x2a, 0x4d, 0x18};
	const uint8_t *a = memmem(in + 1, size - 1, frame, sizeof(frame));
	const uint8_t *b = memmem(in + 1, size - 1, summary, sizeof(summary));

	if (a == NULL || (b != NULL && b < a))
		a = b;
	if (a != NULL)
		return (size_t)(a - in);
	return size > sizeof(frame) ? size - sizeof(frame) + 1 : size;
}

/* Without a seek table: frame after frame, and after damage the next thing that looks like one. */
static bool unpack_by_walking(struct unpacker *u, struct error *err)
{
	int64_t offset = 0;
	bool lost = false;

	unpack_damage(u, u->size, 0, "the seek table is damaged");
	while (offset < u->size) {
		int64_t got = fs_pread(u->from, u->in, UNPACK_IN_BYTES, offset, u->from_path, err);
		size_t have = (size_t)got, size;
		uint32_t magic;

		if (got <= 0)
			return got == 0;
		magic = have >= ARCHIVE_SKIPPABLE_BYTES ? get_le32(u->in) : 0;
		size = ZSTD_findFrameCompressedSize(u->in, have);
		if (ZSTD_isError(size) || size > have) {
			if (!lost && magic != ARCHIVE_TABLE_MAGIC)
				unpack_damage(u, offset, 0, "no frame can be read here");
			lost = true;
			offset += (int64_t)unpack_next_frame(u->in, have);
			continue;
		}
		if ((magic & ARCHIVE_SKIPPABLE_MASK) == ARCHIVE_SUMMARY_MAGIC)
			unpack_skippable(u, offset, size);
		else if (!unpack_frame(u, offset, size, -1, err))
			return false;
		lost = false;
		offset += (int64_t)size;
	}
	return true;
}

/* The summary has the authoritative header: a new identity is written only there. */
static bool unpack_header(struct unpacker *u, struct error *err)
{
	uint8_t page[SEGMENT_HEADER_BYTES];

	if (!u->summary.whole)
		return u->header_read || error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
						 "the header of \"%s\" is damaged", u->from_path);
	segment_header_put(&u->summary.header, page);
	if (u->end < SEGMENT_HEADER_BYTES)
		u->end = SEGMENT_HEADER_BYTES;
	return fs_pwrite(u->to, slice_of(page, sizeof(page)), 0, u->to_path, err);
}

static bool unpack_all(struct unpacker *u, struct error *err)
{
	struct archive_summary summary;
	struct archive_table table;
	bool found, ok;

	/* Where it should be, even if the path to it is damaged. */
	if (archive_summary_read(u->from, u->from_path, &summary, NULL) && summary.whole)
		u->summary = summary;
	u->size = fs_size(u->from, u->from_path, err);
	if (u->size < 0 || !archive_table_read(u->from, u->from_path, u->size, &table, &found, err))
		return false;
	ok = found ? unpack_by_table(u, &table, err) : unpack_by_walking(u, err);
	free(table.frames);
	/* A hole at the end is part of the size. */
	return ok && unpack_header(u, err) && fs_truncate(u->to, u->end, u->to_path, err);
}

bool archive_unpack(int from, const char *from_path, int to, const char *to_path,
	struct archive_events events, struct error *err)
{
	struct unpacker u = {.from = from,
		.to = to,
		.from_path = from_path,
		.to_path = to_path,
		.events = events,
		.zstd = ZSTD_createDCtx(),
		.in = malloc(UNPACK_IN_BYTES),
		.out = malloc(ARCHIVE_FRAME_BYTES)};
	bool ok = u.zstd != NULL && u.in != NULL && u.out != NULL;

	if (ok)
		ok = unpack_all(&u, err);
	else
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory unpacking \"%s\"",
			from_path);
	ZSTD_freeDCtx(u.zstd);
	free(u.in);
	free(u.out);
	return ok;
}
