#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/arena.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stdint.h>

/* What the program counts. Any thread may add to counters; families and histograms are for the loop
 * only. http/ reads them on the loop. */
enum { METRICS_FAMILY_MAX = 64, METRICS_BUCKETS = 12 };

struct metrics_family {
	struct {
		const char *label; /* a literal */
		uint64_t value;
	} members[METRICS_FAMILY_MAX];
	size_t count;
};

struct metrics_histogram {
	uint64_t buckets[METRICS_BUCKETS + 1]; /* not cumulative; the last is +Inf */
	uint64_t count;
	int64_t sum_us;
};

struct metrics {
#define METRIC(field, kind, name, labels, help) _Atomic uint64_t field;
#define PROCESS(field, kind, name, help) _Atomic uint64_t field;
#define FAMILY(field, name, label, known, help) struct metrics_family field;
#define HISTOGRAM(field, name, help) struct metrics_histogram field;
#include "metrics/metrics.def"
#undef METRIC
#undef PROCESS
#undef FAMILY
#undef HISTOGRAM
};

static inline void metrics_add(_Atomic uint64_t *metric, uint64_t n)
{
	atomic_fetch_add_explicit(metric, n, memory_order_relaxed);
}

static inline void metrics_set(_Atomic uint64_t *metric, uint64_t value)
{
	atomic_store_explicit(metric, value, memory_order_relaxed);
}

void metrics_family_add(struct metrics_family *f, const char *label, uint64_t n);
void metrics_histogram_add(struct metrics_histogram *h, int64_t us);

/* process.c: the operating system's figures for this process, now. Any thread. */
void metrics_measure_process(struct metrics *m);

/* Prometheus text format 0.0.4, from the arena; absent if it is full. */
struct slice metrics_text(const struct metrics *m, struct arena *arena);

/* The sum of all METRICs of this name, which is given without our prefix: over all labels. */
uint64_t metrics_sum(const struct metrics *m, const char *name);

/* A Markdown table of all metrics, for docs/metrics.md. */
void metrics_reference(void);

#endif
