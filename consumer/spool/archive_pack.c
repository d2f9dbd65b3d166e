#include "base/fs.h"
#include "spool/archive_private.h"

#include <stdlib.h>
#include <zstd.h>

/* zstd's default: packs messages to about a tenth at some 300 MB/s; higher levels take three times
 * as long for a few percent. */
enum {
	PACK_LEVEL = 3,
	/* Address space: more than a window and the largest record. */
	PACK_ARENA_BYTES = 64 << 20,
	PACK_FRAMES_MAX = 1 << 20,
};

struct packer {
	int from, to;
	const char *from_path, *to_path;
	const _Atomic bool *stop;
	ZSTD_CCtx *zstd;
	uint8_t *in;  /* ARCHIVE_FRAME_BYTES */
	uint8_t *out; /* a packed frame at worst */
	int64_t written;
	struct archive_table table;
	size_t frames_room;
};

static bool pack_memory(struct error *err)
{
	return error_set(err, ERROR_FATAL, REASON_memory, "out of memory packing a segment");
}

static bool pack_write(struct packer *p, const uint8_t *bytes, size_t size, struct error *err)
{
	if (!fs_pwrite(p->to, slice_of(bytes, size), p->written, p->to_path, err))
		return false;
	p->written += (int64_t)size;
	return true;
}

static bool pack_count_frame(struct packer *p, size_t packed, size_t unpacked, struct error *err)
{
	size_t room = p->frames_room == 0 ? 64 : p->frames_room * 2;
	struct archive_frame *grown;

	if (p->table.count == p->frames_room) {
		grown = room > PACK_FRAMES_MAX ? NULL
					       : realloc(p->table.frames, room * sizeof(*grown));
		if (grown == NULL)
			return pack_memory(err);
		p->table.frames = grown;
		p->frames_room = room;
	}
	p->table.frames[p->table.count++] =
		(struct archive_frame){(uint32_t)packed, (uint32_t)unpacked};
	return true;
}

/* Bytes [at, end) of the segment, as one frame, or as several if a single record is larger. */
static bool pack_range(struct packer *p, int64_t at, int64_t end, struct error *err)
{
	while (at < end) {
		size_t size =
			end - at > ARCHIVE_FRAME_BYTES ? ARCHIVE_FRAME_BYTES : (size_t)(end - at);
		int64_t got = fs_pread(p->from, p->in, size, at, p->from_path, err);
		size_t packed;

		if (got < 0)
			return false;
		if ((size_t)got < size)
			return error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
				"\"%s\" became shorter while it was read", p->from_path);
		packed = ZSTD_compress2(p->zstd, p->out, ZSTD_COMPRESSBOUND(ARCHIVE_FRAME_BYTES),
			p->in, size);
		if (ZSTD_isError(packed))
			return error_set(err, ERROR_FATAL, REASON_zstd, "could not pack \"%s\": %s",
				p->from_path, ZSTD_getErrorName(packed));
		if (!pack_write(p, p->out, packed, err) || !pack_count_frame(p, packed, size, err))
			return false;
		at += (int64_t)size;
	}
	return true;
}

static void pack_sum_up(struct archive_summary *s, const struct record *r)
{
	if (s->records == 0 || r->received_us < s->first_received_us)
		s->first_received_us = r->received_us;
	if (s->records == 0 || r->received_us > s->last_received_us)
		s->last_received_us = r->received_us;
	s->records++;
	s->last_seq = r->seq;
}

/* Cuts between records, so that a lost frame damages no neighbour's record. */
static bool pack_records(struct packer *p, struct segment_reader *reader, struct arena *arena,
	struct archive_summary *s, struct error *err)
{
	int64_t start = reader->offset, end = reader->offset;
	enum segment_next next;
	struct record r;

