#include "base/clock.h"

#include <time.h>

static int64_t clock_read(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}
