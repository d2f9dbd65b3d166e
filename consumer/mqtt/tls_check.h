#ifndef MQTT_TLS_CHECK_H
#define MQTT_TLS_CHECK_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Things that paho has no setting for: checking for revoked certificates, and saying why a
 * certificate was refused.
 *
 * paho exposes neither its SSL_CTX nor its SSL. But OpenSSL calls back whoever registered for it
 * when an SSL is made (SSL_get_ex_new_index(3)): there we add the list of revoked certificates and
 * a callback. So the check applies to the real connection, not to another one before it. We
 * recognise paho's SSLs by paho's info callback, which nothing else in this program sets.
 *
 * One connection at a time; any thread.
 */

/*
 * Before each attempt to connect: crl is a file (PEM) with a list from each authority that issued a
 * certificate in the broker's chain; it is read again for each connection. "" = none. Borrowed
 * until the next call.
 */
void tls_check_begin(const char *crl);

/* Why the certificate was refused, with its names and dates; "" if it was not. */
enum { TLS_CHECK_TEXT_BYTES = 400 };
void tls_check_fault(char out[static TLS_CHECK_TEXT_BYTES]);

/* Whether the last connection begun was hooked in the way described above: false with another
 * OpenSSL or paho, where a revoked certificate would go unnoticed. */
bool tls_check_took_part(void);

/*
 * Whether the files are usable: paho does not say which of them it failed to load. False with err
 * (TRANSIENT, needs a person: the file may be fixed while we retry), which names the setting and
 * the file. "" = not set.
 */
struct tls_files {
	const char *ca;
	const char *certificate;
	const char *key; /* "" = in the certificate's file */
	const char *key_password;
};
MUST_CHECK bool tls_check_files(const struct tls_files *files, struct error *err);

#endif
