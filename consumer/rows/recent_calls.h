#ifndef ROWS_RECENT_CALLS_H
#define ROWS_RECENT_CALLS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Remembers which action each message id was recently called with. An answer as an OCPP-J array
 * does not name its action, but nearly always its call passed through the same process just before:
 * then naming it needs neither a stored half nor a query.
 *
 * If that fails (the answer came first, or its call went to another process or came before a
 * restart), the answer leaves its half in exchange_halves, and the call must leave its own. Most
 * calls leave no half: it would cost as much as the call itself. A call leaves one only with a
 * reason: shortly after start, after an answer whose call was unknown, and if an answer with its id
 * is waiting.
 */
struct recent_calls;

/* What the calls and answers of one exchange have in common. */
struct exchange_id {
	struct slice station;
	struct slice id;
	struct slice trace; /* or "" */
	bool by_csms;       /* the call came from the CSMS */
	int64_t received_us;
};

MUST_CHECK bool recent_calls_new(struct recent_calls **out, int64_t window_us, struct error *err);
void recent_calls_free(struct recent_calls **calls);

/* Change the window, from the next answer on. */
void recent_calls_set_window(struct recent_calls *r, int64_t window_us);

/* True if the call should leave a half. */
bool recent_calls_add(struct recent_calls *r, const struct exchange_id *call, struct slice action);

/* The action of the last call before the answer, within the window and not from another trace;
 * absent if none. The text is valid until the next recent_calls_add(). */
struct slice recent_calls_find(struct recent_calls *r, const struct exchange_id *answer);

/* Note that an answer without a known call is stored without a name. */
void recent_calls_miss(struct recent_calls *r, const struct exchange_id *answer);

#endif
