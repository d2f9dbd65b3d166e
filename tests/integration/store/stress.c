#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * Many threads on a small pool, while test_store_stress.py restarts PostgreSQL:
 *
 *	store_stress THREADS DEADLINE_MS
 *
 * Each thread has a token of its own that it sets, reads back and deletes. A call may fail, with a
 * message and by its deadline; what one that succeeded said must be true. The end of standard input
 * is the sign to stop; then every connection has to be idle or gone, and a call has to succeed.
 */
enum { THREADS_MAX = 256 };

/* A call returns at most this much after its deadline: what the scheduler of a busy machine may
 * take, 64 threads on two cores under a sanitizer. */
static const int64_t grace_us = 5 * US_PER_SECOND;

static atomic_bool stopping;
static atomic_uint_fast64_t succeeded, failed, late, unexplained, wrong;
static int64_t deadline_us;

static void count(bool ok, int64_t since_us, const struct error *e)
{
	if (clock_mono_us() - since_us > deadline_us + grace_us)
		atomic_fetch_add(&late, 1);
	if (ok)
		atomic_fetch_add(&succeeded, 1);
	else
		atomic_fetch_add(&failed, 1);
	if (!ok && (e->message[0] == '\0' || e->kind != ERROR_TRANSIENT)) {
		atomic_fetch_add(&unexplained, 1);
		fprintf(stderr, "%s %s: %s\n", error_kind_name(e->kind), e->reason, e->message);
	}
}

static bool set(const char *uid, int64_t round)
{
	struct ocpp_token t = {uid, "RFID", "GB", "TWK", "GBTWK1", NULL, "Thoughtworks", NULL,
		round % 2 == 0, NULL, "ALWAYS", AT(round)};
	int64_t since_us = clock_mono_us();
	struct error e = {.message = ""};
	bool ok = ocpp_token_set(store, &t, 1, &e);

	count(ok, since_us, &e);
	return ok;
}

static bool look_up(const char *uid, int64_t round)
{
	const struct ocpp_token *found = NULL;
	int64_t since_us = clock_mono_us();
	struct error e = {.message = ""};
	enum ocpp_outcome outcome = ocpp_token_lookup(store, uid, &found, &e);

	count(outcome != OCPP_ERROR, since_us, &e);
	if (outcome == OCPP_ABSENT ||
		(outcome == OCPP_FOUND &&
			(found->last_updated != AT(round) || found->valid != (round % 2 == 0))))
		atomic_fetch_add(&wrong, 1);
	ocpp_free(found);
	return outcome == OCPP_FOUND;
}

static void tell(const char *uid, int64_t round)
{
	const struct ocpp_meter_value value = {AT(round), "[{\"value\": \"1\"}]"};
	struct ocpp_transaction_report t = {.charge_station_id = "stress",
		.transaction_id = uid,
		.seq_no = OCPP_NONE,
		.meter_values = &value,
		.meter_values_count = 1};
	int64_t since_us = clock_mono_us();
	struct error e = {.message = ""};

	count(ocpp_transaction_update(store, &t, &e), since_us, &e);
}

static void *work(void *context)
{
	const char *uid = context;

	for (int64_t round = 1; !atomic_load(&stopping); round++) {
		if (set(uid, round))
			(void)look_up(uid, round);
		if (round % 8 == 0) /* several statements in a transaction */
			tell(uid, round);
	}
	return NULL;
}

static bool all_given_back(int64_t pool)
{
	struct ocpp_store_stats s;

	ocpp_store_get_stats(store, &s);
	printf("succeeded %llu failed %llu late %llu unexplained %llu wrong %llu\n",
		(unsigned long long)succeeded, (unsigned long long)failed, (unsigned long long)late,
		(unsigned long long)unexplained, (unsigned long long)wrong);
	printf("open %llu idle %llu busy %llu waiting %llu connects %llu broken %llu waits %llu\n",
		(unsigned long long)s.open, (unsigned long long)s.idle, (unsigned long long)s.busy,
		(unsigned long long)s.waiting, (unsigned long long)s.connects_total,
		(unsigned long long)s.broken_total, (unsigned long long)s.waits_total);
	return s.busy == 0 && s.waiting == 0 && s.open <= (uint64_t)pool && s.broken_total >= 2;
}

int main(int argc, char **argv)
{
	static pthread_t threads[THREADS_MAX];
	static char uids[THREADS_MAX][16];
	long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 64;
	bool ok;

	deadline_us = (argc > 2 ? strtol(argv[2], NULL, 10) : 10000) * US_PER_MS;
	if (wanted < 1 || wanted > THREADS_MAX ||
		!ocpp_store_open(&store,
			&(struct ocpp_store_options){.url = getenv("STORE_URL"),
				.deadline_us = deadline_us},
			&err)) {
		fprintf(stderr, "%s\n", err.message);
		return 2;
	}
	for (long i = 0; i < wanted; i++) {
		snprintf(uids[i], sizeof(uids[i]), "stress-%ld", i);
		if (pthread_create(&threads[i], NULL, work, uids[i]) != 0)
			return 2;
	}
	while (getchar() != EOF)
		continue;
	atomic_store(&stopping, true);
	for (long i = 0; i < wanted; i++)
		pthread_join(threads[i], NULL);
	ok = all_given_back(8) && late == 0 && unexplained == 0 && wrong == 0 && succeeded > 0;
	/* Every place of the pool is of use again. */
	ok = set("after", 1) && look_up("after", 1) && ok;
	ocpp_store_close(&store);
	return ok ? 0 : 1;
}
