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

/* Another with a key: not stored, and whoever does not know the key cannot make two meet. */
uint64_t digest64_keyed(uint64_t key, const void *data, size_t size);

#endif
