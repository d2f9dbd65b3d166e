#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Hexadecimal; written in lower case. Pure; any thread. */

/* Two digits for each byte, and no NUL; returns the address after them. */
static inline char *hex_put(char *at, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	return at;
}

/* The number in so many digits (seven at most), in either case; -1 if they are not hexadecimal. */
static inline int32_t hex_get(const uint8_t *at, size_t digits)
{
	int32_t value = 0;

	for (size_t i = 0; i < digits; i++) {
		uint8_t c = at[i], letter = c | 0x20;

		if (c >= '0' && c <= '9')
			value = value * 16 + c - '0';
		else if (letter >= 'a' && letter <= 'f')
			value = value * 16 + letter - 'a' + 10;
		else
			return -1;
	}
	return value;
}

#endif
