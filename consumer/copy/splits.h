#ifndef COPY_SPLITS_H
#define COPY_SPLITS_H

#include "base/arena.h"
#include "rows/sessions.h"
#include "rows/transaction.h"

#include <stdbool.h>

/*
 * Transaction ids of a batch that were used more than once: found while transactions are merged
 * (writer_transactions.c), turned into sessions after that (writer_sessions.c). Pure; everything is
 * in the batch's arena.
 */
struct split {
	struct slice station;
	struct slice id;
	bool shared_id;
	int64_t earliest_us; /* the earliest new fact */
	int64_t since_us;    /* facts are known from here on; TIME_UNDATED = all facts */
	struct session_fact *facts;
	size_t facts_count;
	struct transaction **costs; /* in order of receipt */
	size_t costs_count;
	struct session_flags *flags;
	size_t flags_count;
	struct sessions sessions;
	/*
	 * Of an id with one row: that row with the new facts, and its key as it was (NULL: it is
	 * new). left: the id has too many facts to tell them apart. Then this row counts; without
	 * one the sessions stay as they are.
	 */
	struct transaction *merged;
	struct row *old;
	bool left;
	bool cut; /* what began before since_us and is open there is unknown */
};

struct splits {
	struct split *all; /* sorted by station and id, which is how they are added */
	size_t count;
};

/* *splits == NULL: none yet; then room for max is made. False if the arena is full. */
MUST_CHECK bool splits_add(struct splits **splits, struct arena *arena, size_t max,
	const struct transaction *t, bool shared_id);

/* Whether an event that stood for itself now belongs to a session of its id. */
bool splits_take(const struct splits *splits, const struct transaction *t);

#endif
