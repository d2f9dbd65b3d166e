#include "spool/record.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/limits.h"

enum {
	RECORD_ARRAY_10 = 0x9a,
	RECORD_UINT16 = 0xcd,
	RECORD_UINT32 = 0xce,
	RECORD_UINT64 = 0xcf,
	RECORD_INT64 = 0xd3,
	RECORD_STR8 = 0xd9,
	RECORD_STR16 = 0xda,
	RECORD_BIN32 = 0xc6,
	RECORD_TOPIC_OFFSET = 44,
	RECORD_CHECKSUM_BYTES = 9,
};

size_t record_bytes(const struct record *r)
{
	return RECORD_FIXED_BYTES + r->topic.size + r->trace.size + r->payload.size;
}

uint8_t *record_put(uint8_t *start, const struct record *r, uint64_t generation)
{
	uint8_t *at = start;
	uint64_t checksum;

	CHECK(r->topic.size <= TOPIC_BYTES_MAX && r->trace.size <= RECORD_TRACE_BYTES_MAX);
	CHECK(record_bytes(r) <= RECORD_BYTES_MAX);
	at = put_u8(at, RECORD_ARRAY_10);
	at = put_be32(put_u8(at, RECORD_UINT32), RECORD_MAGIC);
	at = put_be32(put_u8(at, RECORD_UINT32), (uint32_t)record_bytes(r));
	at = put_be64(put_u8(at, RECORD_UINT64), generation);
	at = put_be64(put_u8(at, RECORD_UINT64), r->seq);
	at = put_be64(put_u8(at, RECORD_INT64), (uint64_t)r->received_us);
	at = put_be16(put_u8(at, RECORD_UINT16), r->flags);
	at = put_be16(put_u8(at, RECORD_STR16), (uint16_t)r->topic.size);
	at = put_bytes(at, r->topic.data, r->topic.size);
	at = put_u8(put_u8(at, RECORD_STR8), (uint8_t)r->trace.size);
	at = put_bytes(at, r->trace.data, r->trace.size);
	at = put_be32(put_u8(at, RECORD_BIN32), (uint32_t)r->payload.size);
	at = put_bytes(at, r->payload.data, r->payload.size);
	checksum = digest64(start, (size_t)(at - start));
	return put_be64(put_u8(at, RECORD_UINT64), checksum);
}

uint64_t record_checksum(const uint8_t *end)
{
	return get_be64(end - sizeof(uint64_t));
}

/* Checks everything in a record's prefix except its size: 20 bytes. */
static bool record_prefix_is(const uint8_t *at, uint64_t generation)
{
	return at[0] == RECORD_ARRAY_10 && at[1] == RECORD_UINT32 &&
	       get_be32(at + 2) == RECORD_MAGIC && at[6] == RECORD_UINT32 &&
	       at[11] == RECORD_UINT64 && get_be64(at + 12) == generation;
}

/* Lengths are checked against the size before they are used. */
static bool record_get_fields(const uint8_t *start, size_t size, struct record *out)
{
	const uint8_t *at = start + RECORD_TOPIC_OFFSET;
	const uint8_t *end = start + size - RECORD_CHECKSUM_BYTES;
	size_t topic_size = get_be16(start + 42), trace_size, payload_size;

	if (start[20] != RECORD_UINT64 || start[29] != RECORD_INT64 || start[38] != RECORD_UINT16 ||
		start[41] != RECORD_STR16 || (size_t)(end - at) < topic_size + 2)
		return false;
	out->seq = get_be64(start + 21);
	out->received_us = (int64_t)get_be64(start + 30);
	out->flags = get_be16(start + 39);
	out->topic = slice_of(at, topic_size);
	at += topic_size;
	trace_size = at[1];
	if (at[0] != RECORD_STR8 || (size_t)(end - at) < 2 + trace_size + 5)
		return false;
	out->trace = slice_of(at + 2, trace_size);
	at += 2 + trace_size;
	payload_size = get_be32(at + 1);
	if (at[0] != RECORD_BIN32 || (size_t)(end - at) != 5 + payload_size)
		return false;
	out->payload = slice_of(at + 5, payload_size);
	out->link.checksum = get_be64(end + 1);
	/* The type byte of the checksum is the one byte that it does not cover. */
	return end[0] == RECORD_UINT64 &&
	       get_be64(end + 1) == digest64(start, (size_t)(end - start));
}

enum record_status record_get(struct slice bytes, uint64_t generation, struct record *out,
	size_t *bytes_out)
{
	size_t size;

	if (bytes.size < RECORD_PREFIX_BYTES) {
		*bytes_out = RECORD_PREFIX_BYTES;
		return RECORD_PARTIAL;
	}
	if (!record_prefix_is(bytes.data, generation))
		return RECORD_END;
	size = get_be32(bytes.data + 7);
	/* An impossible size: do not wait for that much, or allocate it. */
	if (size < RECORD_FIXED_BYTES || size > RECORD_BYTES_MAX)
		return RECORD_DAMAGED;
	if (size > bytes.size) {
		*bytes_out = size;
		return RECORD_PARTIAL;
	}
	if (!record_get_fields(bytes.data, size, out))
		return RECORD_DAMAGED;
	*bytes_out = size;
	return RECORD_OK;
}

uint64_t record_generation(struct slice bytes)
{
	return get_be64(bytes.data + 12);
}

size_t record_candidate(struct slice bytes, uint64_t generation)
{
	size_t from = 0;

	while (from + RECORD_PREFIX_BYTES <= bytes.size) {
		const uint8_t *at = memchr(bytes.data + from, RECORD_ARRAY_10,
			bytes.size - RECORD_PREFIX_BYTES + 1 - from);

		if (at == NULL)
			break;
		if (record_prefix_is(at, generation))
			return (size_t)(at - bytes.data);
		from = (size_t)(at - bytes.data) + 1;
	}
	return bytes.size;
}
