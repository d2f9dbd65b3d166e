#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/entities.h"
#include "store/roaming.h"
#include "store/stations.h"
#include "store/tokens.h"
#include "store/transactions.h"

/*
 * What a CSMS keeps in PostgreSQL besides what stations report: tokens, charge stations,
 * certificates, OCPI partners, locations; and transactions to read. This is the library
 * libocpp-store; the calls are in tokens.h, stations.h, transactions.h and roaming.h.
 *
 * Any number of threads may use one store. Every call ends by its deadline, with success or with
 * err; a call that fails because the server went away is retried until then. All calls may be
 * repeated: set is one atomic statement for all rows that it is given, deleting something absent
 * succeeds, and setting something twice stores it once. Something that does not exist is
 * OCPP_ABSENT, not an error.
 *
 * Of two sets or deletes with the same key, the one with the newest last_updated counts, whichever
 * comes first; of a set and a delete with the same time, the delete. A call without a time (0) is
 * newer than anything stored; one of 1970-01-01T00:00:00Z has OCPP_TIME_EPOCH. Of two sets with the
 * same time, the one stored last counts.
 *
 * Returned rows are one block of memory, including their text: ocpp_free(rows).
 */

/* NULL and 0 select the defaults. */
struct ocpp_store_options {
	const char *url;         /* connection string or URL; may have pool_max_conns and so on */
	const char *replica_url; /* for lists, which may lag a little there; NULL = none */
	const char *schema;      /* "ocpp" */
	const char *application; /* shown in pg_stat_activity; "ocpp-store" */
	int64_t deadline_us;     /* for each call; default 30 s */
};

/* Does not connect yet: the first call does. FATAL if the options are invalid. */
OCPP_API MUST_CHECK bool ocpp_store_open(struct ocpp_store **out,
	const struct ocpp_store_options *options, struct error *err);

/* No call may be in progress. Returned rows stay valid until ocpp_free(). */
OCPP_API void ocpp_store_close(struct ocpp_store **store);

/* Rows from any call; NULL is fine. */
OCPP_API void ocpp_free(const void *rows);

/* Remove what remembers deletes from before then; an older set that arrives later undoes them. */
OCPP_API MUST_CHECK bool ocpp_store_forget(struct ocpp_store *store, int64_t before,
	struct error *err);

/* Does every query fit the database? False with err: the first that does not, and why. */
OCPP_API MUST_CHECK bool ocpp_store_check(struct ocpp_store *store, struct error *err);

/* About connections to the primary: gauges, and counters since the store was opened. */
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
