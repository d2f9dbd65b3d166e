#include "config/broker_url.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BROKER_HOST_BYTES = 256, BROKER_PORT_MAX = 65535, BROKER_PORT_DIGITS = 5 };

static const struct {
	const char *scheme;
	bool encrypted;
} broker_schemes[] = {{"mqtt://", false}, {"mqtts://", true}, {"tcp://", false}, {"ssl://", true}};

/* After the scheme. */
static const char *broker_authority(const char *url, bool *encrypted_out)
{
	*encrypted_out = false;
	for (size_t i = 0; i < sizeof(broker_schemes) / sizeof(*broker_schemes); i++) {
		size_t size = strlen(broker_schemes[i].scheme);

		if (strncmp(url, broker_schemes[i].scheme, size) != 0)
			continue;
		*encrypted_out = broker_schemes[i].encrypted;
		return url + size;
	}
	return url;
}

/* ":1883" or nothing, and perhaps a slash. */
static bool broker_port_fits(const char *text)
{
	size_t digits;

	if (*text == ':') {
		digits = strspn(++text, "0123456789");
		if (digits == 0 || digits > BROKER_PORT_DIGITS ||
			strtol(text, NULL, 10) > BROKER_PORT_MAX || strtol(text, NULL, 10) == 0)
			return false;
		text += digits;
	}
	return text[*text == '/'] == '\0';
}

/* Returns what follows the host, or NULL if there is no host. */
static const char *broker_host(const char *url, char host[static BROKER_HOST_BYTES])
{
	bool encrypted;
	const char *at = broker_authority(url, &encrypted), *end;

	if (*at == '[') {
		end = strchr(++at, ']');
		if (end == NULL || strspn(at, "0123456789abcdefABCDEF:.%") != (size_t)(end - at))
			return NULL;
	} else {
		end = at;
		while (isalnum((unsigned char)*end) || (*end != '\0' && strchr("-._", *end)))
			end++;
	}
	if (end == at || end - at >= BROKER_HOST_BYTES)
		return NULL;
	snprintf(host, BROKER_HOST_BYTES, "%.*s", (int)(end - at), at);
	return end + (*end == ']');
}

bool broker_url_check(const char *name, const char *url, struct error *err)
{
	char host[BROKER_HOST_BYTES];
	const char *port = broker_host(url, host);

	if (port != NULL && broker_port_fits(port))
		return true;
	/* Not quoted: an address with a user usually has a password, too. */
	if (strchr(url, '@') != NULL)
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"%s is not an address of a broker: there is an @ in it", name);
	else
		error_set(err, ERROR_FATAL, REASON_bad_setting, "%s is not an address of a broker",
			name);
	return error_hint(err,
		"as in mqtt://host:1883 or mqtts://host:8883; user and password are mqtt.user and "
		"mqtt.password");
}

bool broker_url_is_encrypted(const char *url)
{
	bool encrypted;

	(void)broker_authority(url, &encrypted);
	return encrypted;
}

bool broker_url_is_local(const char *url)
{
	char host[BROKER_HOST_BYTES];

	return broker_host(url, host) != NULL && host_is_local(host);
}

bool host_is_local(const char *host)
{
	return host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
	       strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}
