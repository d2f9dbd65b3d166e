#ifndef PG_CONNECT_PRIVATE_H
#define PG_CONNECT_PRIVATE_H

#include "pg/connect.h"

/* For pg/ alone: what libpq is given for a connection. */

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

/* target_session_attrs of one of several hosts or addresses, where neither the URL nor the
 * environment says which is wanted: a standby takes no rows, and would be tried first each time. */
#define PG_SEVERAL_ATTRS "primary"
#define PG_DEFAULT_ATTRS "any" /* libpq's, where the environment says nothing */

/* Nothing for NULL or ""; a later one of a name counts. */
void pg_keyword(struct pg_keywords *k, const char *name, const char *value);

/* parsed: what the URL says, without its hosts; NULL: the URL as a whole, or the single fields. */
void pg_target_init(struct pg_target *t, const struct pg_options *o,
	const PQconninfoOption *parsed);

/* NULL with err, and nothing left open, if the connection is bad already. */
PGconn *pg_connect_checked(PGconn *conn, struct error *err);

#endif
