#include "spool/archive.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "spool/archive_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

void archive_name(uint64_t first_seq, char out[static ARCHIVE_NAME_BYTES])
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(first_seq, name);
	snprintf(out, ARCHIVE_NAME_BYTES, "%s" SEGMENT_PACKED, name);
}

bool archive_name_parse(const char *name, uint64_t *first_seq_out)
{
	return segment_name_parse_with(name, SEGMENT_PACKED, first_seq_out);
}

void archive_summary_put(const struct archive_summary *s, uint8_t *out)
{
	struct segment_header h = s->header;
	uint8_t header[SEGMENT_HEADER_BYTES], *at;

	h.follows.counted = false; /* only the first frame has those */
	segment_header_put(&h, header);
	at = put_bytes(out, header, ARCHIVE_HEADER_BYTES);
	at = put_u8(at, 0x96);
	at = put_be64(put_u8(at, 0xcf), s->last_seq);
	at = put_be64(put_u8(at, 0xcf), s->records);
	at = put_be64(put_u8(at, 0xd3), (uint64_t)s->first_received_us);
	at = put_be64(put_u8(at, 0xd3), (uint64_t)s->last_received_us);
	at = put_be64(put_u8(at, 0xcf), (uint64_t)s->bytes);
	put_be64(put_u8(at, 0xcf), digest64(out, (size_t)(at - out)));
}

bool archive_summary_get(const uint8_t *in, const char *path, struct archive_summary *out)
{
	uint8_t header[SEGMENT_HEADER_BYTES] = {0}, again[ARCHIVE_SUMMARY_BYTES];
	struct archive_summary s = {.whole = true, .offset = -1};
	const uint8_t *at = in + ARCHIVE_HEADER_BYTES + 2;

	memcpy(header, in, ARCHIVE_HEADER_BYTES);
	if (!segment_header_get(header, path, &s.header, NULL))
		return false;
	s.last_seq = get_be64(at);
	s.records = get_be64(at + 9);
	s.first_received_us = (int64_t)get_be64(at + 18);
	s.last_received_us = (int64_t)get_be64(at + 27);
	s.bytes = (int64_t)get_be64(at + 36);
	archive_summary_put(&s, again);
	if (memcmp(in, again, sizeof(again)) != 0)
		return false;
	*out = s;
	return true;
}

/* Whether the sizes are possible and add up to the file's: a single changed byte is caught. */
static bool archive_table_fits(const struct archive_table *table, int64_t size)
{
	int64_t packed = ARCHIVE_SKIPPABLE_BYTES + ARCHIVE_TABLE_FOOTER_BYTES +
			 (int64_t)table->count * ARCHIVE_TABLE_ENTRY_BYTES;

	for (size_t i = 0; i < table->count; i++) {
		const struct archive_frame *f = &table->frames[i];

		if (f->packed > ZSTD_COMPRESSBOUND(ARCHIVE_FRAME_BYTES) ||
			f->unpacked > ARCHIVE_FRAME_BYTES)
			return false;
		packed += f->packed;
	}
	return packed == size;
}

bool archive_table_read(int fd, const char *path, int64_t size, struct archive_table *out,
	bool *found_out, struct error *err)
{
	uint8_t footer[ARCHIVE_TABLE_FOOTER_BYTES], *entries = NULL;
	struct archive_table table = {.frames = NULL};
	int64_t bytes;
	bool ok = false;

	*found_out = false;
	*out = table;
	if (size < ARCHIVE_SKIPPABLE_BYTES + ARCHIVE_TABLE_FOOTER_BYTES)
		return true;
	if (fs_pread(fd, footer, sizeof(footer), size - ARCHIVE_TABLE_FOOTER_BYTES, path, err) < 0)
		return false;
	table.count = get_le32(footer);
	bytes = (int64_t)table.count * ARCHIVE_TABLE_ENTRY_BYTES;
	if (get_le32(footer + 5) != ARCHIVE_FOOTER_MAGIC || footer[4] != 0 || table.count < 2 ||
		bytes + ARCHIVE_TABLE_FOOTER_BYTES + ARCHIVE_SKIPPABLE_BYTES > size)
		return true;
	entries = malloc((size_t)bytes);
	table.frames = calloc(table.count, sizeof(*table.frames));
	if (entries == NULL || table.frames == NULL) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading \"%s\"", path);
		goto out;
	}
	if (fs_pread(fd, entries, (size_t)bytes, size - ARCHIVE_TABLE_FOOTER_BYTES - bytes, path,
		    err) < 0)
		goto out;
	for (size_t i = 0; i < table.count; i++) {
		table.frames[i].packed = get_le32(entries + i * ARCHIVE_TABLE_ENTRY_BYTES);
		table.frames[i].unpacked = get_le32(entries + i * ARCHIVE_TABLE_ENTRY_BYTES + 4);
	}
	ok = true;
	*found_out = archive_table_fits(&table, size);
