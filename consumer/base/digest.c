#include "base/digest.h"

/* Inlined: every message needs a record checksum and a row digest. */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

uint64_t digest64(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

void digest128(const void *data, size_t size, uint8_t out[static DIGEST128_BYTES])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
	memcpy(out, canonical.digest, DIGEST128_BYTES);
}

uint64_t digest64_keyed(uint64_t key, const void *data, size_t size)
{
	return XXH3_64bits_withSeed(data, size, key);
}
