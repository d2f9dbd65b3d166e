#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/*
 * Big-endian numbers at any address: msgpack, MQTT and PostgreSQL's binary formats all use them.
 * put_ returns the address after what it wrote.
 */
static inline uint8_t *put_u8(uint8_t *at, uint8_t value)
{
	*at = value;
	return at + 1;
}

static inline uint8_t *put_be16(uint8_t *at, uint16_t value)
{
	uint16_t be = htobe16(value);

	memcpy(at, &be, sizeof(be));
	return at + sizeof(be);
}

static inline uint8_t *put_be32(uint8_t *at, uint32_t value)
{
	uint32_t be = htobe32(value);

	memcpy(at, &be, sizeof(be));
	return at + sizeof(be);
}

static inline uint8_t *put_be64(uint8_t *at, uint64_t value)
{
	uint64_t be = htobe64(value);

	memcpy(at, &be, sizeof(be));
	return at + sizeof(be);
}

static inline uint8_t *put_bytes(uint8_t *at, const void *data, size_t size)
{
	if (size > 0)
		memcpy(at, data, size);
	return at + size;
}

static inline uint16_t get_be16(const uint8_t *at)
{
	uint16_t be;

	memcpy(&be, at, sizeof(be));
	return be16toh(be);
}

static inline uint32_t get_be32(const uint8_t *at)
{
	uint32_t be;

	memcpy(&be, at, sizeof(be));
	return be32toh(be);
}

static inline uint64_t get_be64(const uint8_t *at)
{
	uint64_t be;

	memcpy(&be, at, sizeof(be));
	return be64toh(be);
}

#endif
