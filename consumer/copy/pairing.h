#ifndef COPY_PAIRING_H
#define COPY_PAIRING_H

#include "base/arena.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Decides which call a result belongs to. Both are halves of an exchange, rows of exchange_halves;
 * only halves with the same station and message id are compared, and a result that names its action
 * fits only calls with that action. Errors are results here. In this order:
 *
 *	traced  the nearest call with the same trace, at any distance within pairing.keep
 *	after   the last call before the result, within pairing.window
 *	before  the first call after the result, within pairing.window (they took different ways)
 *	late    beyond the window: if there is no other call and no other result of that id within
 *	        pairing.keep of the two. A copy is not another.
 *
 * Calls with another trace are skipped. The outcome depends on the set of halves, not on the order
 * in which they came, so a late half may take a result from the call that had it. Apart from
 * sorting, work is linear in the halves: in a run of halves that do not fit, only the nearest
 * PAIRING_LOOK are considered.
 *
 * Pure; everything is in the arena.
 */
enum {
	PAIRING_LOOK = 16,
	PAIRING_ALL_MAX = 8, /* how many calls pairing_find_all() finds for one result */
	/* How many times pairing.keep may lie between halves that affect each other: a late call
	 * within one of its result, and another half with their id within one of that call. */
	PAIRING_REACH = 2,
};

/* Halves of exchanges that the station began, and of those that the CSMS began. */
enum { HALF_CALL = 'c', HALF_RESULT = 'r', HALF_CSMS_CALL = 'C', HALF_CSMS_RESULT = 'R' };

struct half {
	struct row *row;
	bool is_call;
	bool fresh;   /* of this batch; the others are stored */
	bool known;   /* of this batch, but already stored: a copy */
	bool loses;   /* set by pairing_find(): lost a result to another call ... */
	bool changed; /* ... a result that now belongs to another call */
	int64_t received_us;
	uint64_t trace; /* digest of the trace; 0 = none */
};

/* A result and the call it now belongs to. */
struct pair {
	const struct half *call; /* NULL = none */
	const struct half *result;
	const struct half *lost; /* the call that had it before the fresh halves; NULL = none */
	int32_t kind;            /* LINK_LATE or enum link_kind */
	int64_t distance_us;
};

struct pairs {
	struct pair *pairs;
	size_t count;
};

struct pairing_limits {
	int64_t window_us;
	int64_t keep_us;
};

/* enum link_kind of rows/transaction.h begins after this. */
enum { LINK_LATE = 0 };

/* An answer (result or error) that does not name its action: its row should get the name from the
 * call. */
bool half_wants_name(const struct half *result);

/* One that has nothing else that its call waits for. */
bool half_is_name_only(const struct half *result);

/* Makes a half from its row. */
struct half half_of(struct row *row, bool fresh);

/* By station, message id, who began it, time: the order for pairing_find(). Of equal ones the fresh
 * one comes first. */
int half_compare(const void *a, const void *b);

/* Makes fresh halves from rows and sorts both. NULL if the arena is full. */
struct half *half_sort(struct arena *arena, struct row **rows, size_t count);

/* Whether two halves have the same station and message id, and were begun by the same side. */
bool half_is_of_same_id(const struct half *a, const struct half *b);

/* Whether they are the same half: one was read back from the database. */
bool half_is_same(const struct half *a, const struct half *b);

/*
 * halves: those of one id, in order, each once. Finds pairs with results that are fresh, or that
 * belong to another call because of fresh halves; and for a call that loses a result, all other
 * results that it has. False if the arena is full.
 */
MUST_CHECK bool pairing_find(struct half *halves, size_t count, const struct pairing_limits *limits,
	struct arena *arena, struct pairs *out);

/*
 * The same, but each result counts for all of the nearest few calls that fit it within the window,
 * and none is late: what an answer changes must be certain. Only pairs with a fresh half. A fresh
 * result without a call is a pair by itself.
 */
MUST_CHECK bool pairing_find_all(struct half *halves, size_t count,
	const struct pairing_limits *limits, struct arena *arena, struct pairs *out);

#endif
