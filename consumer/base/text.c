#include "base/text.h"

#include <stdio.h>

enum { TEXT_STEP_BYTES = 256 };

void text_begin(struct text *t, struct arena *arena)
{
	t->arena = arena;
	t->start = t->at = t->end = arena_bytes(arena, 0);
	t->failed = false;
}

/* The arena grows in steps, so the new piece must follow the old one. */
uint8_t *text_reserve(struct text *t, size_t size)
{
	if ((size_t)(t->end - t->at) < size) {
		size_t want = size - (size_t)(t->end - t->at);
		uint8_t *more;

		if (want < TEXT_STEP_BYTES && arena_left(t->arena) >= TEXT_STEP_BYTES)
			want = TEXT_STEP_BYTES;
		more = t->failed ? NULL : arena_bytes(t->arena, want);
		if (more == NULL) {
			t->failed = true;
			return NULL;
		}
		CHECK(more == t->end);
		t->end += want;
	}
	return t->at;
}

void text_put_int(struct text *t, int64_t value)
{
	char digits[24], *at = digits + sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	if (value < 0)
		text_put_char(t, '-');
	if (rest < 10) { /* the common case */
		text_put_char(t, (char)('0' + rest));
		return;
	}
	do {
		*--at = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	text_put(t, at, (size_t)(digits + sizeof(digits) - at));
}

/* Length of the run of bytes that JSON can hold unescaped, eight at a time. */
static size_t text_plain_run(const uint8_t *p, size_t size)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	size_t i = 0;

	for (; i + 8 <= size; i += 8) {
		uint64_t word, quote, backslash;

		memcpy(&word, p + i, 8);
		quote = word ^ ones * '"';
		backslash = word ^ ones * '\\';
		/* Exact if no byte is above 0x7f; otherwise the run of eight may end early. */
		if ((((word - ones * 0x20) | (quote - ones) | (backslash - ones)) & high) != 0)
			break;
	}
	while (i < size && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

void text_put_json_string(struct text *t, struct slice s)
{
	size_t i = 0;

	text_put_char(t, '"');
	for (;;) {
		size_t run = text_plain_run(s.data + i, s.size - i);
		char escape[8];

		text_put(t, s.data + i, run);
		i += run;
		if (i == s.size)
			break;
		if (s.data[i] == '"' || s.data[i] == '\\')
			snprintf(escape, sizeof(escape), "\\%c", s.data[i]);
		else
			snprintf(escape, sizeof(escape), "\\u%04x", s.data[i]);
		text_put_cstr(t, escape);
		i++;
	}
	text_put_char(t, '"');
}

/* Leaves the arena as it was before text_begin(). */
static void text_cancel(struct text *t)
{
	arena_trim(t->arena, t->start);
	t->at = t->end = t->start;
}

struct slice text_end(struct text *t)
{
	if (t->failed) {
		text_cancel(t);
		return (struct slice){NULL, 0};
	}
	arena_trim(t->arena, t->at);
	return slice_of(t->start, (size_t)(t->at - t->start));
}
