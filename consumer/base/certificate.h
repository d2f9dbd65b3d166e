#ifndef BASE_CERTIFICATE_H
#define BASE_CERTIFICATE_H

#include <openssl/x509.h>
#include <stddef.h>

/* Describes certificates for whoever has to replace one. Pure; any thread. */
enum { CERTIFICATE_NAME_BYTES = 120 }; /* a longer one is cut */

/* "O = Example, CN = broker.example" */
void certificate_name(const X509_NAME *name, char out[static CERTIFICATE_NAME_BYTES]);

/* For a callback of SSL_set_verify(): what is wrong, and the certificate's subject, issuer and
 * validity. */
void certificate_fault(X509_STORE_CTX *context, char *out, size_t size);

#endif
