#ifndef PG_POOLER_H
#define PG_POOLER_H

#include "pg/session.h"

/*
 * Is a connection a session of the server? A pooler that hands each transaction to another server
 * process (PgBouncer's pool_mode = transaction or statement) is not: settings, temporary tables,
 * prepared statements and locks of ours would be left behind in sessions of others.
 *
 * Behind a pooler the server's process is not the one that the connection began with. Then a second
 * connection shows it: if it is given the process of the first, that belongs to neither. If that
 * waits in vain, the pooler has none left, and each is kept for its client. If it is refused, since
 * the pooler takes no more clients, or cut, nothing is known, and the first is not used.
 *
 * All on the loop's thread.
 */
struct pg_pooler;

MUST_CHECK bool pg_pooler_new(struct pg_pooler **out, struct ev_loop *loop,
	const struct pg_options *options, struct error *err);
void pg_pooler_free(struct pg_pooler **pooler);

/* As pg_session_reload(), while nothing is asked. */
MUST_CHECK bool pg_pooler_reload(struct pg_pooler *p, const struct pg_options *options,
	struct error *err);

/*
 * Ask, on a session that is ready, bare, and does nothing else until on_done. err: NULL = it is a
 * session; FATAL "database_pooling"; or what went wrong. If the session is lost meanwhile, the
 * owner hears of that alone, and calls pg_pooler_stop().
 */
void pg_pooler_check(struct pg_pooler *p, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context);
void pg_pooler_stop(struct pg_pooler *p);

#endif
