#ifndef STORE_TRANSACTIONS_H
#define STORE_TRANSACTIONS_H

#include "store/entities.h"

/*
 * Transactions. Calls read what stations reported (table transactions, merged from events) and,
 * where they reported nothing, what was reported here. Reports may come in any order and repeat: an
 * end or an update without a start creates the transaction, and of two starts or two ends the first
 * counts. Each call is one transaction of the database. See store.h for the rest.
 */

/* One report about a transaction. */
struct ocpp_transaction_report {
	const char *charge_station_id;
	const char *transaction_id;
	const char *id_token; /* create */
	const char *id_token_type;
	int64_t time; /* of the start or end; 0 = that of the first or last meter value, else now */
	const char *reason; /* end */
	const char *meter;  /* register in Wh as decimal text; NULL = from the meter values */
	int32_t seq_no;     /* OCPP_NONE = not stated */
	bool offline;       /* create */
	const struct ocpp_meter_value *meter_values; /* sampled_value: an array as in OCPP 2.x */
	size_t meter_values_count;
};

OCPP_API MUST_CHECK bool ocpp_transaction_create(struct ocpp_store *store,
	const struct ocpp_transaction_report *report, struct error *err);
OCPP_API MUST_CHECK bool ocpp_transaction_update(struct ocpp_store *store,
	const struct ocpp_transaction_report *report, struct error *err);
OCPP_API MUST_CHECK bool ocpp_transaction_end(struct ocpp_store *store,
	const struct ocpp_transaction_report *report, struct error *err);

/* The cost so far, as decimal text. */
OCPP_API MUST_CHECK bool ocpp_transaction_set_cost(struct ocpp_store *store,
	const char *charge_station_id, const char *transaction_id, const char *total_cost,
	struct error *err);

/* Includes its meter values. Of an id that the station used again, the session that began last:
 * ocpp_transaction_list() has all of them, told apart by start_key. */
OCPP_API MUST_CHECK enum ocpp_outcome ocpp_transaction_find(struct ocpp_store *store,
	const char *charge_station_id, const char *transaction_id,
	const struct ocpp_transaction **out, struct error *err);

/* Latest start first, then by station, id and start_key. after: the last one of the page before. */
struct ocpp_transaction_page {
	const char *charge_station_id; /* only this station; NULL = all */
	const struct ocpp_transaction *after;
	int32_t limit; /* as in struct ocpp_page */
	bool with_values;
};

OCPP_API MUST_CHECK bool ocpp_transaction_list(struct ocpp_store *store,
	const struct ocpp_transaction_page *page, const struct ocpp_transaction **out,
	size_t *count_out, struct error *err);

#endif
