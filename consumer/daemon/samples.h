#ifndef DAEMON_SAMPLES_H
#define DAEMON_SAMPLES_H

#include "metrics/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Counters of the last 15 minutes, for rates and for what has happened lately: a sample every 5 s,
 * in a ring of fixed size. Embedded in the caller's memory, which begins as zeros. On the loop.
 */
enum {
	SAMPLES_SECONDS = 5,
	SAMPLES_COUNT = 15 * 60 / SAMPLES_SECONDS + 1, /* rates lie between two samples */
};

struct sample {
	int64_t mono_us;
	uint64_t received; /* MQTT messages */
	uint64_t rows;
	uint64_t dead_lettered;
	uint64_t qos0;
	uint64_t gap; /* records */
};

struct samples {
	struct sample ring[SAMPLES_COUNT];
	size_t count;
	size_t next;
};

/* Whether it is time for one. */
bool samples_due(const struct samples *s, int64_t mono_us);
void samples_add(struct samples *s, const struct metrics *m, int64_t mono_us);

/* What a sample would be now. */
struct sample sample_of(const struct metrics *m, int64_t mono_us);

/* The oldest is number 0; number < count. */
const struct sample *samples_get(const struct samples *s, size_t number);

#endif
