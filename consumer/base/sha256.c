#include "base/sha256.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct sha256 {
	EVP_MD_CTX *running;
	EVP_MD_CTX *copy; /* finished instead of the running one */
};

struct sha256 *sha256_new(void)
{
	struct sha256 *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->running = EVP_MD_CTX_new();
	d->copy = EVP_MD_CTX_new();
	if (d->running == NULL || d->copy == NULL ||
		EVP_DigestInit_ex(d->running, EVP_sha256(), NULL) != 1)
		sha256_free(&d);
	return d;
}

void sha256_free(struct sha256 **digest)
{
	struct sha256 *d = *digest;

	*digest = NULL;
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->running);
	EVP_MD_CTX_free(d->copy);
	free(d);
}

/* Once an algorithm is initialised these cannot fail: they allocate nothing. */

void sha256_reset(struct sha256 *d)
{
	CHECK(EVP_DigestInit_ex(d->running, NULL, NULL) == 1);
}

void sha256_add(struct sha256 *d, const void *data, size_t size)
{
	CHECK(EVP_DigestUpdate(d->running, data, size) == 1);
}

void sha256_get(const struct sha256 *d, uint8_t out[static SHA256_BYTES])
{
	CHECK(EVP_MD_CTX_copy_ex(d->copy, d->running) == 1);
	CHECK(EVP_DigestFinal_ex(d->copy, out, NULL) == 1);
}

void sha256_once(struct slice bytes, uint8_t out[static SHA256_BYTES])
{
	CHECK(EVP_Digest(bytes.data, bytes.size, out, NULL, EVP_sha256(), NULL) == 1);
}

void hmac_sha256(struct slice key, struct slice data, uint8_t out[static SHA256_BYTES])
{
	unsigned int size = 0;

	CHECK(key.size <= INT_MAX &&
		HMAC(EVP_sha256(), key.data, (int)key.size, data.data, data.size, out, &size) !=
			NULL &&
		size == SHA256_BYTES);
}
