#ifndef ROWS_TRANSACTION_STATE_H
#define ROWS_TRANSACTION_STATE_H

#include "rows/transaction.h"

/*
 * merge_state: the ranks and ranges of a transaction as bytes, beside the values that they are of.
 * Pure; everything is in the arena.
 */

/* Absent if the arena is full. */
struct slice transaction_state_write(const struct transaction *t, struct arena *arena);

/* Into t. False with err: FULL, or FATAL if the bytes cannot be read. */
MUST_CHECK bool transaction_state_read(struct transaction *t, struct slice state,
	struct arena *arena, struct error *err);

#endif
