#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/error.h"
#include "base/slice.h"

#include <ev.h>
#include <stdbool.h>

/*
 * A small HTTP server on the loop, for those who watch us: the status page, /metrics, /healthz,
 * /readyz. The only code that knows libmicrohttpd. Requests are answered immediately from memory;
 * nothing can be posted, and browsers keep nothing. A connection serves one request. Slow clients,
 * however many, delay nobody else: the oldest connection makes room, and each has a deadline.
 */
struct http;

struct http_answer {
	int status;
	const char *content_type;
	struct slice body;  /* copied before the handler is called again */
	const char *policy; /* Content-Security-Policy; NULL: a browser may load and run nothing */
};

/* path: "/metrics"; false = there is no such page. */
typedef bool http_handler(void *context, const char *path, struct http_answer *out);

/* listen: "127.0.0.1:9464", "[::1]:9464" or ":9464" (all addresses). FATAL if unavailable. */
MUST_CHECK bool http_check(const char *listen, struct error *err); /* opens nothing */
MUST_CHECK bool http_start(struct http **out, struct ev_loop *loop, const char *listen,
	http_handler *handler, void *context, struct error *err);
void http_stop(struct http **http);

#endif
