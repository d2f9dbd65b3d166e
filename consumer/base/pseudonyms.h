#ifndef BASE_PSEUDONYMS_H
#define BASE_PSEUDONYMS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/slice.h"

#include <stdbool.h>

/*
 * What stands for tokens (idTag, idToken) in what is stored: hashes, if there is a key for them
 * (base/token_hash.h), and pseudonyms of those that somebody asked to forget. The tokens themselves
 * are not known here, only HMAC-SHA256 of each with the database's salt: enough to recognise one
 * that arrives once more (docs/privacy.md). Letters of ASCII are the same in either case, as in
 * OCPP.
 *
 * A pseudonym is as long as its token, so that it takes its place in any bytes, whatever their
 * format. Nothing is allocated but when the list is read. One thread.
 */
enum {
	TOKEN_BYTES_MIN = 4, /* what is shorter occurs in messages as something else, too */
	TOKEN_BYTES_MAX = 255,
};

struct pseudonyms;

MUST_CHECK bool pseudonyms_new(struct pseudonyms **out, struct error *err);
void pseudonyms_free(struct pseudonyms **pseudonyms);

/* Another list: empty, with this salt. False: out of memory. */
MUST_CHECK bool pseudonyms_begin(struct pseudonyms *p, struct slice salt, struct error *err);

/* One of its tokens. The texts are copied. */
MUST_CHECK bool pseudonyms_add(struct pseudonyms *p, struct slice token_hash,
	struct slice pseudonym, struct error *err);

/* The hash under which a token is listed. */
void pseudonyms_hash(struct slice salt, struct slice token, uint8_t out[static SHA256_BYTES]);

/* Tokens are stored as hashes from now on. The key is borrowed; before the first text. */
void pseudonyms_set_key(struct pseudonyms *p, struct slice key);

bool pseudonyms_has_key(const struct pseudonyms *p);

/* No key is set, and no token is forgotten. */
bool pseudonyms_is_empty(const struct pseudonyms *p);

/* The hash of a token, borrowed until the next call; what is a hash already, or empty, is returned
 * unchanged. Only with a key. */
struct slice pseudonyms_hashed(struct pseudonyms *p, struct slice token);

/* The pseudonym of a forgotten token, borrowed until the list is read again; absent for any other
 * text. */
struct slice pseudonyms_of(struct pseudonyms *p, struct slice text);

/*
 * Bytes of a message, JSON or msgpack, whole or not, or of rows as COPY ... (FORMAT binary) writes
 * them: each text in them that is a forgotten token becomes its pseudonym. *bytes stay as they are
 * if there is none; else they are a copy of the same size from the arena: after a text that JSON
 * spelled with escapes come spaces. False if it is full.
 */
MUST_CHECK bool pseudonyms_in_bytes(struct pseudonyms *p, struct arena *arena, struct slice *bytes);

/* The same for hashes, of the members that have tokens. Only with a key. */
MUST_CHECK bool pseudonyms_hash_bytes(struct pseudonyms *p, struct arena *arena,
	struct slice *bytes);

/* The same for bytes that come in pieces of any size. Zeroed at first. */
struct pseudonyms_stream {
	struct pseudonyms *list; /* borrowed */
	uint8_t *buffer;         /* malloc'ed */
	size_t room;
	size_t held; /* bytes at its beginning, of which the next piece may change some */
	size_t given;
	uint64_t count; /* of texts that became pseudonyms */
};

/* Out: the bytes that can change no more, borrowed until the next call. False: out of memory. */
MUST_CHECK bool pseudonyms_stream_add(struct pseudonyms_stream *s, struct slice piece,
	struct slice *out, struct error *err);

/* After the last piece: the bytes that were held, borrowed until pseudonyms_stream_free(). */
struct slice pseudonyms_stream_rest(struct pseudonyms_stream *s);
void pseudonyms_stream_free(struct pseudonyms_stream *s);

#endif
