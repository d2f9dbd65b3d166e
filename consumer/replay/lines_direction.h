#ifndef REPLAY_LINES_DIRECTION_H
#define REPLAY_LINES_DIRECTION_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which way a frame of OCPP-J went: "in" from the station, "out" to it. From the word that a log of
 * a central system has for it, or, where it has none, from the frames: calls that only a central
 * system makes go out, other calls come in, and a result goes the other way than its call. Pure.
 */

/* "in", "out", or NULL: receive, received, recv, in, <-; send, sent, sending, out, ->, in any case;
 * what follows the word does not matter. */
const char *lines_direction_of_word(struct slice word);

/* Calls that went out; their results come in. A later call may take the place of an earlier one,
 * which is answered by then. */
enum { LINES_CALLS = 16384 };

struct lines_calls {
	uint64_t keys[LINES_CALLS]; /* of station and message id; never 0, which is no call */
};

/* "in" or "out". A call that goes out is remembered, until one with its id comes in. */
const char *lines_direction_of_frame(struct lines_calls *calls, struct slice station,
	struct slice frame);

#endif
