#ifndef COPY_PAIRING_H
#define COPY_PAIRING_H

#include "base/arena.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which call a result belongs to. Both are halves of an exchange, rows of exchange_halves; only
 * those of one station and message id are compared, and a result that names its action fits calls
 * of that action only. An error is a result here. In this order:
 *
 *	traced  the nearest call of the same trace, at whatever distance within pairing.keep
 *	after   the last call before the result, within pairing.window
 *	before  the first call after the result, within pairing.window (the two came by two ways)
 *	late    beyond the window: if there is no other call and no other result of that id within
 *	        pairing.keep of the two. A copy is not another.
 *
 * Calls of another trace are passed over. The answer depends on the set of halves, not on the order
 * in which they came; so a late half may take a result from the call that had it. Work is linear in
 * the halves, but for sorting: of a run of halves that do not fit only the nearest PAIRING_LOOK are
 * looked at.
 *
 * Pure; everything is in the arena.
 */
enum {
	PAIRING_LOOK = 16,
	PAIRING_ALL_MAX = 8, /* calls that pairing_find_all() finds for one result */
	/* So many times pairing.keep lies between halves that decide about each other: a late call
	 * within one of its result, and another half of their id within one of that call. */
	PAIRING_REACH = 2,
};

/* Halves of calls and results: of exchanges that the station began, or that the CSMS began. */
enum { HALF_CALL = 'c', HALF_RESULT = 'r', HALF_CSMS_CALL = 'C', HALF_CSMS_RESULT = 'R' };

struct half {
	struct row *row;
	bool is_call;
	bool fresh;   /* of this batch; the others were there */
	bool known;   /* of this batch, and was there all the same: a copy */
	bool loses;   /* found out by pairing_find(): a result that it had is another call's ... */
	bool changed; /* ... a result whose call is another one now */
	int64_t received_us;
	uint64_t trace; /* digest of the trace; 0 = none */
};

/* A result and the call it belongs to now. */
struct pair {
	const struct half *call; /* NULL = none */
	const struct half *result;
	const struct half *lost; /* the call that had it without the fresh halves; NULL = none */
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

/* enum link_kind of rows/transaction.h begins after it. */
enum { LINK_LATE = 0 };

/* An answer that does not name its action: a result or an error, of which its row is to have the
 * name of the call. */
bool half_wants_name(const struct half *result);

/* One that has nothing else to say that its call waits for. */
bool half_is_name_only(const struct half *result);

/* A half from its row. */
struct half half_of(struct row *row, bool fresh);

/* By station, message id, who began it, time; the order that pairing_find() wants. Of equal ones
 * the fresh one comes first. */
int half_compare(const void *a, const void *b);

/* Fresh halves of rows in that order, and the rows, too. NULL if the arena is full. */
struct half *half_sort(struct arena *arena, struct row **rows, size_t count);

/* Two halves of one station and message id, begun by the same side. */
bool half_is_of_same_id(const struct half *a, const struct half *b);

/* The same half: one of the two is a copy that was read back. */
bool half_is_same(const struct half *a, const struct half *b);

/*
 * Halves of one id, in order, each once. Pairs of results that are fresh, or whose
 * call is another because of fresh halves; and of a call that loses a result so all others that it
 * has. False if the arena is full.
 */
MUST_CHECK bool pairing_find(struct half *halves, size_t count, const struct pairing_limits *limits,
	struct arena *arena, struct pairs *out);

/*
 * The same, but each result counts for every call that fits it and lies within the window, of the
 * nearest few, and none is late: what an answer changes must be certain. Only pairs with a fresh
 * half. A fresh result without a call is a pair by itself.
 */
MUST_CHECK bool pairing_find_all(struct half *halves, size_t count,
	const struct pairing_limits *limits, struct arena *arena, struct pairs *out);

#endif
