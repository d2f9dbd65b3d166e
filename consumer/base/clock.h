#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Time is int64_t microseconds everywhere. Any thread. */

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)

/* Since 1970-01-01 UTC, by the system clock. */
int64_t clock_wall_us(void);

/* Since some moment before start; never goes back. For durations and deadlines. */
int64_t clock_mono_us(void);

/*
 * For what must never be done too early: the wall clock at the beginning plus the time that has
 * passed since, or the wall clock now if that is less. So setting the clock forward meanwhile has
 * no effect.
 */
struct clock_cautious {
	int64_t wall_us, mono_us;
};

struct clock_cautious clock_cautious_begin(void);
int64_t clock_cautious_us(const struct clock_cautious *begun);

#endif
