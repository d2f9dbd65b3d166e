#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Time is int64_t microseconds everywhere. Any thread. */

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)

/* Since 1970-01-01 UTC, as the machine believes it to be. */
int64_t clock_wall_us(void);

/* Since some moment before start; never goes back. For durations and deadlines. */
int64_t clock_mono_us(void);

#endif
