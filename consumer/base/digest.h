#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/*
 * 64-bit XXH3 of some bytes. The value is stored (identity of rows, layouts, checksums of records),
 * so the function can never change: tests/unit/test_digest.c pins it. Only digest.c uses libxxhash.
 * Any thread.
 */
uint64_t digest64(const void *data, size_t size);

/* 128-bit XXH3 in canonical byte order: no two payloads share one by accident, and it costs a tenth
 * of SHA-256. Part of a digest that is stored. */
enum { DIGEST128_BYTES = 16 };
void digest128(const void *data, size_t size, uint8_t out[static DIGEST128_BYTES]);

/* Keyed and never stored: without the key, nobody can construct a collision. */
uint64_t digest64_keyed(uint64_t key, const void *data, size_t size);

#endif
