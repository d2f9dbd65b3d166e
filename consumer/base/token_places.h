#ifndef BASE_TOKEN_PLACES_H
#define BASE_TOKEN_PLACES_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Where a forgotten token is replaced, as data (token_places.def): in which columns; and in a
 * message, wherever a whole text is the token, except in members that never have one. Pure; any
 * thread.
 */

/* How a column can have tokens. */
enum token_kind {
	TOKEN_NONE,
	TOKEN_NAME,     /* the value is a token */
	TOKEN_WORDS,    /* a text that is a token, or contains JSON */
	TOKEN_JSON,     /* jsonb */
	TOKEN_BYTES,    /* bytes of a message: JSON or msgpack, possibly cut off */
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

/* Members of messages whose values are never tokens. */
struct token_stranger {
	struct slice name;
	bool number; /* that is known only for digits; otherwise for any text */
};

extern const struct token_stranger token_strangers[];
extern const size_t token_strangers_count;

/* Only digits and points, like a meter reading. */
bool token_is_number(struct slice text);

/* Whether a text can be a token as the value of this member. in_sample: somewhere within
 * "sampledValue". */
bool token_may_be(struct slice member, struct slice text, bool in_sample);

/*
 * The same for a text within bytes: head is the position of its quote (JSON) or of its head
 * (msgpack). What precedes it shows which member it is; and for TOKEN_BYTES, whether it is the id
 * of the message.
 */
bool token_may_be_at(struct slice bytes, size_t head, struct slice text, enum token_kind kind);

#endif
