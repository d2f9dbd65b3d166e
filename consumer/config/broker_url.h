#ifndef CONFIG_BROKER_URL_H
#define CONFIG_BROKER_URL_H

#include "base/error.h"

#include <stdbool.h>

/*
 * The address of a broker: [mqtt://|mqtts://|tcp://|ssl://]host[:port]. One that cannot be is
 * refused before anything quotes it: a password may be in it.
 */

/* False with err (FATAL). name: of the setting or option, for the error. */
MUST_CHECK bool broker_url_check(const char *name, const char *url, struct error *err);

/* Of one that was checked: is what goes there encrypted, and does it stay on this machine? */
bool broker_url_is_encrypted(const char *url);
bool broker_url_is_local(const char *url);

/* Whether a host is this machine: "localhost", 127.0.0.0/8, ::1, a folder of Unix sockets. */
bool host_is_local(const char *host);

#endif
