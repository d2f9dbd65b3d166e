#include "signatures/public_key.h"

#include "signatures/encoded.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* A text in a text in a text is the most that is seen. */
enum { PUBLIC_KEY_WRAPPINGS = 3, PUBLIC_KEY_BYTES_MAX = 16384, PUBLIC_KEY_CURVE_BYTES = 64 };

static const struct slice public_key_pem = SLICE("-----BEGIN PUBLIC KEY-----");

static bool public_key_begins(struct slice text, struct slice with)
{
	return text.size >= with.size && slice_equal(slice_of(text.data, with.size), with);
}

/* Otherwise OpenSSL asks on the terminal for the password of a key that says it is encrypted. */
static int public_key_no_password(char *out, int size, int for_writing, void *context)
{
	(void)out;
	(void)size;
	(void)for_writing;
	(void)context;
	return -1;
}

static EVP_PKEY *public_key_from_pem(struct slice text)
{
	BIO *bio = BIO_new_mem_buf(text.data, (int)text.size);
	EVP_PKEY *key =
		bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, public_key_no_password, NULL);

	BIO_free(bio);
	return key;
}

static EVP_PKEY *public_key_from_der(struct slice bytes)
{
	const unsigned char *at = bytes.data;

	return d2i_PUBKEY(NULL, &at, (long)bytes.size);
}

static OSSL_PARAM *public_key_params(struct slice point, const char *curve)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;

	if (build != NULL &&
		OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.data,
			point.size) == 1)
		params = OSSL_PARAM_BLD_to_param(build);
	OSSL_PARAM_BLD_free(build);
	return params;
}

/* A point in any form of SEC 1, or the two coordinates of an uncompressed one alone. */
static EVP_PKEY *public_key_from_point(struct slice point, const char *curve, struct arena *arena)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM *params = public_key_params(point, curve);
	EVP_PKEY *key = NULL;
	uint8_t *whole;

	if (context == NULL || params == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(context);
	if (key != NULL || point.size % 2 != 0)
		return key;
	whole = arena_bytes(arena, point.size + 1);
	if (whole == NULL)
		return NULL;
	whole[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(whole + 1, point.data, point.size);
	return public_key_from_point(slice_of(whole, point.size + 1), curve, arena);
}

static struct slice public_key_without_label(struct slice text)
{
	static const struct slice labels[] = {SLICE("oca:base16:asn1:"), SLICE("oca:base64:asn1:")};

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		if (public_key_begins(text, labels[i]))
			return slice_skip(text, labels[i].size);
	}
	return text;
}

static EVP_PKEY *public_key_from_bytes(struct slice bytes, const char *curve, struct arena *arena)
{
	EVP_PKEY *key = NULL;

	if (bytes.size > 0 && bytes.data[0] == (V_ASN1_CONSTRUCTED | V_ASN1_SEQUENCE))
		key = public_key_from_der(bytes);
	/* A single 00 is the point at infinity, which is nobody's key. */
	if (key == NULL && curve != NULL && bytes.size > 1)
		key = public_key_from_point(bytes, curve, arena);
	return key;
}

/* Named curves only: parameters of its own could make any signature valid. */
static bool public_key_is_of(const EVP_PKEY *key, const char *curve)
{
	char name[PUBLIC_KEY_CURVE_BYTES];
	size_t size;

	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, name, sizeof(name), &size) == 1 &&
	       (curve == NULL || strcmp(name, curve) == 0);
}

EVP_PKEY *public_key_read(struct slice text, const char *curve, struct arena *arena)
{
	EVP_PKEY *key = NULL;

	for (int i = 0; i < PUBLIC_KEY_WRAPPINGS && key == NULL; i++) {
		if (slice_is_absent(text) || text.size > PUBLIC_KEY_BYTES_MAX)
			break;
		if (public_key_begins(text, public_key_pem))
			key = public_key_from_pem(text);
		text = encoded_bytes(public_key_without_label(text), arena);
		if (key == NULL && !slice_is_absent(text))
			key = public_key_from_bytes(text, curve, arena);
	}
	if (key != NULL && !public_key_is_of(key, curve)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}
