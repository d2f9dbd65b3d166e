#ifndef PG_CONNINFO_H
#define PG_CONNINFO_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Settings of a pool within a connection string ("host=x pool_max_conns=10") or URL
 * ("postgres://x/db?pool_max_conns=10"), as Go's pgxpool takes them. libpq refuses a string that
 * has them, so they are taken out first. Pure; any thread.
 *
 *	pool_max_conns, pool_min_conns              numbers
 *	connect_timeout                             seconds, or 500ms, 30s, 10m, 1h
 *	idle_timeout, pool_max_conn_idle_time       the same
 *
 * Any other name that begins with pool_ is an error: a setting that is ignored is worse than none.
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

/* The rest of text into out; what is named goes into *io, the others stay. FATAL on failure. */
MUST_CHECK bool pg_conninfo_split(const char *text, char out[static PG_CONNINFO_BYTES_MAX],
	struct pg_pool_settings *io, struct error *err);

/* What is wrong between the settings, however they came to be. FATAL. */
MUST_CHECK bool pg_pool_settings_check(const struct pg_pool_settings *s, struct error *err);

/* Whether storage.url, settings of a pool included, can be one; "" can. What is said of one that
 * cannot does not quote it. FATAL. */
MUST_CHECK bool pg_url_check(const char *text, struct error *err);

#endif