	while ((next = segment_reader_next(reader, UINT64_MAX, arena, &r, err)) == SEGMENT_RECORD) {
		if (*p->stop)
			return error_set(err, ERROR_STOPPED, REASON_stopped, "packing was stopped");
		if (reader->offset - start > ARCHIVE_FRAME_BYTES && end > start) {
			if (!pack_range(p, start, end, err))
				return false;
			start = end;
		}
		end = reader->offset;
		pack_sum_up(s, &r);
		if (arena->used > SEGMENT_RESET_BYTES) {
			segment_reader_drop_window(reader);
			arena_reset(arena);
		}
	}
	if (next == SEGMENT_ERROR)
		return false;
	if (reader->missing > 0)
		return error_set(err, ERROR_DAMAGED, REASON_spool_damaged, "\"%s\" is damaged",
			p->from_path);
	s->bytes = end;
	return pack_range(p, start, end, err);
}

static bool pack_summary(struct packer *p, const struct archive_summary *s, struct error *err)
{
	uint8_t bytes[ARCHIVE_SKIPPABLE_BYTES + ARCHIVE_SUMMARY_BYTES];

	archive_summary_put(s,
		put_le32(put_le32(bytes, ARCHIVE_SUMMARY_MAGIC), ARCHIVE_SUMMARY_BYTES));
	return pack_write(p, bytes, sizeof(bytes), err) &&
	       pack_count_frame(p, sizeof(bytes), 0, err);
}

static bool pack_table(struct packer *p, struct error *err)
{
	size_t content = p->table.count * ARCHIVE_TABLE_ENTRY_BYTES + ARCHIVE_TABLE_FOOTER_BYTES;
	uint8_t *bytes = malloc(ARCHIVE_SKIPPABLE_BYTES + content), *at;
	bool ok;

	if (bytes == NULL)
		return pack_memory(err);
	at = put_le32(put_le32(bytes, ARCHIVE_TABLE_MAGIC), (uint32_t)content);
	for (size_t i = 0; i < p->table.count; i++)
		at = put_le32(put_le32(at, p->table.frames[i].packed), p->table.frames[i].unpacked);
	at = put_le32(at, (uint32_t)p->table.count);
	*at++ = 0; /* no checksums here: frames have their own */
	put_le32(at, ARCHIVE_FOOTER_MAGIC);
	ok = pack_write(p, bytes, ARCHIVE_SKIPPABLE_BYTES + content, err);
	free(bytes);
	return ok;
}

static bool pack_all(struct packer *p, struct archive_summary *s, struct error *err)
{
	struct segment_reader reader;
	struct arena arena;
	bool ok;

	if (!segment_reader_init(&reader, p->from, p->from_path, err))
		return false;
	if (!arena_init(&arena, PACK_ARENA_BYTES, 0))
		return pack_memory(err);
	*s = (struct archive_summary){.header = reader.header,
		.whole = true,
		.last_seq = reader.last_seq,
		.first_received_us = reader.header.begun_us,
		.last_received_us = reader.header.begun_us,
		.offset = -1};
	ok = pack_range(p, 0, SEGMENT_HEADER_BYTES, err) &&
	     pack_records(p, &reader, &arena, s, err);
	arena_fini(&arena);
	if (!ok)
		return false;
	s->offset = p->written;
	return pack_summary(p, s, err) && pack_table(p, err);
}

bool archive_pack(int from, const char *from_path, int to, const char *to_path,
	const _Atomic bool *stop, struct archive_summary *out, struct error *err)
{
	struct packer p = {.from = from,
		.to = to,
		.from_path = from_path,
		.to_path = to_path,
		.stop = stop,
		.zstd = ZSTD_createCCtx(),
		.in = malloc(ARCHIVE_FRAME_BYTES),
		.out = malloc(ZSTD_COMPRESSBOUND(ARCHIVE_FRAME_BYTES))};
	bool ok = p.zstd != NULL && p.in != NULL && p.out != NULL;

	if (!ok)
		pack_memory(err);
	if (ok) {
		/* Neither can fail: both are within zstd's documented bounds. */
		(void)ZSTD_CCtx_setParameter(p.zstd, ZSTD_c_compressionLevel, PACK_LEVEL);
		(void)ZSTD_CCtx_setParameter(p.zstd, ZSTD_c_checksumFlag, 1);
		ok = pack_all(&p, out, err);
	}
	ZSTD_freeCCtx(p.zstd);
	free(p.in);
	free(p.out);
	free(p.table.frames);
	return ok;
}
