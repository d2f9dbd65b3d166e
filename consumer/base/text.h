#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/arena.h"
#include "base/slice.h"

/*
 * Text built at the end of an arena. put does not report an error: once the arena is full, further
 * text is dropped and text_end() reports it, so the caller checks once. Nothing else may be
 * allocated from the arena between text_begin() and text_end(). One thread.
 */
struct text {
	struct arena *arena;
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool failed;
};

void text_begin(struct text *t, struct arena *arena);

/* Room for size more bytes at t->at; NULL if the arena is full. For the functions below. */
uint8_t *text_reserve(struct text *t, size_t size);

static inline void text_put(struct text *t, const void *data, size_t size)
{
	uint8_t *at = (size_t)(t->end - t->at) < size ? text_reserve(t, size) : t->at;

	if (at == NULL || size == 0)
		return;
	memcpy(at, data, size);
	t->at = at + size;
}

static inline void text_put_char(struct text *t, char c)
{
	uint8_t *at = t->at < t->end ? t->at : text_reserve(t, 1);

	if (at == NULL)
		return;
	*at = (uint8_t)c;
	t->at = at + 1;
}

static inline void text_put_slice(struct text *t, struct slice s)
{
	text_put(t, s.data, s.size);
}

static inline void text_put_cstr(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_put_int(struct text *t, int64_t value);

/* A JSON string with its quotes; s must be well-formed UTF-8. */
void text_put_json_string(struct text *t, struct slice s);

/* The text, with the arena's lifetime; absent if the arena was full. */
MUST_CHECK struct slice text_end(struct text *t);

#endif
