/*
 * How many look-ups of one token by uid the store does:
 *
 *	store_lookups URL THREADS SECONDS TOKENS
 *
 * There are tokens T0 to T(TOKENS - 1); as many connections as threads. Prints JSON.
 */
#include "base/clock.h"
#include "base/say.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MAX = 64 };

static struct ocpp_store *store;
static unsigned tokens;
static int64_t until_us;
static atomic_bool failed;

struct worker {
	pthread_t thread;
	unsigned seed;
	uint64_t done;
};

static void *look_up(void *context)
{
	struct worker *w = context;

	while (clock_mono_us() < until_us) {
		const struct ocpp_token *found = NULL;
		struct error err;
		char uid[16];

		snprintf(uid, sizeof(uid), "T%u", (unsigned)rand_r(&w->seed) % tokens);
		if (ocpp_token_lookup(store, uid, &found, &err) != OCPP_FOUND) {
			atomic_store(&failed, true);
			return NULL;
		}
		ocpp_free(found);
		w->done++;
	}
	return NULL;
}

/* All connections are made before the clock starts. */
static bool warm_up(uint64_t connections)
{
	int64_t deadline_us = clock_mono_us() + 30 * US_PER_SECOND;
	struct ocpp_store_stats s;

	do {
		ocpp_store_get_stats(store, &s);
	} while (s.idle < connections && clock_mono_us() < deadline_us);
	return s.idle == connections;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	struct ocpp_store_options options = {.url = argv[1]};
	int64_t since_us, us;
	uint64_t done = 0;
	struct error err;
	long threads, seconds;

	if (argc != 5)
		return 2;
	threads = strtol(argv[2], NULL, 10);
	seconds = strtol(argv[3], NULL, 10);
	tokens = (unsigned)strtoul(argv[4], NULL, 10);
	if (threads < 1 || threads > THREADS_MAX || seconds < 1 || tokens < 1)
		return 2;
	if (!ocpp_store_open(&store, &options, &err)) {
		say_line("error", err.message);
		return 1;
	}
	if (!warm_up((uint64_t)threads))
		return 1;
	since_us = clock_mono_us();
	until_us = since_us + seconds * US_PER_SECOND;
	for (long i = 0; i < threads; i++) {
		workers[i].seed = (unsigned)i + 1;
		if (pthread_create(&workers[i].thread, NULL, look_up, &workers[i]) != 0)
			return 1;
	}
	for (long i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
	}
	us = clock_mono_us() - since_us;
	ocpp_store_close(&store);
	printf("{\"lookups\": %llu, \"per_second\": %.1f}\n", (unsigned long long)done,
		(double)done * US_PER_SECOND / (double)us);
	return atomic_load(&failed) ? 1 : 0;
}
