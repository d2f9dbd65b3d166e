#ifndef BASE_TOKEN_HASH_H
#define BASE_TOKEN_HASH_H

#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>

/*
 * What is stored instead of a token (idTag, idToken) with the setting privacy.token_key: "#" and 19
 * digits of base 36, of HMAC-SHA256 of the token, in which letters of ASCII are lower case: 98 bits
 * in as many characters as an idTag may have. A text of that form is treated as a hash and left
 * alone, so that doing it again changes nothing. It is stored, and can never change:
 * tests/unit/test_token_hash.c pins it. Pure; any thread.
 */
enum { TOKEN_HASH_BYTES = 20 };

void token_hash(struct slice key, struct slice token, char out[static TOKEN_HASH_BYTES]);

bool token_is_hash(struct slice text);

/* Whether a member of that name of an OCPP message has a token as its value, if that is a text. */
bool token_is_key(struct slice name);

/*
 * Bytes of a message, JSON or msgpack, whole or not: the values of such members become their
 * hashes; of JSON also whole numbers, and what is in a list. *bytes stay as they are if there are
 * none, else they are a copy from the arena. False if it is full.
 */
MUST_CHECK bool token_hash_in_bytes(struct slice key, struct arena *arena, struct slice *bytes);

#endif
