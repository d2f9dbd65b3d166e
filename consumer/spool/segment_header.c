#include "spool/segment.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	SEGMENT_HEADER_USED = 60,
	SEGMENT_COUNTS = 0x94, /* array of 4 */
	SEGMENT_COUNTS_BYTES = 37,
};

void segment_name(uint64_t first_seq, char out[static SEGMENT_NAME_BYTES])
{
	snprintf(out, SEGMENT_NAME_BYTES, "%020" PRIu64 ".seg", first_seq);
}

bool segment_name_parse_with(const char *name, const char *suffix, uint64_t *first_seq_out)
{
	int used = 0;

	return sscanf(name, "%20" SCNu64 ".seg%n", first_seq_out, &used) == 1 && used == 24 &&
	       strcmp(name + used, suffix) == 0;
}

bool segment_name_parse(const char *name, uint64_t *first_seq_out)
{
	return segment_name_parse_with(name, "", first_seq_out);
}

static void segment_counts_put(const struct position *p, uint8_t *out)
{
	uint8_t *at = put_u8(out, SEGMENT_COUNTS);

	at = put_be64(put_u8(at, 0xcf), p->records);
	at = put_be64(put_u8(at, 0xcf), p->digest_from);
	at = put_be64(put_u8(at, 0xcf), p->digest);
	put_be64(put_u8(at, 0xcf), digest64(out, (size_t)(at - out)));
}

void segment_header_put(const struct segment_header *h, uint8_t out[static SEGMENT_HEADER_BYTES])
{
	uint8_t *at = out;

	memset(out, 0, SEGMENT_HEADER_BYTES);
	at = put_u8(at, 0x96);
	at = put_be32(put_u8(at, 0xce), SEGMENT_MAGIC);
	at = put_u8(put_u8(at, 0xc4), UUID_BYTES);
	at = put_bytes(at, h->spool.bytes, UUID_BYTES);
	at = put_be64(put_u8(at, 0xcf), h->first_seq);
	at = put_be64(put_u8(at, 0xcf), h->follows.seq);
	at = put_be64(put_u8(at, 0xd3), (uint64_t)h->begun_us);
	at = put_be64(put_u8(at, 0xcf), digest64(out, (size_t)(at - out)));
	if (h->follows.counted && h->follows.digested)
		segment_counts_put(&h->follows, at);
}

/* Anything but a whole array (such as zeros) means unknown. */
static void segment_counts_get(const uint8_t *in, struct position *out)
{
	struct position p = {.seq = out->seq, .counted = true, .digested = true};
	uint8_t expected[SEGMENT_COUNTS_BYTES];

	p.records = get_be64(in + 2);
	p.digest_from = get_be64(in + 11);
	p.digest = get_be64(in + 20);
	segment_counts_put(&p, expected);
	if (memcmp(in, expected, sizeof(expected)) == 0)
		*out = p;
}

bool segment_header_get(const uint8_t in[static SEGMENT_HEADER_BYTES], const char *path,
	struct segment_header *out, struct error *err)
{
	struct segment_header h = {.follows.counted = false};
	uint8_t expected[SEGMENT_HEADER_BYTES];

	if (in[0] != 0x96 || in[1] != 0xce ||
		(get_be32(in + 2) & 0xffffff00) != (SEGMENT_MAGIC & 0xffffff00))
		return error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
			"\"%s\" does not begin like a segment of the log", path);
	if (get_be32(in + 2) != SEGMENT_MAGIC) {
		error_set(err, ERROR_FOREIGN, REASON_spool_version,
			"\"%s\" is of version %u of the log's format; this program knows version "
			"%u",
			path, in[5], (unsigned)(SEGMENT_MAGIC & 0xff));
		return error_hint(err,
			"run the version of ocpp-persister that wrote it until the log is empty");
	}
	memcpy(h.spool.bytes, in + 8, UUID_BYTES);
	h.first_seq = get_be64(in + 25);
	h.follows.seq = get_be64(in + 34);
	h.begun_us = (int64_t)get_be64(in + 43);
	segment_header_put(&h, expected);
	if (memcmp(in, expected, SEGMENT_HEADER_USED) != 0)
		return error_set(err, ERROR_DAMAGED, REASON_spool_damaged,
			"the header of \"%s\" is damaged", path);
	segment_counts_get(in + SEGMENT_HEADER_USED, &h.follows);
	*out = h;
	return true;
}
