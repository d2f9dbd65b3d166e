#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

/*
 * Delays between retries: exponential with "decorrelated jitter" (each wait is random between the
 * base and three times the last one, up to a cap), so that many workers that lost the same server
 * do not return in step. Embedded in the caller's memory; one thread.
 */
struct backoff {
	int64_t base_us;
	int64_t cap_us;
	int64_t last_us;
	uint64_t random;
};

void backoff_init(struct backoff *b, int64_t base_us, int64_t cap_us, uint64_t seed);

/* The next wait. */
int64_t backoff_next_us(struct backoff *b);

/* After a success. */
void backoff_reset(struct backoff *b);

#endif
