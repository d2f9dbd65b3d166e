#ifndef PG_CONNINFO_H
#define PG_CONNINFO_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Pool settings in a connection string ("host=x pool_max_conns=10") or URL
 * ("postgres://x/db?pool_max_conns=10"), as in Go's pgxpool. libpq refuses a string that has them,
 * so they are taken out first. Pure; any thread.
 *
 *	pool_max_conns, pool_min_conns              numbers
 *	connect_timeout                             seconds, or 500ms, 30s, 10m, 1h
 *	idle_timeout, pool_max_conn_idle_time       the same
 *
 * Any other name that begins with pool_ is an error, because an ignored setting is worse than none.
 */
struct pg_pool_settings {
	int64_t conns_max;
	int64_t conns_min;
	int64_t connect_timeout_us;
	int64_t idle_timeout_us;
};

enum { PG_CONNINFO_BYTES_MAX = 8192 };

/* The defaults: 25, 5, 30 s, 10 min. */
struct pg_pool_settings pg_pool_settings_default(void);

/* Copies the rest of text to out; settings that text names go into *io, the others stay. FATAL on
 * failure. */
MUST_CHECK bool pg_conninfo_split(const char *text, char out[static PG_CONNINFO_BYTES_MAX],
	struct pg_pool_settings *io, struct error *err);

/* Checks the settings against each other, wherever they came from. FATAL. */
MUST_CHECK bool pg_pool_settings_check(const struct pg_pool_settings *s, struct error *err);

/* Whether storage.url, including pool settings, is valid; "" is. The error does not quote it.
 * FATAL. */
MUST_CHECK bool pg_url_check(const char *text, struct error *err);

#endif
