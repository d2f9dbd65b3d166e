#ifndef MQTT_TLS_CHECK_H
#define MQTT_TLS_CHECK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What paho has no setting for: certificates that were revoked, and why a certificate is refused.
 *
 * paho hands out neither its SSL_CTX nor its SSL. But OpenSSL calls whoever asked for it when one
 * is made (SSL_get_ex_new_index(3)): there the list of revoked certificates and a callback are put
 * into it. So it is the connection itself that is checked, not another one before it. An SSL of
 * paho is known by paho's info callback, which nothing else in this program sets.
 *
 * One connection at a time; any thread.
 */

/*
 * Before each try to connect: crl is a file (PEM) with a list of each authority that issued a
 * certificate of the broker's chain; it is read again for each connection. "" = none. Borrowed
 * until the next call.
 */
void tls_check_begin(const char *crl);

/* Why the certificate was refused, with its names and dates; "" if it was not. */
enum { TLS_CHECK_TEXT_BYTES = 400 };
void tls_check_fault(char out[static TLS_CHECK_TEXT_BYTES]);

/* Whether the connection begun last was made with what is described above: false with another
 * OpenSSL or paho, where a revoked certificate would not be noticed. */
bool tls_check_took_part(void);

/*
 * Whether the files can be used at all: paho does not say which of them it failed to load. False
 * with err (TRANSIENT, for a person: the file may be put right while we try), which names the
 * setting and the file. "" = not set.
 */
struct tls_files {
	const char *ca;
	const char *certificate;
	const char *key; /* "" = in the file of the certificate */
	const char *key_password;
};
MUST_CHECK bool tls_check_files(const struct tls_files *files, struct error *err);

#endif
