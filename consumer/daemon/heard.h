#ifndef DAEMON_HEARD_H
#define DAEMON_HEARD_H

#include "config/config.h"
#include "decode/topic.h"

#include <pthread.h>

/*
 * Counts the stations heard from recently, by the names in their topics. Exact, in memory that
 * grows with them up to a limit; stations beyond it are not counted. A message costs a digest, a
 * lock and a table lookup: 0.14 us with 240 stations, 0.6 us with 96,000; counting those takes 2
 * ms. Any thread, between heard_init() and heard_fini().
 */
enum { HEARD_STATIONS_MAX = 1 << 17 };

struct heard {
	pthread_mutex_t lock;           /* for the fields below */
	struct topic_patterns patterns; /* their text belongs to the settings */
	struct heard_station *slots;    /* a hash table, at least half empty */
	size_t room;
	size_t used;
	int64_t rebuilt_us;
	bool open;
};

/* config outlives it. FATAL. */
MUST_CHECK bool heard_init(struct heard *h, const struct config *config, struct error *err);
void heard_fini(struct heard *h);

/* Switch to new settings, which outlive it, from the next message on. FATAL, and nothing is
 * changed. */
MUST_CHECK bool heard_reload(struct heard *h, const struct config *config, struct error *err);

/* Something was received on this topic at this monotonic time; only messages from stations
 * count. */
void heard_note(struct heard *h, struct slice topic, int64_t now_us);

/* Stations heard from in the last 5 minutes. */
uint64_t heard_count(struct heard *h, int64_t now_us);

#endif
