#ifndef STATIONS_PACE_H
#define STATIONS_PACE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When a message may go out: not before its turn at the rate asked for, not before the simulated
 * clock reaches its time, and, if the clock follows the real one, not before it has happened. What
 * was held up (by a broker that was away) is made up for. Pure.
 */
struct pace {
	int64_t begin_us;      /* monotonic, when publishing began */
	int64_t begin_wall_us; /* the same moment as people count */
	int64_t start_us;      /* of the simulated clock */
	int64_t rate;          /* messages/s, 0 = no limit */
	int64_t speedup;       /* thousandths, 0 = no limit */
	bool waits_for_clock;
};

/* Monotonic time from which the number-th message (from 0), of this simulated time, may go out. */
int64_t pace_due_us(const struct pace *p, uint64_t number, int64_t simulated_us);

#endif
