#ifndef ROWS_SESSIONS_H
#define ROWS_SESSIONS_H

#include "base/arena.h"
#include "rows/transaction.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Sessions of an id that was used more than once at its station: a CSMS that gives 0, or any other
 * id, to several sessions in turn, or to two connectors at once; a 2.x station that starts counting
 * again after a restart. The result depends on the set of events alone, not on their order. Pure;
 * any thread.
 *
 * Events count in the order of the station's own times; one without a time counts at its receipt. A
 * start begins a session, and the one that was open at the same connector gets nothing more. (2.x:
 * a start whose seqNo continues that of the start before it is another start of the same session.)
 * Any other event belongs to an open session: of several, to the one at its connector; of several
 * still, to the one with its token. If none is open it belongs to the one that began last; to one
 * at its place and with its token, if there was one since the last time that none was open. An end
 * with the token of a session that has ended, and of none that is open, repeats that end. An end
 * that could belong to several sessions belongs to none, and all of those are flagged
 * end_ambiguous.
 */
struct session_fact {
	struct transaction *t; /* what this event says; of a start with one of its answers */
	const struct row *event;
	int64_t time_us;              /* the station's, or of receipt if the station's is invalid */
	struct transaction_link link; /* of a 1.6 start */
	bool linked;

	/* For sessions_make() itself. */
	struct session *session;
	bool start;
	bool end;
	bool apart; /* a start that got a shared id with a refusal */
	bool done;
};

/* What is odd about meter values of 1.6 that name the id. evse: their connector. */
struct session_flags {
	int64_t time_us; /* the station's, or of receipt if the station's is invalid */
	int64_t evse;
	int64_t flags;
};

/* t == NULL: the event stands for itself, which only events of shared ids do; fact says which. */
struct session {
	struct transaction *t;
	const struct session_fact *fact; /* the start; the first event, where no start was seen */
	bool fresh; /* nothing before it matters to it, nor to what comes after it */

	uint64_t key; /* the digest of that event; of a start that was sent again the lowest */
	bool started;
	bool open;
	int64_t seq; /* 2.x: of its last start */
};

struct sessions {
	struct session *all;
	size_t count;
	/*
	 * The id has several starts, or is a shared one that a start was accepted with. Otherwise
	 * what comes next is merged into its row, where transaction_merge() sees another start, or
	 * stands for itself.
	 */
	bool split;
};

struct sessions_options {
	bool shared_id; /* an id of 0 or below: only starts that were accepted have it */
	bool whole;     /* all events of the id are there, not only those since a fresh session */
};

/*
 * facts are sorted and written to, their transactions merged into those of the sessions. Results of
 * 1.6 that fit several starts count for the one they fit best. False if the arena is full.
 */
MUST_CHECK bool sessions_make(struct session_fact *facts, size_t count,
	const struct sessions_options *options, struct arena *arena, struct sessions *out);

/*
 * After sessions_make(), with the same options: the flags are of the session that began last before
 * them, at their connector if there is one since the last that is fresh; before all sessions, of
 * the first. Those of a shared id after the end of a session are of none: a station sends such an
 * id when it has no transaction.
 */
void sessions_add_flags(const struct sessions *sessions, const struct sessions_options *options,
	const struct session_flags *flags);

#endif
