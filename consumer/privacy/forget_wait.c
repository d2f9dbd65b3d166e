#include "privacy/forget_wait.h"

#include "base/clock.h"
#include "base/say.h"

#include <time.h>

static const int64_t WAIT_AGAIN_US = 50 * US_PER_MS;
static const int64_t WAIT_AGAIN_MAX_US = US_PER_SECOND;
static const int64_t WAIT_SAY_US = 3 * US_PER_SECOND;

void forget_wait_begin(struct forget_wait *w, int64_t lock_ms, int64_t lock_max_ms)
{
	*w = (struct forget_wait){.lock_ms = lock_ms,
		.lock_first_ms = lock_ms,
		.lock_max_ms = lock_max_ms,
		.said_us = clock_mono_us()};
	backoff_init(&w->backoff, WAIT_AGAIN_US, WAIT_AGAIN_MAX_US, (uint64_t)w->said_us);
}

void forget_wait_pause(struct forget_wait *w, const char *what)
{
	int64_t us = backoff_next_us(&w->backoff);
	struct timespec t = {us / US_PER_SECOND, us % US_PER_SECOND * 1000};

	if (clock_mono_us() - w->said_us >= WAIT_SAY_US) {
		say_line("waiting", what);
		w->said_us = clock_mono_us();
	}
	w->lock_ms = 2 * w->lock_ms < w->lock_max_ms ? 2 * w->lock_ms : w->lock_max_ms;
	(void)nanosleep(&t, NULL);
}

void forget_wait_over(struct forget_wait *w)
{
	w->lock_ms = w->lock_first_ms;
	w->said_us = clock_mono_us();
	backoff_reset(&w->backoff);
}
