#ifndef ROWS_TRANSACTION_STATE_H
#define ROWS_TRANSACTION_STATE_H

#include "rows/transaction.h"

/* merge_state: the ranks and ranges of a transaction as bytes, stored beside the values that they
 * belong to. Pure; everything is in the arena. */

/* Absent if the arena is full. */
struct slice transaction_state_write(const struct transaction *t, struct arena *arena);

/* Read into t. False with err: FULL, or FATAL if the bytes cannot be read. */
MUST_CHECK bool transaction_state_read(struct transaction *t, struct slice state,
	struct arena *arena, struct error *err);

#endif