out:
	free(entries);
	if (*found_out)
		*out = table;
	else
		free(table.frames);
	return ok;
}

/* Only the header page, from the first frame. */
static bool archive_first_frame(int fd, const char *path, struct archive_summary *out,
	struct error *err)
{
	uint8_t packed[ZSTD_COMPRESSBOUND(SEGMENT_HEADER_BYTES)], page[SEGMENT_HEADER_BYTES];
	int64_t got = fs_pread(fd, packed, sizeof(packed), 0, path, err);
	size_t size, unpacked;

	if (got < 0)
		return false;
	size = ZSTD_findFrameCompressedSize(packed, (size_t)got);
	unpacked = ZSTD_isError(size) ? size : ZSTD_decompress(page, sizeof(page), packed, size);
	if (unpacked != sizeof(page))
		return error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
			"the header of \"%s\" is damaged", path);
	*out = (struct archive_summary){.offset = -1};
	return segment_header_get(page, path, &out->header, err);
}

/* The summary has only the beginning of the header page; the counts are in the first frame. */
static void archive_read_counts(int fd, const char *path, struct archive_summary *s)
{
	struct archive_summary first;

	if (archive_first_frame(fd, path, &first, NULL) &&
		first.header.follows.seq == s->header.follows.seq)
		s->header.follows = first.header.follows;
}

bool archive_summary_read(int fd, const char *path, struct archive_summary *out, struct error *err)
{
	uint8_t bytes[ARCHIVE_SKIPPABLE_BYTES + ARCHIVE_SUMMARY_BYTES];
	uint8_t footer[ARCHIVE_TABLE_FOOTER_BYTES];
	int64_t size = fs_size(fd, path, err), offset;

	if (size < 0)
		return false;
	if (size > ARCHIVE_TABLE_FOOTER_BYTES) {
		if (fs_pread(fd, footer, sizeof(footer), size - ARCHIVE_TABLE_FOOTER_BYTES, path,
			    err) < 0)
			return false;
		offset = size - ARCHIVE_TABLE_FOOTER_BYTES - (int64_t)sizeof(bytes) -
			 ARCHIVE_SKIPPABLE_BYTES -
			 (int64_t)get_le32(footer) * ARCHIVE_TABLE_ENTRY_BYTES;
		if (offset > 0 && fs_pread(fd, bytes, sizeof(bytes), offset, path, err) < 0)
			return false;
		if (offset > 0 && get_le32(bytes) == ARCHIVE_SUMMARY_MAGIC &&
			archive_summary_get(bytes + ARCHIVE_SKIPPABLE_BYTES, path, out)) {
			out->offset = offset;
			archive_read_counts(fd, path, out);
			return true;
		}
	}
	return archive_first_frame(fd, path, out, err);
}

bool archive_put_identity(int fd, const char *path, const struct archive_summary *summary,
	const struct uuid *identity, struct error *err)
{
	struct archive_summary changed = *summary;
	uint8_t bytes[ARCHIVE_SUMMARY_BYTES];

	CHECK(summary->whole);
	changed.header.spool = *identity;
	archive_summary_put(&changed, bytes);
	return fs_pwrite(fd, slice_of(bytes, sizeof(bytes)),
		       summary->offset + ARCHIVE_SKIPPABLE_BYTES, path, err) &&
	       fs_sync_data(fd, path, err);
}
