#include "http/http.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * We accept connections, libmicrohttpd serves them. So we decide which one goes when there are too
 * many: the oldest of an address that has its full share, otherwise the oldest of all. A client
 * that asks and reads is done long before it is the oldest; one that only hangs on makes room for
 * it. A connection serves one request, and ends at its deadline whatever its state.
 */
enum {
	HTTP_CONNECTIONS_MAX = 512,
	HTTP_PER_ADDRESS_MAX = 128,
	HTTP_ACCEPT_AT_ONCE =
		32, /* less than an address's share: none is pushed out before it is seen */
	HTTP_MEMORY_BYTES = 8192, /* per connection: the request with all its headers */
	HTTP_ADDRESS_BYTES = 256,
	HTTP_BACKLOG = 256,
};

static const int64_t HTTP_DEADLINE_US = 5 * US_PER_SECOND;
/* libmicrohttpd runs at least this often, even if nothing seems to happen. */
static const double HTTP_TICK_S = 0.25;

/* A client's identity for limits: an IPv4 address, or the 64-bit prefix of an IPv6 site. */
struct http_address {
	uint8_t bytes[8];
};

struct http_connection {
	int fd; /* libmicrohttpd closes it */
	bool used;
	bool cut; /* shut down by us; removed when libmicrohttpd notices */
	int64_t since_us;
	struct http_address address;
};

struct http {
	struct ev_loop *loop;
	http_handler *handler;
	void *context;
	struct MHD_Daemon *daemon;
	int listen_fd;
	ev_io accept_io;
	ev_io io;
	ev_timer tick;
	struct http_connection connections[HTTP_CONNECTIONS_MAX];
	struct http_connection *adding; /* the one being handed to libmicrohttpd */
};

/* ---- connections ---- */

static struct http_address http_address_of(const struct sockaddr_storage *from)
{
	struct http_address out = {{0}};

	if (from->ss_family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)from)->sin6_addr;
		bool mapped = IN6_IS_ADDR_V4MAPPED(a);

		memcpy(out.bytes, a->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
	} else if (from->ss_family == AF_INET) {
		memcpy(out.bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
	}
	return out;
}

static void http_cut(struct http_connection *c)
{
	c->cut = true;
	(void)shutdown(c->fd, SHUT_RDWR);
}

/* The oldest that is not cut yet; address: only from there, or NULL. *count_out: how many there
 * are. */
static struct http_connection *http_oldest(struct http *h, const struct http_address *address,
	size_t *count_out)
{
	struct http_connection *oldest = NULL;

	*count_out = 0;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *c = &h->connections[i];

		if (!c->used || c->cut)
			continue;
		if (address != NULL && memcmp(&c->address, address, sizeof(*address)) != 0)
			continue;
		++*count_out;
		if (oldest == NULL || c->since_us < oldest->since_us)
			oldest = c;
	}
	return oldest;
}

static struct http_connection *http_free_slot(struct http *h)
{
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		if (!h->connections[i].used)
			return &h->connections[i];
	}
	return NULL;
}

/* libmicrohttpd has an epoll set, whose descriptor says when there is work. */
static void http_work(struct http *h)
{
	(void)MHD_run(h->daemon);
}

/* NULL if even cutting one did not help. */
static struct http_connection *http_make_room(struct http *h, const struct http_address *address)
{
	struct http_connection *slot, *oldest;
	size_t count;

	oldest = http_oldest(h, address, &count);
	if (count >= HTTP_PER_ADDRESS_MAX)
		http_cut(oldest);
	slot = http_free_slot(h);
	if (slot != NULL)
		return slot;
	oldest = http_oldest(h, NULL, &count);
	if (oldest != NULL)
		http_cut(oldest);
	http_work(h);
	return http_free_slot(h);
}

static void http_on_connection(void *context, struct MHD_Connection *connection,
	void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	struct http *h = context;

	(void)connection;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = h->adding;
		h->adding->used = true;
	} else if (*socket_context != NULL) {
		((struct http_connection *)*socket_context)->used = false;
	}
}

static void http_add(struct http *h, int fd, const struct sockaddr_storage *from, socklen_t size)
{
	struct http_address address = http_address_of(from);
	struct http_connection *c = http_make_room(h, &address);

	if (c == NULL) {
		close(fd);
		return;
	}
	*c = (struct http_connection){.fd = fd, .since_us = clock_mono_us(), .address = address};
	h->adding = c;
	(void)MHD_add_connection(h->daemon, fd, (const struct sockaddr *)from, size);
	h->adding = NULL;
}

/* Out of descriptors, for example: waiting connections stay in the queue until the next tick. */
static void http_pause(struct http *h)
{
	size_t count;
	struct http_connection *oldest = http_oldest(h, NULL, &count);

	if (oldest != NULL)
		http_cut(oldest);
	ev_io_stop(h->loop, &h->accept_io);
}

static void http_on_accept(struct ev_loop *loop, ev_io *w, int events)
{
	struct http *h = w->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < HTTP_ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
		socklen_t size = sizeof(from);
		int fd = accept4(h->listen_fd, (struct sockaddr *)&from, &size,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			http_add(h, fd, &from, size);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			http_pause(h);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			break;
	}
	http_work(h);
}

static void http_on_io(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	http_work(w->data);
}

