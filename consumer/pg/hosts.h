#ifndef PG_HOSTS_H
#define PG_HOSTS_H

#include "pg/connect.h"

/*
 * A database that may be at one of several hosts (host=a,b in the connection string), tried one
 * after the other. libpq does that too, but when it does not block it knows no timeout: a host that
 * takes the connection and never answers would be waited for until the whole try is given up, and
 * the next try would begin with it again. Here each host is a try of its own, so its caller can
 * give each a time of its own.
 *
 * target_session_attrs holds for each: a host that is not what is asked for is one that failed.
 * For prefer-standby all hosts are tried as standby first, and then as they are.
 *
 * Read only once made; borrows the texts of the options.
 */
struct pg_hosts;

MUST_CHECK bool pg_hosts_new(struct pg_hosts **out, const struct pg_options *options,
	struct error *err);
void pg_hosts_free(struct pg_hosts **hosts);

/* How many tries are a round: at least 1. */
size_t pg_hosts_tries(const struct pg_hosts *hosts);

/* Try number n of a round that begins with host number first. As pg_connect_start(). */
PGconn *pg_hosts_start(const struct pg_hosts *hosts, size_t first, size_t n, struct error *err);

/* Which host to begin with: the next if all failed in a round; else the one that took us. */
size_t pg_hosts_next(const struct pg_hosts *hosts, size_t first);
size_t pg_hosts_taken(const struct pg_hosts *hosts, size_t first, size_t n);

/*
 * Of a round: err, which is that of try n, becomes what is known of all tries so far, of which
 * *so_far keeps account (begin with an empty message).
 */
void pg_hosts_failed(const struct pg_hosts *hosts, size_t first, size_t n, struct error *so_far,
	struct error *err);

#endif
