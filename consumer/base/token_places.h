#ifndef BASE_TOKEN_PLACES_H
#define BASE_TOKEN_PLACES_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Where a forgotten token is replaced, as data (token_places.def): in which columns, and in a
 * message wherever a whole text is the token, but for members that never have one. Pure; any
 * thread.
 */

/* How a column has tokens. */
enum token_kind {
	TOKEN_NONE,
	TOKEN_NAME,     /* it is one */
	TOKEN_WORDS,    /* a text that is one, or has JSON in it */
	TOKEN_JSON,     /* jsonb */
	TOKEN_BYTES,    /* of a message: JSON or msgpack, whole or not */
	TOKEN_READINGS, /* jsonb: sampled values */
};

struct token_place {
	const char *table;
	const char *column;
	enum token_kind kind;
};

extern const struct token_place token_places[];
extern const size_t token_places_count;

enum token_kind token_kind_of(const char *table, const char *column);

/* "name", "words", ... */
const char *token_kind_name(enum token_kind kind);

/* Members of messages whose values are no tokens. */
struct token_stranger {
	struct slice name;
	bool number; /* only of digits that is known; else of any text */
};

extern const struct token_stranger token_strangers[];
extern const size_t token_strangers_count;

/* Digits and points only, as a reading of a meter. */
bool token_is_number(struct slice text);

/* Whether a text that is the value of this member can be a token. in_sample: somewhere within
 * "sampledValue". */
bool token_may_be(struct slice member, struct slice text, bool in_sample);

/*
 * The same for a text within bytes: head is where its quote is, as JSON has it, or its head, as
 * msgpack. What is before it says which member it is; and that it is the id of the message, if that
 * is what they are (TOKEN_BYTES).
 */
bool token_may_be_at(struct slice bytes, size_t head, struct slice text, enum token_kind kind);

#endif
