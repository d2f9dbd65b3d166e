#ifndef PRIVACY_FORGET_WAIT_H
#define PRIVACY_FORGET_WAIT_H

#include "base/backoff.h"

#include <stdint.h>

/* Retries until a lock is free: each attempt waits longer than the one before, and after some
 * seconds a line on stderr says what it waits for. Blocking; one thread. */
struct forget_wait {
	struct backoff backoff; /* between attempts */
	int64_t lock_ms;        /* lock_timeout of the next attempt */
	int64_t lock_first_ms;
	int64_t lock_max_ms;
	int64_t said_us;
};

void forget_wait_begin(struct forget_wait *w, int64_t lock_ms, int64_t lock_max_ms);

/* After a failed attempt. what: completes "waiting: ...". */
void forget_wait_pause(struct forget_wait *w, const char *what);

/* After a successful attempt. */
void forget_wait_over(struct forget_wait *w);

#endif
