#ifndef SPOOL_ARCHIVE_PRIVATE_H
#define SPOOL_ARCHIVE_PRIVATE_H

#include "spool/archive.h"

#include <endian.h>
#include <string.h>

/* Shared by archive*.c only. zstd's own numbers are little-endian. */
enum {
	ARCHIVE_HEADER_BYTES =
		64, /* the part of the header page that is not zero, and a few more */
	ARCHIVE_SUMMARY_BYTES = 119, /* archive.h */
	ARCHIVE_SKIPPABLE_BYTES = 8, /* magic and size of a skippable frame */
	ARCHIVE_TABLE_ENTRY_BYTES = 8,
	ARCHIVE_TABLE_FOOTER_BYTES = 9, /* frames (4), descriptor (1), magic (4) */
};

#define ARCHIVE_SUMMARY_MAGIC UINT32_C(0x184d2a50)
#define ARCHIVE_TABLE_MAGIC UINT32_C(0x184d2a5e)
#define ARCHIVE_FOOTER_MAGIC UINT32_C(0x8f92eab1)
#define ARCHIVE_SKIPPABLE_MASK UINT32_C(0xfffffff0)

/* Sizes of a frame, from the seek table. */
struct archive_frame {
	uint32_t packed, unpacked;
};

/* Frames in the order of the file; the last is the summary. */
struct archive_table {
	struct archive_frame *frames; /* owned */
	size_t count;
};

static inline uint8_t *put_le32(uint8_t *at, uint32_t value)
{
	uint32_t le = htole32(value);

	memcpy(at, &le, sizeof(le));
	return at + sizeof(le);
}

static inline uint32_t get_le32(const uint8_t *at)
{
	uint32_t le;

	memcpy(&le, at, sizeof(le));
	return le32toh(le);
}

/* Writes ARCHIVE_SUMMARY_BYTES. */
void archive_summary_put(const struct archive_summary *s, uint8_t *out);

/* False if the bytes are not a whole summary; out->offset is not set. */
MUST_CHECK bool archive_summary_get(const uint8_t *in, const char *path,
	struct archive_summary *out);

/* False if no table fits the file's size; err is set only if the file cannot be read. */
MUST_CHECK bool archive_table_read(int fd, const char *path, int64_t size,
	struct archive_table *out, bool *found_out, struct error *err);

#endif
