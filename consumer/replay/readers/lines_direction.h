#ifndef REPLAY_READERS_LINES_DIRECTION_H
#define REPLAY_READERS_LINES_DIRECTION_H

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

/* Calls of either side; their results go the other way. A later call takes the place of an earlier
 * one: in a full set that of the earliest, after some 16,000 calls of all stations. */
enum { LINES_CALLS = 16384, LINES_CALLS_SET = 16 };

struct direction_shape;

struct lines_call {
	uint64_t key;    /* of station and message id; never 0, which is not a call */
	uint32_t number; /* the later of two calls has the higher one */
	bool answered;
	const struct direction_shape *shape; /* of its answer; NULL = not known */
};

struct lines_calls {
	struct lines_call in[LINES_CALLS];
	struct lines_call out[LINES_CALLS];
	uint32_t count;
};

/*
 * "in" or "out". Both sides may count from 1: where both have a call with the id of an answer, that
 * is of the one whose answers look like it, else of the one without one yet, else of the later one.
 * A result that cannot be the answer to the only call with its id goes the way of that call: it is
 * the answer to one that was not seen, and stays without a call.
 */
const char *lines_direction_of_frame(struct lines_calls *calls, struct slice station,
	struct slice text);

#endif
