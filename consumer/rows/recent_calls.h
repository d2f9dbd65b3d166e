#ifndef ROWS_RECENT_CALLS_H
#define ROWS_RECENT_CALLS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which action a message id was called with recently. An answer as an OCPP-J array does not name
 * its action, and nearly always its call came through the same process just before: then nothing
 * has to be stored or asked to name it.
 *
 * Where that fails (the answer came first, or its call went to another process, or before a
 * restart), the answer leaves its half in exchange_halves, and the call must leave its own. Most
 * calls have no half: it would cost as much as the call itself. So a call leaves one while there is
 * reason to: after the start, after an answer whose call was not known, and if an answer with its
 * id waits.
 *
 * Memory is fixed; the oldest entries give way to new ones. One thread.
 */
struct recent_calls;

/* What calls and answers of one exchange have in common. */
struct exchange_id {
	struct slice station;
	struct slice id;
	struct slice trace; /* or "" */
	bool by_csms;       /* the CSMS made the call */
	int64_t received_us;
};

MUST_CHECK bool recent_calls_new(struct recent_calls **out, int64_t window_us, struct error *err);
void recent_calls_free(struct recent_calls **calls);

/* Another window, from the next answer on. */
void recent_calls_set_window(struct recent_calls *r, int64_t window_us);

/* True if the call should leave a half. */
bool recent_calls_add(struct recent_calls *r, const struct exchange_id *call, struct slice action);

/*
 * The action of the last call before the answer, within the window and not of another trace; absent
 * if there is none. The text is valid until the next recent_calls_add().
 */
struct slice recent_calls_find(struct recent_calls *r, const struct exchange_id *answer);

/* An answer whose call was not found is stored without a name. */
void recent_calls_miss(struct recent_calls *r, const struct exchange_id *answer);

#endif