static void http_on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct http *h = w->data;
	int64_t now_us = clock_mono_us();

	(void)events;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *c = &h->connections[i];

		if (c->used && !c->cut && now_us - c->since_us > HTTP_DEADLINE_US)
			http_cut(c);
	}
	http_work(h);
	ev_io_start(loop, &h->accept_io);
}

/* ---- starting and stopping ---- */

/* Resolves "host:port". */
static bool http_resolve(const char *listen, struct addrinfo **out, struct error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	char host[HTTP_ADDRESS_BYTES];
	const char *colon = strrchr(listen, ':');
	char *name = host;
	int code;

	if (colon == NULL || (size_t)(colon - listen) >= sizeof(host)) {
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"http.listen is \"%s\", not HOST:PORT", listen);
		return error_hint(err, "for example 127.0.0.1:9464, or :9464 for all addresses");
	}
	if (strtoul(colon + 1, NULL, 10) >
		UINT16_MAX) /* getaddrinfo() would take it modulo 65536 */
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"http.listen is \"%s\": a port is 0 to 65535", listen);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - listen), listen);
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		name = host + 1;
	}
	code = getaddrinfo(name[0] == '\0' ? NULL : name, colon + 1, &hints, out);
	if (code != 0)
		return error_set(err, ERROR_FATAL, REASON_bad_setting, "http.listen is \"%s\": %s",
			listen, gai_strerror(code));
	return true;
}

bool http_check(const char *listen, struct error *err)
{
	struct addrinfo *found;

	if (!http_resolve(listen, &found, err))
		return false;
	freeaddrinfo(found);
	return true;
}

/* -1 with errno. */
static int http_listen(const struct addrinfo *address)
{
	int on = 1, off = 0, saved;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, HTTP_BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* No page has a name that needs it, and a path with %00 would end there. */
static size_t http_unescape_nothing(void *context, struct MHD_Connection *connection, char *path)
{
	(void)context;
	(void)connection;
	return strlen(path);
}

static void http_log_nothing(void *context, const char *format, va_list args)
{
	(void)context;
	(void)format;
	(void)args;
}

static void http_watch(struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	ev_io_init(&h->accept_io, http_on_accept, h->listen_fd, EV_READ);
	ev_io_init(&h->io, http_on_io, info->epoll_fd, EV_READ);
	ev_timer_init(&h->tick, http_on_tick, HTTP_TICK_S, HTTP_TICK_S);
	h->accept_io.data = h->io.data = h->tick.data = h;
	ev_io_start(h->loop, &h->accept_io);
	ev_io_start(h->loop, &h->io);
	ev_timer_start(h->loop, &h->tick);
}

void http_stop(struct http **http)
{
	struct http *h = *http;

	*http = NULL;
	if (h == NULL)
		return;
	ev_io_stop(h->loop, &h->accept_io);
	ev_io_stop(h->loop, &h->io);
	ev_timer_stop(h->loop, &h->tick);
	MHD_stop_daemon(h->daemon);
	close(h->listen_fd);
	free(h);
}

/* What a browser may do with it, whatever the answer is. */
static void http_restrict(struct MHD_Response *response, const char *policy)
{
	(void)MHD_add_response_header(response, "Content-Security-Policy",
		policy != NULL ? policy : "default-src 'none'; frame-ancestors 'none'");
	(void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	(void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

static enum MHD_Result http_send(struct MHD_Connection *connection, const struct http_answer *a)
{
	/* libmicrohttpd copies it, and does not write to it. */
	struct MHD_Response *response = MHD_create_response_from_buffer(a->body.size,
		(void *)(uintptr_t)a->body.data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->content_type);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	http_restrict(response, a->policy);
	result = MHD_queue_response(connection, (unsigned)a->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result http_answer(void *context, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *upload_data,
	size_t *upload_data_size, void **connection_context)
{
	struct http *h = context;
	struct http_answer a = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};

	(void)version;
	(void)upload_data;
	(void)upload_data_size;
	(void)connection_context;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		a.status = MHD_HTTP_METHOD_NOT_ALLOWED;
		a.body = slice_from_cstr("only GET is answered here\n");
	} else if (!h->handler(h->context, url, &a)) {
		a.status = MHD_HTTP_NOT_FOUND;
		a.body = slice_from_cstr(
			"there are /, /status.json, /metrics, /healthz and /readyz\n");
	}
	return http_send(connection, &a);
}

bool http_start(struct http **out, struct ev_loop *loop, const char *listen, http_handler *handler,
	void *context, struct error *err)
{
	struct http *h = calloc(1, sizeof(*h));
	struct addrinfo *address = NULL;

	if (h == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	h->loop = loop;
	h->handler = handler;
	h->context = context;
	if (!http_resolve(listen, &address, err)) {
		free(h);
		return false;
	}
	h->listen_fd = http_listen(address);
	freeaddrinfo(address);
	if (h->listen_fd >= 0)
		h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL,
			NULL, http_answer, h, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(size_t)HTTP_MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION, http_on_connection,
			h, MHD_OPTION_UNESCAPE_CALLBACK, http_unescape_nothing, NULL,
			MHD_OPTION_EXTERNAL_LOGGER, http_log_nothing, NULL, MHD_OPTION_END);
	if (h->daemon == NULL) {
		error_set_errno(err, ERROR_FATAL, REASON_http, "could not listen on %s", listen);
		error_hint(err, "set http.listen to another address, or to nothing");
		if (h->listen_fd >= 0)
			close(h->listen_fd);
		free(h);
		return false;
	}
	http_watch(h);
	*out = h;
	return true;
}
