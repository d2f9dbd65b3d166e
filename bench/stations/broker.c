#include "stations/broker.h"

#include <stdio.h>
#include <string.h>

struct broker_name {
	char host[256];
	char port[16];
};

/* host:port, with the scheme taken off. */
static bool broker_split(struct broker_name *name, const char *url)
{
	const char *scheme = strstr(url, "://"), *colon;
	size_t size;

	if (scheme != NULL) {
		if (strncmp(url, "mqtt://", 7) != 0 && strncmp(url, "tcp://", 6) != 0)
			return false;
		url = scheme + 3;
	}
	if (url[0] == '[') {
		const char *end = strchr(url, ']');

		if (end == NULL)
			return false;
		size = (size_t)(end - url - 1);
		url++;
		colon = end[1] == ':' ? end + 1 : NULL;
		if (colon == NULL && end[1] != '\0')
			return false;
	} else {
		colon = strchr(url, ':');
		size = colon == NULL ? strlen(url) : (size_t)(colon - url);
	}
	if (size == 0 || size >= sizeof(name->host))
		return false;
	memcpy(name->host, url, size);
	name->host[size] = '\0';
	snprintf(name->port, sizeof(name->port), "%s", colon == NULL ? "1883" : colon + 1);
	return name->port[0] != '\0' && strspn(name->port, "0123456789") == strlen(name->port);
}

bool broker_resolve(struct broker *b, const char *url, struct error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct broker_name name;
	int failure;

	if (!broker_split(&name, url))
		return error_set(err, ERROR_FATAL, REASON_usage,
			"\"%s\" is not the address of a broker: mqtt://host:port", url);
	failure = getaddrinfo(name.host, name.port, &hints, &b->addresses);
	if (failure != 0)
		return error_set(err, ERROR_FATAL, REASON_broker, "could not find \"%s\": %s",
			name.host, gai_strerror(failure));
	return true;
}

void broker_free(struct broker *b)
{
	if (b->addresses != NULL)
		freeaddrinfo(b->addresses);
	b->addresses = NULL;
}
