#include "http/http.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HTTP_CONNECTIONS_MAX = 32,
	HTTP_TIMEOUT_S = 10,
	HTTP_ADDRESS_BYTES = 256,
};

struct http {
	struct ev_loop *loop;
	http_handler *handler;
	void *context;
	struct MHD_Daemon *daemon;
	ev_io io;
	ev_timer timer;
};

static enum MHD_Result http_answer(void *context, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *upload_data,
	size_t *upload_data_size, void **connection_context);

/* libmicrohttpd has an epoll set of its own, whose descriptor says when there is work. */
static void http_work(struct http *h)
{
	unsigned MHD_LONG_LONG timeout_ms;

	(void)MHD_run(h->daemon);
	ev_timer_stop(h->loop, &h->timer);
	if (MHD_get_timeout(h->daemon, &timeout_ms) == MHD_YES) {
		ev_timer_set(&h->timer, (double)timeout_ms / 1000., 0.);
		ev_timer_start(h->loop, &h->timer);
	}
}

static void http_on_io(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	http_work(w->data);
}

static void http_on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	http_work(w->data);
}

/* "host:port" to an address. */
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
		error_set(err, ERROR_FATAL, "bad_setting", "http.listen is \"%s\", not HOST:PORT",
			listen);
		return error_hint(err, "for example 127.0.0.1:9464, or :9464 for all addresses");
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - listen), listen);
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		name = host + 1;
	}
	code = getaddrinfo(name[0] == '\0' ? NULL : name, colon + 1, &hints, out);
	if (code != 0)
		return error_set(err, ERROR_FATAL, "bad_setting", "http.listen is \"%s\": %s",
			listen, gai_strerror(code));
	return true;
}

static void http_log_nothing(void *context, const char *format, va_list args)
{
	(void)context;
	(void)format;
	(void)args;
}

bool http_start(struct http **out, struct ev_loop *loop, const char *listen, http_handler *handler,
	void *context, struct error *err)
{
	struct http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;
	struct addrinfo *address = NULL;
	unsigned flags = MHD_USE_EPOLL;

	if (h == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	*h = (struct http){.loop = loop, .handler = handler, .context = context};
	if (!http_resolve(listen, &address, err)) {
		free(h);
		return false;
	}
	if (address->ai_family == AF_INET6)
		flags |= MHD_USE_DUAL_STACK;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_answer, h, MHD_OPTION_SOCK_ADDR,
		address->ai_addr, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT_S, MHD_OPTION_EXTERNAL_LOGGER,
		http_log_nothing, NULL, MHD_OPTION_END);
	freeaddrinfo(address);
	if (h->daemon == NULL) {
		error_set_errno(err, ERROR_FATAL, "http", "could not listen on %s", listen);
		error_hint(err, "set http.listen to another address, or to nothing");
		free(h);
		return false;
	}
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	ev_io_init(&h->io, http_on_io, info->epoll_fd, EV_READ);
	ev_init(&h->timer, http_on_timer);
	h->io.data = h->timer.data = h;
	ev_io_start(loop, &h->io);
	*out = h;
	return true;
}

void http_stop(struct http **http)
{
	struct http *h = *http;

	*http = NULL;
	if (h == NULL)
		return;
	ev_io_stop(h->loop, &h->io);
	ev_timer_stop(h->loop, &h->timer);
	MHD_stop_daemon(h->daemon);
	free(h);
}

static enum MHD_Result http_send(struct MHD_Connection *connection, const struct http_answer *a)
{
	/* libmicrohttpd does not write to it: it makes a copy. */
	struct MHD_Response *response = MHD_create_response_from_buffer(a->body.size,
		(void *)(uintptr_t)a->body.data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->content_type);
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
		a.body = slice_from_cstr("there are /metrics, /healthz and /readyz\n");
	}
	return http_send(connection, &a);
}
