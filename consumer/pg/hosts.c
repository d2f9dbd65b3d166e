#include "pg/hosts.h"

#include "pg/connect_private.h"
#include "pg/libpq_options.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PG_HOSTS_MAX = 32, PG_ADDRESSES_MAX = 64, PG_ADDRESS_BYTES = 80 };

struct pg_host {
	char *host; /* "" = libpq's default */
	char *hostaddr;
	char *port;
};

struct pg_hosts {
	struct pg_options options;
	PQconninfoOption *parsed; /* of the URL, NULL without one */
	struct pg_host items[PG_HOSTS_MAX];
	size_t count; /* 0: left to libpq */
	bool prefer_standby;
	bool says_which; /* target_session_attrs is set, by the URL or the environment */

	/* The round: which host it began with, and how many had their turn. */
	size_t first;
	size_t hosts_tried;
	struct error errors; /* its message: what was wrong with each attempt so far */
	bool comes_back;     /* one of them may succeed later without anybody's doing */

	/* The current host's, in order; none: libpq resolves the name. */
	char addresses[PG_ADDRESSES_MAX][PG_ADDRESS_BYTES];
	size_t addresses_count;
	size_t addresses_first;
	size_t addresses_tried;
	bool looked_up;
	char taken[PG_ADDRESS_BYTES]; /* the address that accepted us last, or "" */
};

/* Element i of a list with commas; a list of one is for all, as libpq treats a single port. */
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

	if (count > PG_HOSTS_MAX)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"more than %d hosts in storage.url", PG_HOSTS_MAX);
	/* Lists of different lengths: libpq's own error says it best. */
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
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	return true;
}

static void hosts_read_attrs(struct pg_hosts *h, PQconninfoOption *defaults)
{
	const char *attrs = libpq_option(h->parsed, "target_session_attrs");

	h->says_which = *attrs != '\0';
	if (!h->says_which) {
		attrs = libpq_option(defaults, "target_session_attrs");
		h->says_which = strcmp(attrs, PG_DEFAULT_ATTRS) != 0;
	}
	h->prefer_standby = strcmp(attrs, "prefer-standby") == 0;
}

/* What the URL says, otherwise what the environment says, as libpq does. */
static bool hosts_fill_url(struct pg_hosts *h, PQconninfoOption *defaults, struct error *err)
{
	char *message = NULL;
	const char *host, *hostaddr, *port;

	h->parsed = PQconninfoParse(h->options.url, &message);
	if (h->parsed == NULL) {
		/* Dropped, because it may quote a password. */
		PQfreemem(message);
		return true;
	}
	/* A service names its hosts in a file of its own. */
	if (*libpq_option(h->parsed, "service") != '\0')
		return true;
	host = libpq_option(h->parsed, "host");
	hostaddr = libpq_option(h->parsed, "hostaddr");
	port = libpq_option(h->parsed, "port");
	if (*host == '\0' && *hostaddr == '\0')
		host = libpq_option(defaults, "host");
	if (*hostaddr == '\0')
		hostaddr = libpq_option(defaults, "hostaddr");
	if (*port == '\0')
		port = libpq_option(defaults, "port");
	return hosts_fill(h, host, hostaddr, port, err);
}

