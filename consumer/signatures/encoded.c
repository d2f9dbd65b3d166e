#include "signatures/encoded.h"

#include "base/hex.h"

#include <openssl/evp.h>

static bool encoded_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A copy without blanks, with room for padding; NULL if the arena is full. */
static uint8_t *encoded_packed(struct slice text, size_t *size_out, struct arena *arena)
{
	uint8_t *packed = arena_bytes(arena, text.size + 3);
	size_t size = 0;

	if (packed == NULL)
		return NULL;
	for (size_t i = 0; i < text.size; i++) {
		if (!encoded_is_blank(text.data[i]))
			packed[size++] = text.data[i];
	}
	*size_out = size;
	return packed;
}

struct slice encoded_hex(struct slice text, struct arena *arena)
{
	struct arena_mark mark = arena_mark(arena);
	uint8_t *bytes = arena_bytes(arena, text.size / 2 + 1), *packed;
	size_t size = 0;

	packed = encoded_packed(text, &size, arena);
	if (packed == NULL || bytes == NULL || size == 0 || size % 2 != 0)
		goto none;
	for (size_t i = 0; i < size / 2; i++) {
		int32_t byte = hex_get(packed + 2 * i, 2);

		if (byte < 0)
			goto none;
		bytes[i] = (uint8_t)byte;
	}
	return slice_of(bytes, size / 2);
none:
	arena_rewind(arena, mark);
	return (struct slice){NULL, 0};
}

/* In place: the plain alphabet of RFC 4648, without padding. False if there is anything else. */
static bool encoded_to_plain(uint8_t *text, size_t *size)
{
	for (int padding = 0; padding < 2 && *size > 0 && text[*size - 1] == '='; padding++)
		(*size)--;
	for (size_t i = 0; i < *size; i++) {
		uint8_t c = text[i], letter = c | 0x20;

		if (c == '-')
			text[i] = '+';
		else if (c == '_')
			text[i] = '/';
		else if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '+' &&
			 c != '/')
			return false;
	}
	return *size > 0 && *size % 4 != 1;
}

struct slice encoded_base64(struct slice text, struct arena *arena)
{
	struct arena_mark mark = arena_mark(arena);
	uint8_t *bytes = arena_bytes(arena, text.size + 3), *packed;
	size_t size = 0, bytes_size;

	packed = encoded_packed(text, &size, arena);
	if (packed == NULL || bytes == NULL || size > INT32_MAX ||
		!encoded_to_plain(packed, &size)) {
		arena_rewind(arena, mark);
		return (struct slice){NULL, 0};
	}
	bytes_size = size * 3 / 4;
	while (size % 4 != 0)
		packed[size++] = '=';
	if (EVP_DecodeBlock(bytes, packed, (int)size) < 0) {
		arena_rewind(arena, mark);
		return (struct slice){NULL, 0};
	}
	return slice_of(bytes, bytes_size);
}

struct slice encoded_bytes(struct slice text, struct arena *arena)
{
	struct slice bytes = encoded_hex(text, arena);

	return slice_is_absent(bytes) ? encoded_base64(text, arena) : bytes;
}
