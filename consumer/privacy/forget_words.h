#ifndef PRIVACY_FORGET_WORDS_H
#define PRIVACY_FORGET_WORDS_H

#include "base/error.h"
#include "base/pseudonyms.h"

#include <stdbool.h>

/*
 * A token and its pseudonym as parameters of statements: as they are, and as regular expressions
 * of PostgreSQL. A text has the token as a value if it is the token, or has it within quotes, as
 * JSON does, also JSON within a text of JSON, with escapes or without. Bytes have it within
 * quotes, or after the head of a text of msgpack; they are searched as encode(bytes, 'escape')
 * writes them. What can be none stays (base/token_places.h). Pure; any thread.
 */
enum {
	/* A byte of the token takes 32 of a pattern at most as JSON, 8 as it is. */
	FORGET_WORD_BYTES = (32 + 8) * TOKEN_BYTES_MAX + 2048,
	FORGET_WORDS = 7,
};

struct forget_words {
	char text[FORGET_WORDS][FORGET_WORD_BYTES];
	const char *params[FORGET_WORDS];
};

/* FROM: a single row, f, with the parameters from $1 on. */
extern const char forget_words_sql[];

/* pseudonym: "" if nothing is replaced. The struct must not be moved. */
void forget_words_make(struct forget_words *w, struct slice token, const char *pseudonym);

/* A column in a condition or a value; "@" stands for its name. */
struct forget_kind {
	const char *name;
	const char *holds;    /* condition: has the token as a value */
	const char *becomes;  /* the column with the token replaced */
	const char *mentions; /* condition: has the token anywhere in a text; or NULL */
};

/* NULL: no such kind. */
const struct forget_kind *forget_kind(const char *name);

#endif
