#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/*
 * 64-bit XXH3 of some bytes. The value is stored (identity of rows, layouts, checksums of
 * records), so the function can never change: tests/unit/test_digest.c pins it. The only file
 * that knows libxxhash is digest.c. Any thread.
 */
uint64_t digest64(const void *data, size_t size);

/* 128-bit XXH3 in its canonical order of bytes, which two payloads never share by accident, at a
 * tenth of the cost of SHA-256. Part of a digest that is stored. */
enum { DIGEST128_BYTES = 16 };
void digest128(const void *data, size_t size, uint8_t out[static DIGEST128_BYTES]);

/* Another with a key: not stored, and whoever does not know the key cannot make two meet. */
uint64_t digest64_keyed(uint64_t key, const void *data, size_t size);

#endif
