#ifndef BASE_TOKEN_HASH_H
#define BASE_TOKEN_HASH_H

#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>

/*
 * What is stored instead of a token (idTag, idToken) if privacy.token_key is set: "#" and 19 digits
 * of base 36, made from HMAC-SHA256 of the token with its ASCII letters in lower case: 98 bits in
 * as many characters as an idTag may have. A text that looks like a hash is treated as one and left
 * alone, so hashing twice changes nothing. Hashes are stored, so the function can never change:
 * tests/unit/test_token_hash.c pins it. Pure; any thread.
 */
enum { TOKEN_HASH_BYTES = 20 };

void token_hash(struct slice key, struct slice token, char out[static TOKEN_HASH_BYTES]);

bool token_is_hash(struct slice text);

/* Whether the OCPP member of that name holds a token, if its value is a text. */
bool token_is_key(struct slice name);

/*
 * In bytes of a message (JSON or msgpack, possibly cut off), the values of such members become
 * their hashes; in JSON also whole numbers and the items of lists. If there are none, *bytes stay
 * as they are; otherwise they become a copy from the arena. False if the arena is full.
 */
MUST_CHECK bool token_hash_in_bytes(struct slice key, struct arena *arena, struct slice *bytes);

#endif
