#include "base/clock.h"

#include "base/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_read(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

#ifdef FAILPOINTS
/*
 * Seconds that the clock of this process is ahead, for tests: CLOCK_WRONG_BY=90, or with
 * CLOCK_STEPS=FILE what the file says at the moment, as a signed number of 8 bytes.
 */
static _Atomic int64_t wrong_by_s, *steps_s = &wrong_by_s;
static pthread_once_t clock_once = PTHREAD_ONCE_INIT;

static void clock_set_wrong(void)
{
	const char *text = getenv("CLOCK_WRONG_BY"); /* NOLINT(concurrency-mt-unsafe): never set */
	const char *path = getenv("CLOCK_STEPS");    /* NOLINT(concurrency-mt-unsafe): never set */

	if (text != NULL)
		wrong_by_s = strtoll(text, NULL, 10);
	if (path != NULL) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		void *at = mmap(NULL, sizeof(*steps_s), PROT_READ, MAP_SHARED, fd, 0);

		CHECK(at != MAP_FAILED);
		close(fd);
		steps_s = at;
	}
}

static int64_t clock_wrong_by_us(void)
{
	pthread_once(&clock_once, clock_set_wrong);
	return *steps_s * US_PER_SECOND;
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
