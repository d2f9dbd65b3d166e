#ifndef PG_POOLER_H
#define PG_POOLER_H

#include "pg/session.h"

/*
 * Is a connection a session of the server? With a pooler that may give each transaction to another
 * server process (PgBouncer's pool_mode = transaction or statement) it is not: our settings,
 * temporary tables, prepared statements and locks would be left behind in other clients' sessions.
 *
 * Behind a pooler the server process differs from the one that the connection was made with. Then a
 * second connection decides: if it gets the same process as the first, the process belongs to
 * neither. If it waits in vain, the pooler has no free process, so each is reserved for its client.
 * If it is refused, because the pooler accepts no more clients, or cut off, nothing is known, and
 * the first connection is not used.
 *
 * All on the loop's thread.
 */
struct pg_pooler;

MUST_CHECK bool pg_pooler_new(struct pg_pooler **out, struct ev_loop *loop,
	const struct pg_options *options, struct error *err);
void pg_pooler_free(struct pg_pooler **pooler);

/* As pg_session_reload(), while no check is running. */
MUST_CHECK bool pg_pooler_reload(struct pg_pooler *p, const struct pg_options *options,
	struct error *err);

/*
 * Check a session that is ready and bare, and does nothing else until on_done. err: NULL = it is a
 * session; FATAL "database_pooling"; or what went wrong. If the session is lost meanwhile, only its
 * own on_lost is called, and the owner calls pg_pooler_stop().
 */
void pg_pooler_check(struct pg_pooler *p, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context);
void pg_pooler_stop(struct pg_pooler *p);

#endif
