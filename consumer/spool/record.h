#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "base/position.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One MQTT message in the log. On disk it is a msgpack array of fixed-width fields, so that any
 * msgpack reader can read a log. This code writes and reads it without a msgpack library.
 * Big-endian.
 *
 *	offset  bytes     content
 *	0       1         0x9a         array of 10
 *	1       1 + 4     0xce uint32  RECORD_MAGIC; its last byte is the version of the format
 *	6       1 + 4     0xce uint32  bytes of the whole record
 *	11      1 + 8     0xcf uint64  generation: first seq of the segment it was written for
 *	20      1 + 8     0xcf uint64  seq: consecutive within a segment
 *	29      1 + 8     0xd3 int64   time of receipt, microseconds since 1970 UTC
 *	38      1 + 2     0xcd uint16  flags (below)
 *	41      1 + 2     0xda str16   topic
 *	44 + t  1 + 1     0xd9 str8    trace id from the MQTT 5 correlation data, or empty
 *	..      1 + 4     0xc6 bin32   payload, untouched
 *	..      1 + 8     0xcf uint64  XXH3-64 of all bytes before this field
 *
 * Segments are filled with zeros before use and used again after release, so after the last record
 * there may be zeros or records of an older generation, which do not count.
 *
 * Pure; any thread.
 */
#define RECORD_MAGIC UINT32_C(0x4f505201) /* "OPR" 1 */

enum {
	RECORD_FIXED_BYTES = 44 + 2 + 5 + 9,
	RECORD_TRACE_BYTES_MAX = 255,
	RECORD_BYTES_MAX = 17 << 20, /* mqtt.message_bytes_max is 16 MiB at most */
	RECORD_PREFIX_BYTES = 20,    /* enough to recognise a record of a generation */
	/* Payload of a RECORD_OVERSIZED record: full size (8), SHA-256 (32), first bytes. */
	RECORD_OVERSIZED_HEADER_BYTES = 8 + 32,
};

enum record_flag {
	RECORD_QOS_MASK = 0x3,
	RECORD_DUP = 1 << 2,
	RECORD_RETAIN = 1 << 3,
	RECORD_JSON = 1 << 4,      /* MQTT 5 content type application/json */
	RECORD_MSGPACK = 1 << 5,   /* MQTT 5 content type application/msgpack or x-msgpack */
	RECORD_OVERSIZED = 1 << 6, /* over mqtt.message_bytes_max; payload is as above */
	/* The high byte of the flags is the low byte of the MQTT packet id: see spool/tail.h. */
	RECORD_PACKET_KNOWN = 1 << 7,
	RECORD_PACKET_SHIFT = 8,
};

struct record {
	uint64_t seq;
	int64_t received_us;
	uint16_t flags;
	struct slice topic;
	struct slice trace;
	struct slice payload;
	struct position_link
		link; /* set by readers of a log; record_get() sets only the checksum */
};

enum record_status {
	RECORD_OK,
	RECORD_END,     /* zeros, or another generation: nothing was written here */
	RECORD_PARTIAL, /* *bytes_out bytes are needed to decide */
	RECORD_DAMAGED, /* begins like a record of this generation, but is not whole */
};

/* Topic and trace must be within 65535 and 255 bytes. */
size_t record_bytes(const struct record *r);

/* Write record_bytes() bytes; returns the address after them. */
uint8_t *record_put(uint8_t *start, const struct record *r, uint64_t generation);

/* The checksum that record_put() has written just before end. */
uint64_t record_checksum(const uint8_t *end);

/* Decode the record at the beginning of bytes. On RECORD_OK *out borrows from bytes and *bytes_out
 * is its size. Its seq is not checked: the caller knows which one to expect. */
enum record_status record_get(struct slice bytes, uint64_t generation, struct record *out,
	size_t *bytes_out);

/* The generation that a record claims. bytes: RECORD_PREFIX_BYTES at least. */
uint64_t record_generation(struct slice bytes);

/* Offset of the first place that begins like a record of this generation, or bytes.size: where
 * reading continues after damage. The last RECORD_PREFIX_BYTES are not searched. */
size_t record_candidate(struct slice bytes, uint64_t generation);

#endif
