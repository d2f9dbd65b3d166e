#ifndef REPLAY_READERS_LINES_DIRECTION_H
#define REPLAY_READERS_LINES_DIRECTION_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The direction of an OCPP-J frame: "in" from the station, "out" to it. Taken from the word that a
 * central system's log has for it, or, without one, from the frames: calls that only a central
 * system makes go out, other calls come in, and a result goes the opposite way of its call. Pure.
 */

/* "in", "out", or NULL: receive, received, recv, in, <-; send, sent, sending, out, ->, in any case;
 * what follows the word does not matter. */
const char *lines_direction_of_word(struct slice word);

/* Calls from both sides; their results go the opposite way. A new call replaces an earlier one with
 * the same key, or in a full set the earliest one, after some 16,000 calls from all stations. */
enum { LINES_CALLS = 16384, LINES_CALLS_SET = 16 };

struct direction_shape;

struct lines_call {
	uint64_t key;    /* of station and message id; 0 = no call */
	uint32_t number; /* later calls have higher numbers */
	bool answered;
	const struct direction_shape *shape; /* of its answer; NULL = unknown */
};

struct lines_calls {
	struct lines_call in[LINES_CALLS];
	struct lines_call out[LINES_CALLS];
	uint32_t count;
};

/*
 * "in" or "out". Both sides may count from 1: if both have a call with the answer's id, the answer
 * belongs to the call whose answers look like it, or else to the unanswered one, or else to the
 * later one. A result that cannot be the answer to the only call with its id goes the same way as
 * that call: its own call was not seen, and it stays without one.
 */
const char *lines_direction_of_frame(struct lines_calls *calls, struct slice station,
	struct slice text);

#endif
