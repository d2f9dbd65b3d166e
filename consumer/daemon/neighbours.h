#ifndef DAEMON_NEIGHBOURS_H
#define DAEMON_NEIGHBOURS_H

#include "pg/connect.h"

#include <ev.h>

/*
 * Whether somebody else stores messages into the database now, and no old ones: progress that is
 * not of a replay moves. Asked on a connection of its own, for which the loop never waits. All on
 * the loop.
 */
struct neighbours;

enum neighbours_answer {
	NEIGHBOURS_UNKNOWN, /* the first answer is under way */
	NEIGHBOURS_NONE,    /* or the database does not say: who stores has the same trouble */
	NEIGHBOURS_SEEN,
};

MUST_CHECK bool neighbours_new(struct neighbours **out, struct ev_loop *loop,
	const struct pg_options *pg, struct error *err);
void neighbours_free(struct neighbours **neighbours);

/* Ask again, unless a question is under way. */
void neighbours_ask(struct neighbours *n);

/* What the last answer was. */
enum neighbours_answer neighbours_answer(const struct neighbours *n);

#endif
