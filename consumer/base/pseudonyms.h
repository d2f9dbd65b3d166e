#ifndef BASE_PSEUDONYMS_H
#define BASE_PSEUDONYMS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/slice.h"
#include "base/token_places.h"

#include <stdbool.h>

/*
 * What is stored in place of tokens (idTag, idToken): hashes, if there is a key for them
 * (base/token_hash.h), and pseudonyms for those that somebody asked to forget. The forgotten tokens
 * themselves are not known here, only HMAC-SHA256 of each with the database's salt: enough to
 * recognise one when it arrives again (docs/privacy.md). ASCII letters are compared without regard
 * to case, as in OCPP.
 *
 * A pseudonym is as long as its token, so it can replace it in any bytes, whatever their format.
 * Memory is allocated only when the list is read. One thread.
 */
enum {
	TOKEN_BYTES_MIN = 4, /* shorter texts also occur in messages as something else */
	TOKEN_BYTES_MAX = 255,
};

struct pseudonyms;

MUST_CHECK bool pseudonyms_new(struct pseudonyms **out, struct error *err);
void pseudonyms_free(struct pseudonyms **pseudonyms);

/* Start a new list: empty, with this salt. False: out of memory. */
MUST_CHECK bool pseudonyms_begin(struct pseudonyms *p, struct slice salt, struct error *err);

/* Add a token to it. The texts are copied. */
MUST_CHECK bool pseudonyms_add(struct pseudonyms *p, struct slice token_hash,
	struct slice pseudonym, struct error *err);

/* The hash under which a token is listed. */
void pseudonyms_hash(struct slice salt, struct slice token, uint8_t out[static SHA256_BYTES]);

/* From now on tokens are stored as hashes. The key is borrowed. Call it before the first text. */
void pseudonyms_set_key(struct pseudonyms *p, struct slice key);

bool pseudonyms_has_key(const struct pseudonyms *p);

/* No key is set, and no token is forgotten. */
bool pseudonyms_is_empty(const struct pseudonyms *p);

/* The hash of a token, borrowed until the next call; a hash or an empty text is returned unchanged.
 * Only with a key. */
struct slice pseudonyms_hashed(struct pseudonyms *p, struct slice token);

/* The pseudonym of a forgotten token, borrowed until the list is read again; absent for any other
 * text. */
struct slice pseudonyms_of(struct pseudonyms *p, struct slice text);

/*
 * Replaces each forgotten token by its pseudonym, in a text or in the bytes of a message (JSON or
 * msgpack, possibly cut off), where one may be (base/token_places.h). If there is none, *bytes stay
 * as they are; otherwise they become a copy of the same size from the arena: where JSON spelled a
 * token with escapes, blanks follow it. False if the arena is full.
 */
MUST_CHECK bool pseudonyms_in_bytes(struct pseudonyms *p, enum token_kind kind, struct arena *arena,
	struct slice *bytes);

/* The same in the value of a column, as COPY ... (FORMAT binary) writes it, in place. Returns how
 * many were replaced. */
uint64_t pseudonyms_in_value(struct pseudonyms *p, enum token_kind kind, uint8_t *bytes,
	size_t size);

/* The same for hashes, in the members that have tokens. Only with a key. */
MUST_CHECK bool pseudonyms_hash_bytes(struct pseudonyms *p, struct arena *arena,
	struct slice *bytes);

#endif
