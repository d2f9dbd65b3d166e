#ifndef RETENTION_PART_PRIVATE_H
#define RETENTION_PART_PRIVATE_H

#include "retention/part.h"

#include <endian.h>
#include <string.h>

/* Shared by part*.c only. zstd's own numbers are little-endian. */
#define PART_NOTE_MAGIC UINT32_C(0x184d2a53)
#define PART_ZSTD_MAGIC UINT32_C(0xfd2fb528)

enum {
	PART_SKIPPABLE_BYTES = 8, /* magic and size of a skippable frame */
	PART_SUM_BYTES = 5 + 16 + 1,
};

/* First lines of notes; the last character is the version. */
#define PART_HEADER_LINE "ocpp-persister partition 1"
#define PART_OTHER_LINE "ocpp-persister rows 1"
#define PART_END_LINE "ocpp-persister end 1"

static inline uint32_t part_get_le32(const uint8_t *at)
{
	uint32_t le;

	memcpy(&le, at, sizeof(le));
	return le32toh(le);
}

static inline void part_put_le32(uint8_t *at, uint32_t value)
{
	uint32_t le = htole32(value);

	memcpy(at, &le, sizeof(le));
}

/* The last line of a note, the digest of the text before it: not terminated. */
void part_sum(struct slice text, char out[static PART_SUM_BYTES]);

/* The text of a header; returns its size, or 0 if it does not fit. */
size_t part_header_format(const struct part_header *h, char *out, size_t room);

/* False with *why_out. text is the note without its first line and its checksum. */
bool part_header_parse(struct part_header *h, struct slice text, const char **why_out);

size_t part_trailer_format(const struct part_trailer *t, char *out, size_t room);
bool part_trailer_parse(struct part_trailer *t, struct slice text);

#endif
