#ifndef ROWS_SESSIONS_H
#define ROWS_SESSIONS_H

#include "base/arena.h"
#include "rows/transaction.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Splits the events of an id that its station used more than once into sessions: a CSMS that gives
 * 0, or any other id, to several sessions in turn or to two connectors at the same time; a 2.x
 * station that starts counting again after a restart. The result depends only on the set of events,
 * not on their order. Pure; any thread.
 *
 * Events are ordered by the station's own times; one without a time by its receipt. A start begins
 * a session, and the session that was open at the same connector gets nothing more. (2.x: a start
 * whose seqNo is above that of the previous start is another start of the same session; so is one
 * with the same seqNo, unless place or token differ. 1.6: so is one with the same time, place and
 * token.) Any other event belongs to an open session: if several are open, to the one at its
 * connector; if there are still several, to the one with its token. If none is open, it belongs to
 * the session that began last; but to one at its place with its token, if there has been one since
 * the last time that no session was open. An end with the token of an ended session, but of no open
 * one, repeats that session's end. An end that could belong to several sessions belongs to none,
 * and all of those are flagged end_ambiguous.
 */
struct session_fact {
	struct transaction *t; /* what this event says; a start's includes one of its answers */
	const struct row *event;
	int64_t time_us;              /* the station's, or that of receipt if it is invalid */
	struct transaction_link link; /* for a 1.6 start */
	bool linked;

	/* Used by sessions_make() itself. */
	struct session *session;
	bool start;
	bool end;
	bool apart; /* a refused start that got a shared id */
	bool done;
};

/* What is odd about 1.6 meter values that name the id. evse: their connector. */
struct session_flags {
	int64_t time_us; /* the station's, or that of receipt if it is invalid */
	int64_t evse;
	int64_t flags;
};

/* t == NULL: the event stands for itself, which only events with shared ids do; fact is that
 * event. */
struct session {
	struct transaction *t;
	const struct session_fact *fact; /* the start, or the first event if no start was seen */
	bool fresh;                      /* nothing before it matters to it or to anything later */

	uint64_t key; /* the digest of that event; the lowest if the start was repeated */
	bool started;
	bool open;
	int64_t seq; /* 2.x: seqNo of its last start */
};

struct sessions {
	struct session *all;
	size_t count;
	/*
	 * The id has several starts, or is shared and a start with it was accepted. Otherwise a
	 * later event is merged into the one row, where transaction_merge() notices another start,
	 * or (for a shared id) stands for itself.
	 */
	bool split;
};

struct sessions_options {
	bool shared_id; /* an id of 0 or below: only accepted starts have it */
	bool whole;     /* all events of the id, not only those since a fresh session */
};

/* Sorts and changes facts, and merges their transactions into those of the sessions. A 1.6 result
 * that fits several starts counts for the one it fits best. False if the arena is full. */
MUST_CHECK bool sessions_make(struct session_fact *facts, size_t count,
	const struct sessions_options *options, struct arena *arena, struct sessions *out);

/*
 * Whether facts about an id that has been split leave its sessions as they are, and all belong to
 * the one given, so that they can be merged without the events of the id. That session is the only
 * one (begins_us == TIME_UNDATED), or it is fresh, began then, and none began later. NULL: unknown.
 * False if it takes all events to say.
 */
bool sessions_leave(const struct transaction *session, int64_t begins_us,
	const struct transaction *facts);

/*
 * After sessions_make(), with the same options: flags belong to the session that began last before
 * them, at their connector if there is one since the last fresh session; before all sessions, to
 * the first. Those of a shared id after the end of a session belong to none: a station sends such
 * an id when it has no transaction.
 */
void sessions_add_flags(const struct sessions *sessions, const struct sessions_options *options,
	const struct session_flags *flags);

#endif
