#ifndef CONFIG_BROKER_URL_H
#define CONFIG_BROKER_URL_H

#include "base/error.h"

#include <stdbool.h>

/* The address of a broker: [mqtt://|mqtts://|tcp://|ssl://]host[:port]. An invalid one is refused
 * without quoting it: it may contain a password. */

/* False with err (FATAL). name: the setting or option, for the error. */
MUST_CHECK bool broker_url_check(const char *name, const char *url, struct error *err);

/* For a checked address: is the connection encrypted, and does it stay on this machine? */
bool broker_url_is_encrypted(const char *url);
bool broker_url_is_local(const char *url);

/* Whether a host is this machine: "localhost", 127.0.0.0/8, ::1, a folder of Unix sockets. */
bool host_is_local(const char *host);

#endif
