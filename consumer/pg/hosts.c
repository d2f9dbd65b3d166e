#include "pg/hosts.h"

#include "pg/connect_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PG_HOSTS_MAX = 32 };

struct pg_host {
	char *host; /* "" = libpq's own */
	char *hostaddr;
	char *port;
};

struct pg_hosts {
	struct pg_options options;
	PQconninfoOption *parsed; /* of the URL, NULL without one */
	struct pg_host items[PG_HOSTS_MAX];
	size_t count; /* 0: there is one, and it is left to libpq */
	bool prefer_standby;
};

static const char *hosts_value(PQconninfoOption *options, const char *keyword)
{
	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, keyword) == 0)
			return o->val == NULL ? "" : o->val;
	}
	return "";
}

/* Element i of a list with commas; the last one for all, as libpq takes a single port. */
static char *hosts_element(const char *list, size_t i)
{
	const char *end;

	while (i > 0 && strchr(list, ',') != NULL) {
		list = strchr(list, ',') + 1;
		i--;
	}
	end = strchrnul(list, ',');
	return strndup(list, (size_t)(end - list));
}

static size_t hosts_elements(const char *list)
{
	size_t count = 1;

	for (; *list != '\0'; list++)
		count += *list == ',';
	return count;
}

static bool hosts_fill(struct pg_hosts *h, const char *host, const char *hostaddr, const char *port,
	struct error *err)
{
	size_t count = hosts_elements(*hostaddr != '\0' ? hostaddr : host);
	size_t ports = hosts_elements(port);

	if (count == 1)
		return true;
	if (count > PG_HOSTS_MAX)
		return error_set(err, ERROR_FATAL, "bad_setting",
			"more than %d hosts in storage.url", PG_HOSTS_MAX);
	/* Lists that do not fit: libpq says it best. */
	if ((ports != 1 && ports != count) ||
		(*host != '\0' && *hostaddr != '\0' && hosts_elements(host) != count))
		return true;
	for (size_t i = 0; i < count; i++) {
		struct pg_host *item = &h->items[i];

		item->host = hosts_element(host, i);
		item->hostaddr = hosts_element(hostaddr, i);
		item->port = hosts_element(port, i);
		h->count++;
		if (item->host == NULL || item->hostaddr == NULL || item->port == NULL)
			return error_set(err, ERROR_FATAL, "memory", "out of memory");
	}
	return true;
}

/* What the URL says; else what the environment does, as libpq has it. */
static bool hosts_fill_url(struct pg_hosts *h, struct error *err)
{
	char *message = NULL;
	PQconninfoOption *defaults;
	const char *host, *hostaddr, *port, *attrs;
	bool ok;

	h->parsed = PQconninfoParse(h->options.url, &message);
	if (h->parsed == NULL) {
		/* Not ours to say, and it may quote a password. */
		PQfreemem(message);
		return true;
	}
	/* A service names hosts in a file of its own. */
	if (*hosts_value(h->parsed, "service") != '\0')
		return true;
	defaults = PQconndefaults();
	host = hosts_value(h->parsed, "host");
	hostaddr = hosts_value(h->parsed, "hostaddr");
	port = hosts_value(h->parsed, "port");
	attrs = hosts_value(h->parsed, "target_session_attrs");
	if (*host == '\0' && *hostaddr == '\0') {
		host = hosts_value(defaults, "host");
		hostaddr = hosts_value(defaults, "hostaddr");
	}
	if (*port == '\0')
		port = hosts_value(defaults, "port");
	if (*attrs == '\0')
		attrs = hosts_value(defaults, "target_session_attrs");
	h->prefer_standby = strcmp(attrs, "prefer-standby") == 0;
	ok = hosts_fill(h, host, hostaddr, port, err);
	PQconninfoFree(defaults);
	return ok;
}

bool pg_hosts_new(struct pg_hosts **out, const struct pg_options *options, struct error *err)
{
	struct pg_hosts *h = calloc(1, sizeof(*h));
	char port[16];
	bool ok;

	if (h == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	h->options = *options;
	snprintf(port, sizeof(port), "%lld", (long long)options->port);
	ok = options->url != NULL && *options->url != '\0'
		     ? hosts_fill_url(h, err)
		     : hosts_fill(h, options->host, "", port, err);
	if (!ok)
		pg_hosts_free(&h);
	*out = h;
	return ok;
}

void pg_hosts_free(struct pg_hosts **hosts)
{
	struct pg_hosts *h = *hosts;

	*hosts = NULL;
	if (h == NULL)
		return;
	for (size_t i = 0; i < h->count; i++) {
		free(h->items[i].host);
		free(h->items[i].hostaddr);
		free(h->items[i].port);
	}
	PQconninfoFree(h->parsed);
	free(h);
}

size_t pg_hosts_tries(const struct pg_hosts *h)
{
	if (h->count == 0)
		return 1;
	return h->count * (h->prefer_standby ? 2 : 1);
}

PGconn *pg_hosts_start(const struct pg_hosts *h, size_t first, size_t n, struct error *err)
{
	struct pg_target t;
	struct pg_keywords *k = &t.keywords;
	const struct pg_host *item;

	if (h->count == 0)
		return pg_connect_start(&h->options, err);
	item = &h->items[(first + n) % h->count];
	pg_target_init(&t, &h->options, h->parsed);
	pg_keyword(k, "host", item->host);
	pg_keyword(k, "hostaddr", item->hostaddr);
	pg_keyword(k, "port", item->port);
	if (h->prefer_standby)
		pg_keyword(k, "target_session_attrs", n < h->count ? "standby" : "any");
	return pg_connect_checked(PQconnectStartParams(k->names, k->values, 0), err);
}

size_t pg_hosts_next(const struct pg_hosts *h, size_t first)
{
	return h->count == 0 ? 0 : (first + 1) % h->count;
}

size_t pg_hosts_taken(const struct pg_hosts *h, size_t first, size_t n)
{
	return h->count == 0 ? 0 : (first + n) % h->count;
}

void pg_hosts_failed(const struct pg_hosts *h, size_t first, size_t n, struct error *so_far,
	struct error *err)
{
	const struct pg_host *item;
	size_t size = strlen(so_far->message);

	if (h->count == 0)
		return;
	item = &h->items[(first + n) % h->count];
	snprintf(so_far->message + size, sizeof(so_far->message) - size, "%s%s:%s: %.200s",
		size > 0 ? "; " : "", *item->host != '\0' ? item->host : item->hostaddr, item->port,
		err->message);
	memcpy(err->message, so_far->message, sizeof(err->message));
}
