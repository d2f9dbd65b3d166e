#include "base/utf8.h"

#include "base/bytes.h"

/*
 * Length of the well-formed sequence at p, or 0 with the length of the ill-formed part. The bounds
 * of the second byte rule out overlong forms, surrogates and values beyond U+10FFFF (Unicode 15,
 * table 3-7).
 */
static size_t utf8_sequence(const uint8_t *p, size_t left, size_t *bad_out)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t size;

	*bad_out = 1;
	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < size; i++) {
		if (i == left || p[i] < low || p[i] > high) {
			*bad_out = i;
			return 0;
		}
		low = 0x80;
		high = 0xbf;
	}
	return size;
}

/* All eight are ASCII and none is NUL. */
static bool utf8_is_plain_word(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;

	return ((word | (word - ones)) & high) == 0;
}

static uint64_t utf8_word(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static uint64_t utf8_half_word(const uint8_t *p)
{
	uint32_t half;

	memcpy(&half, p, sizeof(half));
	return half;
}

/* ASCII without NUL, as nearly all text here is; the last word may overlap the one before it. */
static bool utf8_is_plain(const uint8_t *p, size_t size)
{
	if (size < 4) {
		for (size_t i = 0; i < size; i++) {
			if (p[i] == 0 || p[i] >= 0x80)
				return false;
		}
		return true;
	}
	if (size < 8)
		return utf8_is_plain_word(utf8_half_word(p) << 32 | utf8_half_word(p + size - 4));
	for (size_t i = 0; i + 8 < size; i += 8) {
		if (!utf8_is_plain_word(utf8_word(p + i)))
			return false;
	}
	return utf8_is_plain_word(utf8_word(p + size - 8));
}

bool utf8_is_storable(struct slice text)
{
	size_t i = 0, bad;

	if (utf8_is_plain(text.data, text.size))
		return true;
	while (i < text.size) {
		size_t n = utf8_sequence(text.data + i, text.size - i, &bad);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

struct slice utf8_replace(struct arena *arena, struct slice text)
{
	static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};
	uint8_t *out = arena_bytes(arena, text.size * sizeof(replacement)), *at = out;
	size_t i = 0, bad;

	if (out == NULL)
		return (struct slice){NULL, 0};
	while (i < text.size) {
		size_t n = utf8_sequence(text.data + i, text.size - i, &bad);

		if (n > 0) {
			at = put_bytes(at, text.data + i, n);
			i += n;
		} else {
			at = put_bytes(at, replacement, sizeof(replacement));
			i += bad;
		}
	}
	arena_trim(arena, at);
	return slice_of(out, (size_t)(at - out));
}

size_t utf8_get(struct slice text, uint32_t *code_point_out)
{
	size_t bad, size = utf8_sequence(text.data, text.size, &bad);
	/* The first byte's share of the code point. */
	uint32_t c = size == 0 ? 0 : size == 1 ? text.data[0] : text.data[0] & (0x7fu >> size);

	for (size_t i = 1; i < size; i++)
		c = c << 6 | (text.data[i] & 0x3f);
	*code_point_out = c;
	return size;
}

uint8_t *utf8_put(uint8_t *at, uint32_t c)
{
	if (c < 0x80)
		return put_u8(at, (uint8_t)c);
	if (c < 0x800) {
		at = put_u8(at, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			at = put_u8(at, (uint8_t)(0xe0 | c >> 12));
		} else {
			at = put_u8(at, (uint8_t)(0xf0 | c >> 18));
			at = put_u8(at, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		at = put_u8(at, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	return put_u8(at, (uint8_t)(0x80 | (c & 0x3f)));
}
