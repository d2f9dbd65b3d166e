#ifndef PG_HOSTS_H
#define PG_HOSTS_H

#include "pg/connect.h"

/*
 * A database that may be on one of several hosts (host=a,b in the connection string), each of which
 * may have several addresses, tried in turn. libpq can do that too, but its non-blocking connect
 * has no timeout per address: an address that accepts the connection and never answers would use up
 * the whole attempt, and the next attempt would begin with it again. Here each address is an
 * attempt of its own, so the caller can give each its own timeout.
 *
 * A round tries all of them, beginning with the host that accepted us last, or else with the one
 * after the host that the previous round began with; a name is looked up when its turn comes, which
 * may block. target_session_attrs applies to each address: a server of the wrong kind counts as
 * failed. With prefer-standby, all are first tried as standbys and then as any. With several and no
 * such setting, we look for the primary.
 *
 * One thread; borrows the texts of the options.
 */
struct pg_hosts;

MUST_CHECK bool pg_hosts_new(struct pg_hosts **out, const struct pg_options *options,
	struct error *err);
void pg_hosts_free(struct pg_hosts **hosts);

void pg_hosts_begin_round(struct pg_hosts *hosts);

/* The next attempt. Same contract as pg_connect_start(). */
PGconn *pg_hosts_start(struct pg_hosts *hosts, struct error *err);

/* The attempt failed with err: true if this round has another one. Otherwise the round is over, and
 * err lists what was wrong with each, and needs a person only if each attempt does. */
bool pg_hosts_failed(struct pg_hosts *hosts, struct error *err);

/* The attempt succeeded: the next round begins with this host. */
void pg_hosts_taken(struct pg_hosts *hosts);

#endif
