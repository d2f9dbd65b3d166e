#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

static int64_t clock_read(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

#ifdef FAILPOINTS
/* CLOCK_WRONG_BY=90: seconds that the clock of this process is ahead, for tests. */
static int64_t clock_wrong_by_us(void)
{
	const char *text = getenv("CLOCK_WRONG_BY"); /* NOLINT(concurrency-mt-unsafe): never set */

	return text == NULL ? 0 : strtoll(text, NULL, 10) * US_PER_SECOND;
}
#else
static int64_t clock_wrong_by_us(void)
{
	return 0;
}
#endif

int64_t clock_wall_us(void)
{
	return clock_read(CLOCK_REALTIME) + clock_wrong_by_us();
}

int64_t clock_mono_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

struct clock_cautious clock_cautious_begin(void)
{
	return (struct clock_cautious){clock_wall_us(), clock_mono_us()};
}

int64_t clock_cautious_us(const struct clock_cautious *begun)
{
	int64_t wall_us = clock_wall_us();
	int64_t later_us = begun->wall_us + clock_mono_us() - begun->mono_us;

	return wall_us < later_us ? wall_us : later_us;
}
