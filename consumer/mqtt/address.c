#include "mqtt/address.h"

#include <stdio.h>
#include <string.h>

static const char address_tls[] = "ssl://";
enum { ADDRESS_SCHEME_BYTES = sizeof(address_tls) - 1 }; /* "tcp://" is as long */

static bool address_has_port(const char *host)
{
	const char *bracket = strrchr(host, ']');

	return strchr(bracket != NULL ? bracket : host, ':') != NULL;
}

char *address_for_paho(const char *url)
{
	static const struct {
		const char *ours, *paho, *port;
	} schemes[] = {{"mqtt://", "tcp://", ":1883"}, {"tcp://", "tcp://", ":1883"},
		{"mqtts://", address_tls, ":8883"}, {address_tls, address_tls, ":8883"},
		{"", "tcp://", ":1883"}};
	char *address = NULL;
	size_t i = 0;

	while (strncmp(url, schemes[i].ours, strlen(schemes[i].ours)) != 0)
		i++;
	url += strlen(schemes[i].ours);
	return asprintf(&address, "%s%s%s", schemes[i].paho, url,
		       address_has_port(url) ? "" : schemes[i].port) < 0
		       ? NULL
		       : address;
}

bool address_is_tls(const char *address)
{
	return strncmp(address, address_tls, ADDRESS_SCHEME_BYTES) == 0;
}

size_t address_count_hosts(char *const *addresses, size_t count)
{
	size_t hosts = 0, same;

	for (size_t i = 0; i < count; i++) {
		for (same = 0; same < i; same++) {
			if (strcmp(addresses[same] + ADDRESS_SCHEME_BYTES,
				    addresses[i] + ADDRESS_SCHEME_BYTES) == 0)
				break;
		}
		hosts += same == i;
	}
	return hosts;
}
