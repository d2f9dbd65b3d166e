#ifndef PG_CONNECT_PRIVATE_H
#define PG_CONNECT_PRIVATE_H

#include "pg/connect.h"

/* For pg/ only: the connection parameters for libpq. */

enum { PG_KEYWORDS_MAX = 64 };

struct pg_keywords {
	const char *names[PG_KEYWORDS_MAX + 1];
	const char *values[PG_KEYWORDS_MAX + 1];
	int count;
};

struct pg_target {
	struct pg_keywords keywords;
	char port[16];
	char timeout[16];
};

/* target_session_attrs for one of several hosts or addresses, if neither the URL nor the
 * environment sets it: a standby accepts no rows, and would be tried first each time. */
#define PG_SEVERAL_ATTRS "primary"
#define PG_DEFAULT_ATTRS "any" /* libpq's default */

/* Ignores NULL and ""; of several values for a name the last one counts. */
void pg_keyword(struct pg_keywords *k, const char *name, const char *value);

/* parsed: the URL's parameters without its hosts; NULL: the whole URL, or the single fields. */
void pg_target_init(struct pg_target *t, const struct pg_options *o,
	const PQconninfoOption *parsed);

/* NULL with err, and nothing left open, if the connection has already failed. */
PGconn *pg_connect_checked(PGconn *conn, struct error *err);

#endif
