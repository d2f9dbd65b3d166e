#ifndef DECODE_VALUE_H
#define DECODE_VALUE_H

#include "base/arena.h"
#include "base/decimal.h"
#include "base/iso8601.h"
#include "base/slice.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A decoded payload: the same tree whether it came as msgpack or as JSON. Numbers are kept as the
 * text they were written in (msgpack: the shortest that reads back), so nothing passes through a
 * binary float. Strings are well-formed UTF-8 without NUL; if the message had something else, the
 * value is a readable copy and the message is marked (message.text_replaced).
 *
 * The texts live in the batch's arena, or borrow from the record and from the decoder's memory; the
 * tree lasts until the next record is decoded. Pure; any thread.
 */
enum value_kind {
	VALUE_NULL,
	VALUE_BOOLEAN,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_TIME, /* msgpack timestamp */
	VALUE_ARRAY,
	VALUE_MAP,
};

struct member;

struct value {
	uint8_t kind; /* enum value_kind */
	bool boolean : 1;
	bool used : 1; /* rows/ has put it into a column */
	/* A STRING (boolean: a NUMBER) shown instead of another text of count bytes, which follows
	 * it in memory. Its identity is that of the original (value_put_canonical()). */
	bool disguised : 1;
	/* In an item of a batch: some text in it could not be kept (message.text_replaced). */
	bool replaced : 1;
	/* If not 0: maps from one decoder with the same form have the same members in the same
	 * order; only the member "value" may differ, and is always a text or a number. */
	uint16_t form;
	uint32_t count; /* number of items or members; of a TIME, nanoseconds beyond time_us */
	union {
		struct slice text; /* NUMBER, STRING */
		int64_t time_us;
		struct value *items;
		struct member *members;
	};
};

struct member {
	struct slice key;
	struct value value;
};

/* The member of a map, or NULL. Of repeated keys the last counts, as in Go and PostgreSQL's
 * jsonb. */
struct value *value_get(const struct value *map, struct slice key);

/* The text of a string or number, else absent. */
struct slice value_text(const struct value *v);

/* A TIME as RFC 3339, to the nanosecond. Returns its length. */
enum { VALUE_TIME_BYTES = ISO8601_BYTES + 3 };
size_t value_format_time(const struct value *v, char out[static VALUE_TIME_BYTES]);

/* True for null, and for maps and arrays in which everything is used or empty. */
bool value_is_spent(const struct value *v);

/* Show another text instead of a string or number from now on. False if the arena is full. */
MUST_CHECK bool value_disguise(struct value *v, struct slice shown, struct arena *arena);

/* Mark a value and everything below it. */
void value_mark_used(struct value *v);

/* JSON text as in the message, without blanks. */
void value_put_json(struct text *t, const struct value *v);

/* The same without used parts; "null" if nothing is left. */
void value_put_json_unused(struct text *t, const struct value *v);

/*
 * The canonical text, the same for equal content whatever the encoding: keys sorted, nulls left
 * out, numbers by value, times by instant (of a TIME, to the microsecond). Digests are made from
 * it, so it can never change: tests/unit/test_value.c pins it.
 */
void value_put_canonical(struct text *t, const struct value *v);

/* The same without used parts. */
void value_put_canonical_unused(struct text *t, const struct value *v);

/* The canonical text of a number. */
void value_put_canonical_decimal(struct text *t, const struct decimal *d);

#endif