bool pg_hosts_new(struct pg_hosts **out, const struct pg_options *options, struct error *err)
{
	struct pg_hosts *h = calloc(1, sizeof(*h));
	PQconninfoOption *defaults;
	char port[16];
	bool ok;

	if (h == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	defaults = PQconndefaults();
	h->options = *options;
	snprintf(port, sizeof(port), "%lld", (long long)options->port);
	ok = options->url != NULL && *options->url != '\0'
		     ? hosts_fill_url(h, defaults, err)
		     : hosts_fill(h, options->host, "", port, err);
	hosts_read_attrs(h, defaults);
	PQconninfoFree(defaults);
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

/* ---- a round ---- */

static void hosts_next_turn(struct pg_hosts *h)
{
	h->looked_up = false;
	h->addresses_count = h->addresses_first = h->addresses_tried = 0;
}

void pg_hosts_begin_round(struct pg_hosts *h)
{
	h->hosts_tried = 0;
	h->errors.message[0] = '\0';
	h->comes_back = false;
	hosts_next_turn(h);
}

static const struct pg_host *hosts_item(const struct pg_hosts *h)
{
	return &h->items[(h->first + h->hosts_tried) % h->count];
}

static const char *hosts_address(const struct pg_hosts *h)
{
	if (h->addresses_count == 0)
		return "";
	return h->addresses[(h->addresses_first + h->addresses_tried) % h->addresses_count];
}

static void hosts_keep_address(struct pg_hosts *h, const struct addrinfo *found)
{
	char *to = h->addresses[h->addresses_count];

	if (h->addresses_count == PG_ADDRESSES_MAX ||
		getnameinfo(found->ai_addr, found->ai_addrlen, to, PG_ADDRESS_BYTES, NULL, 0,
			NI_NUMERICHOST) != 0)
		return;
	if (strcmp(to, h->taken) == 0)
		h->addresses_first = h->addresses_count;
	h->addresses_count++;
}

/* Unix sockets and hosts with a given address need no lookup. */
static bool hosts_look_up(struct pg_hosts *h, const struct pg_host *item, struct error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int failed;

	h->looked_up = true;
	if (*item->hostaddr != '\0' || *item->host == '\0' || *item->host == '/' ||
		*item->host == '@')
		return true;
	failed = getaddrinfo(item->host, NULL, &hints, &found);
	if (failed != 0) {
		error_set(err, ERROR_TRANSIENT, REASON_connection,
			"could not translate host name \"%s\" to address: %s", item->host,
			gai_strerror(failed));
		if (failed == EAI_NONAME) { /* not EAI_AGAIN: a name server that does not answer */
			error_needs_person(err);
			error_hint(err, "see storage.postgres.host: no such host is known");
		}
		return false;
	}
	for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
		hosts_keep_address(h, at);
	freeaddrinfo(found);
	return true;
}

PGconn *pg_hosts_start(struct pg_hosts *h, struct error *err)
{
	const struct pg_host *item;
	struct pg_target t;
	struct pg_keywords *k = &t.keywords;

	if (h->count == 0)
		return pg_connect_start(&h->options, err);
	item = hosts_item(h);
	if (!h->looked_up && !hosts_look_up(h, item, err))
		return NULL;
	pg_target_init(&t, &h->options, h->parsed);
	pg_keyword(k, "host", item->host);
	pg_keyword(k, "hostaddr", item->hostaddr);
	pg_keyword(k, "hostaddr", hosts_address(h));
	pg_keyword(k, "port", item->port);
	if (h->prefer_standby)
		pg_keyword(k, "target_session_attrs",
			h->hosts_tried < h->count ? "standby" : "any");
	else if (!h->says_which &&
		 (h->count > 1 || (h->addresses_count > 1 && !h->options.addresses_alike)))
		pg_keyword(k, "target_session_attrs", PG_SEVERAL_ATTRS);
	return pg_connect_checked(PQconnectStartParams(k->names, k->values, 0), err);
}

/* Says which of several hosts it was. */
static void hosts_note_error(struct pg_hosts *h, const struct error *err)
{
	const struct pg_host *item = hosts_item(h);
	size_t size = strlen(h->errors.message), room = sizeof(h->errors.message) - size;
	const char *between = size > 0 ? "; " : "";

	if (h->addresses_count > 1)
		snprintf(h->errors.message + size, room, "%s%s (%s):%s: %.200s", between,
			item->host, hosts_address(h), item->port, err->message);
	else
		snprintf(h->errors.message + size, room, "%s%s:%s: %.200s", between,
			*item->host != '\0' ? item->host : item->hostaddr, item->port,
			err->message);
}

bool pg_hosts_failed(struct pg_hosts *h, struct error *err)
{
	size_t turns = h->count * (h->prefer_standby ? 2 : 1);
	bool several = turns > 1 || h->addresses_count > 1;

	if (h->count == 0)
		return false;
	if (several)
		hosts_note_error(h, err);
	h->comes_back |= !err->needs_person;
	if (++h->addresses_tried < h->addresses_count)
		return true;
	if (++h->hosts_tried < turns) {
		hosts_next_turn(h);
		return true;
	}
	h->first = (h->first + 1) % h->count;
	err->needs_person &= !h->comes_back || err->kind == ERROR_FATAL;
	if (several)
		memcpy(err->message, h->errors.message, sizeof(err->message));
	return false;
}

void pg_hosts_taken(struct pg_hosts *h)
{
	if (h->count == 0)
		return;
	snprintf(h->taken, sizeof(h->taken), "%s", hosts_address(h));
	h->first = (h->first + h->hosts_tried) % h->count;
}
