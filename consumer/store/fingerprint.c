#include "store/store.h"

#include "base/hex.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

static X509 *fingerprint_read(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return certificate;
}

static bool fingerprint_digest(const char *pem, unsigned char digest[EVP_MAX_MD_SIZE],
	struct error *err)
{
	X509 *certificate = fingerprint_read(pem);
	unsigned int size = 0;
	bool ok;

	if (certificate == NULL)
		return error_set(err, ERROR_POISON, REASON_bad_row, "pem holds no certificate");
	ok = X509_digest(certificate, EVP_sha256(), digest, &size) == 1 && size == 32;
	X509_free(certificate);
	return ok || error_set(err, ERROR_TRANSIENT, REASON_memory, "could not compute a digest");
}

bool ocpp_certificate_hash(const char *pem, char out[OCPP_CERTIFICATE_HASH_BYTES],
	struct error *err)
{
	/* 32 bytes are 43 characters and one of padding. */
	unsigned char digest[EVP_MAX_MD_SIZE], text[OCPP_CERTIFICATE_HASH_BYTES + 1];

	if (!fingerprint_digest(pem, digest, err))
		return false;
	(void)EVP_EncodeBlock(text, digest, 32);
	for (size_t i = 0; i < OCPP_CERTIFICATE_HASH_BYTES - 1; i++)
		out[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
	out[OCPP_CERTIFICATE_HASH_BYTES - 1] = '\0';
	return true;
}

bool ocpp_certificate_id(const char *pem, char out[OCPP_CERTIFICATE_ID_BYTES], struct error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!fingerprint_digest(pem, digest, err))
		return false;
	*hex_put(out, digest, 32) = '\0';
	return true;
}
