#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/entities.h"
#include "store/roaming.h"
#include "store/stations.h"
#include "store/tokens.h"
#include "store/transactions.h"

/*
 * What a CSMS keeps in PostgreSQL beside what stations report: tokens, charge stations,
 * certificates, OCPI partners, locations; and transactions to look at. This is the library
 * libocpp-store; the calls are in tokens.h, stations.h, transactions.h and roaming.h.
 *
 * Any number of threads may use one store. Every call ends by its deadline, with success or with
 * err; one that fails because the server went away is tried again until then. All calls may be
 * repeated: set is one atomic statement for all rows it is given, delete of something absent is
 * fine, and what was set twice is there once. Something that is not there is OCPP_ABSENT, not an
 * error.
 *
 * Of two sets or deletes of one key the newest by last_updated counts, whichever comes first; of a
 * set and a delete of one time the delete. A call without a time (0) is newer than what is there.
 * Of two sets of one time the one stored last counts.
 *
 * Rows that are handed out are one piece of memory, their text included: ocpp_free(rows).
 */

/* NULL and 0 are the defaults. */
struct ocpp_store_options {
	const char *url;         /* connection string or URL; may have pool_max_conns and so on */
	const char *replica_url; /* for lists, which may be a moment old there; NULL = none */
	const char *schema;      /* "ocpp" */
	const char *application; /* shown in pg_stat_activity; "ocpp-store" */
	int64_t deadline_us;     /* of each call: 30 s */
};

/* Does not connect yet: the first call does. FATAL if the options cannot be right. */
OCPP_API MUST_CHECK bool ocpp_store_open(struct ocpp_store **out,
	const struct ocpp_store_options *options, struct error *err);

/* No call may be under way. What was handed out stays until ocpp_free(). */
OCPP_API void ocpp_store_close(struct ocpp_store **store);

/* Rows from any call; NULL is fine. */
OCPP_API void ocpp_free(const void *rows);

/* Remove what remembers deletes of before then; an older set that comes later brings them back. */
OCPP_API MUST_CHECK bool ocpp_store_forget(struct ocpp_store *store, int64_t before,
	struct error *err);

/* Does every query fit the database? false with err: the first that does not, and why. */
OCPP_API MUST_CHECK bool ocpp_store_check(struct ocpp_store *store, struct error *err);

/* Of the connections to the primary: gauges, and counters since it was opened. */
struct ocpp_store_stats {
	uint64_t open;
	uint64_t idle;
	uint64_t busy;
	uint64_t waiting;
	uint64_t taken_total;
	uint64_t waits_total;
	int64_t wait_us_total;
	uint64_t timeouts_total;
	uint64_t connects_total;
	uint64_t connect_failures_total;
	uint64_t broken_total;
	uint64_t idle_closed_total;
};

OCPP_API void ocpp_store_get_stats(struct ocpp_store *store, struct ocpp_store_stats *out);

#endif
