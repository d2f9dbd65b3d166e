#include "base/text.h"

#include <stdio.h>

enum { TEXT_STEP_BYTES = 256 };

void text_begin(struct text *t, struct arena *arena)
{
	t->arena = arena;
	t->start = t->at = t->end = arena_bytes(arena, 0);
	t->failed = false;
}

/* Room for size more bytes, or NULL. The arena grows by steps, so it must give what follows. */
static uint8_t *text_reserve(struct text *t, size_t size)
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

void text_put(struct text *t, const void *data, size_t size)
{
	uint8_t *at = text_reserve(t, size);

	if (at == NULL)
		return;
	if (size > 0)
		memcpy(at, data, size);
	t->at += size;
}

void text_put_char(struct text *t, char c)
{
	text_put(t, &c, 1);
}

void text_put_slice(struct text *t, struct slice s)
{
	text_put(t, s.data, s.size);
}

void text_put_cstr(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_put_int(struct text *t, int64_t value)
{
	char digits[24], *at = digits + sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		*--at = '-';
	text_put(t, at, (size_t)(digits + sizeof(digits) - at));
}

void text_put_json_string(struct text *t, struct slice s)
{
	size_t from = 0;

	text_put_char(t, '"');
	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];
		char escape[8];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		text_put(t, s.data + from, i - from);
		from = i + 1;
		if (c == '"' || c == '\\')
			snprintf(escape, sizeof(escape), "\\%c", c);
		else
			snprintf(escape, sizeof(escape), "\\u%04x", c);
		text_put_cstr(t, escape);
	}
	text_put(t, s.data + from, s.size - from);
	text_put_char(t, '"');
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

void text_cancel(struct text *t)
{
	arena_trim(t->arena, t->start);
	t->at = t->end = t->start;
}
