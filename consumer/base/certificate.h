#ifndef BASE_CERTIFICATE_H
#define BASE_CERTIFICATE_H

#include <openssl/x509.h>
#include <stddef.h>

/* Certificates in words, for whoever has to replace one. Pure; any thread. */
enum { CERTIFICATE_NAME_BYTES = 120 }; /* a longer one is cut */

/* "O = Example, CN = broker.example" */
void certificate_name(const X509_NAME *name, char out[static CERTIFICATE_NAME_BYTES]);

/* In a callback of SSL_set_verify(): what is wrong, of whose certificate, by whom and for what time
 * it was issued. */
void certificate_fault(X509_STORE_CTX *context, char *out, size_t size);

#endif
