#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/check.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * SHA-256 of a stream of bytes, where content must not be mistaken for other content: digest64() is
 * faster, but has collisions. One thread. And HMAC-SHA256 (RFC 2104) of a few bytes, which reveals
 * nothing about them without the key; any thread.
 */
enum { SHA256_BYTES = 32 };

struct sha256;

/* NULL: out of memory. */
struct sha256 *sha256_new(void);
void sha256_free(struct sha256 **digest);

void sha256_reset(struct sha256 *digest);
void sha256_add(struct sha256 *digest, const void *data, size_t size);

/* The digest of what was added so far; more may follow. */
void sha256_get(const struct sha256 *digest, uint8_t out[static SHA256_BYTES]);

/* The digest of bytes in one piece; any thread. Like hmac_sha256(), it ends the process when out of
 * memory: a wrong digest would be stored. */
void sha256_once(struct slice bytes, uint8_t out[static SHA256_BYTES]);

void hmac_sha256(struct slice key, struct slice data, uint8_t out[static SHA256_BYTES]);

#endif
