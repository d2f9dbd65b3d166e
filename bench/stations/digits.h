#ifndef STATIONS_DIGITS_H
#define STATIONS_DIGITS_H

#include <stdint.h>
#include <string.h>

/*
 * Numbers as text without printf(), which would be most of the generator's time. As in
 * base/bytes.h, put_ returns the address after what it wrote and the caller has made room.
 */
enum { DIGITS_BYTES_MAX = 20 };

/* Exactly width digits, zeros in front. */
static inline uint8_t *put_digits_wide(uint8_t *at, uint64_t value, unsigned width)
{
	for (unsigned i = width; i > 0; i--) {
		at[i - 1] = (uint8_t)('0' + value % 10);
		value /= 10;
	}
	return at + width;
}

static inline uint8_t *put_digits(uint8_t *at, uint64_t value)
{
	uint8_t text[DIGITS_BYTES_MAX];
	uint8_t *first = text + sizeof(text);
	size_t size;

	do {
		*--first = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	size = (size_t)(text + sizeof(text) - first);
	memcpy(at, first, size);
	return at + size;
}

static inline uint8_t *put_signed(uint8_t *at, int64_t value)
{
	if (value < 0)
		*at++ = '-';
	return put_digits(at, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* The lowest width hexadecimal digits of value, lower case. */
static inline uint8_t *put_hex(uint8_t *at, uint64_t value, unsigned width)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = width; i > 0; i--) {
		at[i - 1] = (uint8_t)digits[value & 15];
		value >>= 4;
	}
	return at + width;
}

#endif
