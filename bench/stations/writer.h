#ifndef STATIONS_WRITER_H
#define STATIONS_WRITER_H

#include "base/slice.h"
#include "stations/amount.h"

#include <stdint.h>

/*
 * Writes maps, arrays and scalars as JSON or msgpack into the caller's buffer. What is said is
 * the same in both: the code that makes a payload does not know which one it writes. JSON comes
 * out as Go's encoder writes it: compact, with <, > and & escaped. msgpack takes the shortest form
 * of each value.
 *
 * WRITER_JSON_OF_MSGPACK writes as JSON what the msgpack form says: a float does not know that it
 * was written as 1.10, so the number is 1.1.
 *
 * A value that does not fit sets "full" and every later call does nothing, so it is enough to ask
 * once at the end. No memory is allocated. One thread.
 */
enum writer_format { WRITER_JSON, WRITER_MSGPACK, WRITER_JSON_OF_MSGPACK };

enum { WRITER_DEPTH_MAX = 16 };

struct writer {
	uint8_t *start, *at, *end;
	enum writer_format format;
	bool full;
	unsigned depth;
	struct {
		uint32_t offset; /* of its head */
		uint32_t count;  /* pairs or elements so far */
		bool is_map;
	} open[WRITER_DEPTH_MAX];
};

void writer_init(struct writer *w, uint8_t *buffer, size_t size, enum writer_format format);

/* Containers; writer_end() closes the innermost. */
void writer_map(struct writer *w);
void writer_array(struct writer *w);
void writer_end(struct writer *w);

/* The key of the next value of a map; a literal without anything to escape. */
void writer_key_bytes(struct writer *w, const char *name, size_t size);
#define writer_key(w, literal) writer_key_bytes(w, "" literal, sizeof(literal) - 1)

void writer_text(struct writer *w, struct slice text);

/* A word of the protocol: a string known to hold nothing to escape. */
void writer_word(struct writer *w, const char *word);

void writer_int(struct writer *w, int64_t value);
void writer_amount(struct writer *w, struct amount value);      /* a number */
void writer_amount_text(struct writer *w, struct amount value); /* the same as a string */
void writer_bool(struct writer *w, bool value);
void writer_null(struct writer *w);

/* The next pair of a map. */
static inline void writer_pair_text(struct writer *w, const char *key, const char *text)
{
	writer_key_bytes(w, key, strlen(key));
	writer_text(w, slice_from_cstr(text));
}

static inline void writer_pair_int(struct writer *w, const char *key, int64_t value)
{
	writer_key_bytes(w, key, strlen(key));
	writer_int(w, value);
}

/* Pairs or elements of the innermost open container. */
static inline uint32_t writer_count(const struct writer *w)
{
	return w->depth == 0 ? 0 : w->open[w->depth - 1].count;
}

/* What was written; borrows from the buffer. */
static inline struct slice writer_slice(const struct writer *w)
{
	return slice_of(w->start, (size_t)(w->at - w->start));
}

#endif
