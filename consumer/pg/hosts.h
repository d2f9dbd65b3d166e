#ifndef PG_HOSTS_H
#define PG_HOSTS_H

#include "pg/connect.h"

/*
 * A database that may be at one of several hosts (host=a,b in the connection string), each of which
 * may have several addresses, tried one after the other. libpq does that too, but when it does not
 * block it knows no timeout: an address that takes the connection and never answers would be waited
 * for until the whole try is given up, and the next try would begin with it again. Here each
 * address is a try of its own, so its caller can give each a time of its own.
 *
 * A round tries all of them: the hosts in turn, from the one that took us last or else the next one
 * to that of the round before; names are looked up when it is their turn, which may block.
 * target_session_attrs holds for each address: one that is not what is asked for is one that
 * failed. For prefer-standby all are tried as standby first, and then as they are. Where several
 * are tried and nothing is asked for, it is the primary.
 *
 * Of one thread; borrows the texts of the options.
 */
struct pg_hosts;

MUST_CHECK bool pg_hosts_new(struct pg_hosts **out, const struct pg_options *options,
	struct error *err);
void pg_hosts_free(struct pg_hosts **hosts);

void pg_hosts_begin_round(struct pg_hosts *hosts);

/* The try whose turn it is. As pg_connect_start(). */
PGconn *pg_hosts_start(struct pg_hosts *hosts, struct error *err);

/*
 * It failed because of err: true if there is another one in this round. Else the round is over, and
 * err says what was wrong with each.
 */
bool pg_hosts_failed(struct pg_hosts *hosts, struct error *err);

/* It took us: the next round begins with it. */
void pg_hosts_taken(struct pg_hosts *hosts);

#endif
