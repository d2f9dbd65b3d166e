#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Borrowed bytes: a pointer and a length, never terminated, never owned. Whoever hands one out says
 * how long it is valid. { NULL, 0 } is "absent"; { "", 0 } is "present and empty".
 */
struct slice {
	const uint8_t *data;
	size_t size;
};

/* A slice of a string literal; usable in initialisers. */
#define SLICE(literal)                                                                             \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

/* For "%.*s". */
#define SLICE_ARG(s) (int)(s).size, (const char *)(s).data

static inline struct slice slice_of(const void *data, size_t size)
{
	return (struct slice){(const uint8_t *)data, size};
}

static inline struct slice slice_from_cstr(const char *text)
{
	return (struct slice){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static inline bool slice_is_absent(struct slice s)
{
	return s.data == NULL;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	/* Most that differ do so in length or in the first byte. */
	return a.size == b.size &&
	       (a.size == 0 || (a.data[0] == b.data[0] && memcmp(a.data, b.data, a.size) == 0));
}

/* Whether text ends with end, and has something before it. */
static inline bool cstr_ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size > end_size && memcmp(text + size - end_size, end, end_size) == 0;
}

static inline bool slice_equal_cstr(struct slice a, const char *text)
{
	return slice_equal(a, slice_from_cstr(text));
}

/* Without its first bytes, of which there are enough. */
static inline struct slice slice_skip(struct slice s, size_t bytes)
{
	return slice_of(s.data + bytes, s.size - bytes);
}

/* Order of the bytes, shorter first where one begins with the other (COLLATE "C"). */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

	if (order != 0)
		return order;
	return (a.size > b.size) - (a.size < b.size);
}

#endif
