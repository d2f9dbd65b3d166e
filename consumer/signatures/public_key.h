#ifndef SIGNATURES_PUBLIC_KEY_H
#define SIGNATURES_PUBLIC_KEY_H

#include "base/arena.h"
#include "base/slice.h"

#include <openssl/evp.h>
#include <stdbool.h>

/*
 * A meter's public key for elliptic curves, as stations, meters and their documents write it: a
 * SubjectPublicKeyInfo (RFC 5480) as PEM or DER, or a point of the curve, in hexadecimal or base64,
 * perhaps once more in base64 (OCPP 2.x) or after "oca:base16:asn1:" (Open Charge Alliance). Pure;
 * any thread.
 *
 * NULL if it is anything else, if its curve is another one or has parameters of its own, or if the
 * memory is not enough. curve: OpenSSL's name; NULL = any, but then a bare point is not a key. The
 * caller frees the key with EVP_PKEY_free().
 */
MUST_CHECK EVP_PKEY *public_key_read(struct slice text, const char *curve, struct arena *arena);

#endif
