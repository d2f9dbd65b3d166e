#ifndef STATIONS_BROKER_H
#define STATIONS_BROKER_H

#include "base/error.h"

#include <netdb.h>

/* Where the broker is. One thread. */
struct broker {
	struct addrinfo *addresses;
};

/* mqtt://host:port, tcp://host:port, host:port or host (1883); [::1] for IPv6. Asks the resolver,
 * so it may take a while. */
bool broker_resolve(struct broker *b, const char *url, struct error *err);
void broker_free(struct broker *b);

#endif
