#ifndef BASE_MSGPACK_TEXT_H
#define BASE_MSGPACK_TEXT_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The heads of texts in msgpack, for those who look for texts in bytes that may be cut off or
 * anything else (decode/ reads messages, with msgpack-c). Pure; any thread.
 */
enum {
	MSGPACK_FIXSTR = 0xa0, /* and the size */
	MSGPACK_FIXSTR_MAX = 31,
	MSGPACK_STR8 = 0xd9, /* the size follows in 1 byte; in the next two types in 2 and 4 */
	MSGPACK_STR32 = 0xdb,
	MSGPACK_HEAD_BYTES_MAX = 5,
};

/* Where the text begins whose head is at `head`, and its size, even if bytes end before. 0: no text
 * has its head there. */
static inline size_t msgpack_text(struct slice bytes, size_t head, size_t *size_out)
{
	uint8_t type = bytes.data[head++];
	size_t count;

	*size_out = 0;
	if (type >= MSGPACK_FIXSTR && type <= MSGPACK_FIXSTR + MSGPACK_FIXSTR_MAX) {
		*size_out = type - MSGPACK_FIXSTR;
		return head;
	}
	if (type < MSGPACK_STR8 || type > MSGPACK_STR32)
		return 0;
	count = (size_t)1 << (type - MSGPACK_STR8);
	if (bytes.size - head < count)
		return 0;
	for (; count > 0; count--)
		*size_out = *size_out << 8 | bytes.data[head++];
	return head;
}

/* The head of a text of that size, of this type: FIXSTR to STR32. Returns its size. */
static inline size_t msgpack_put_head(uint8_t out[static MSGPACK_HEAD_BYTES_MAX], size_t type,
	size_t size)
{
	size_t count = type == MSGPACK_FIXSTR ? 0 : (size_t)1 << (type - MSGPACK_STR8);

	out[0] = (uint8_t)(type == MSGPACK_FIXSTR ? type + size : type);
	for (size_t i = count; i > 0; i--, size >>= 8)
		out[i] = (uint8_t)size;
	return count + 1;
}

#endif
