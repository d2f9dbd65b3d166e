#ifndef DAEMON_NEIGHBOURS_H
#define DAEMON_NEIGHBOURS_H

#include "pg/connect.h"

#include <ev.h>

/* Whether somebody else is storing live messages in the database: progress other than a replay's
 * moves. Queried on a connection of its own, for which the loop never waits. All on the loop. */
struct neighbours;

enum neighbours_answer {
	NEIGHBOURS_UNKNOWN, /* no answer yet */
	NEIGHBOURS_NONE,    /* or the database does not answer: others have the same trouble */
	NEIGHBOURS_SEEN,
};

MUST_CHECK bool neighbours_new(struct neighbours **out, struct ev_loop *loop,
	const struct pg_options *pg, struct error *err);
void neighbours_free(struct neighbours **neighbours);

/* Query again, unless a query is in progress. */
void neighbours_ask(struct neighbours *n);

/* The last answer. */
enum neighbours_answer neighbours_answer(const struct neighbours *n);

#endif
