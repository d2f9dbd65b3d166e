#include "store/store_private.h"

#include <stdlib.h>

/* The meter values as rows; NULL with err if out of memory or beyond the limit. */
static struct store_report_value *report_values(const struct ocpp_transaction_report *t,
	struct error *err)
{
	struct store_report_value *rows;

	if (t->meter_values_count > OCPP_ROWS_MAX) {
		error_set(err, ERROR_POISON, REASON_bad_row, "more than %d rows in one call",
			OCPP_ROWS_MAX);
		return NULL;
	}
	rows = calloc(t->meter_values_count + 1, sizeof(*rows));
	if (rows == NULL)
		error_set(err, ERROR_TRANSIENT, REASON_memory, "out of memory");
	for (size_t i = 0; rows != NULL && i < t->meter_values_count; i++)
		rows[i] = (struct store_report_value){t->charge_station_id, t->transaction_id,
			t->meter_values[i].event_time, t->meter_values[i].sampled_value};
	return rows;
}

/* The meter values and the report, in one transaction: the report's query reads the values. */
static bool transaction_report(struct ocpp_store *store, enum store_query_id query,
	const struct ocpp_transaction_report *t, struct error *err)
{
	struct store_report report = {
		.charge_station_id = t->charge_station_id,
		.transaction_id = t->transaction_id,
		.id_token = t->id_token,
		.id_token_type = t->id_token_type,
		.time = t->time,
		.reason = t->reason,
		.meter = t->meter,
		.seq_no = t->seq_no,
		.offline = t->offline,
	};
	struct store_report_value *values = report_values(t, err);
	struct store_request requests[] = {
		{QUERY_transaction_values, values, t->meter_values_count},
		{query, &report, 1},
	};
	size_t skip = t->meter_values_count == 0 ? 1 : 0;
	bool ok = values != NULL && store_run(store, requests + skip, 2 - skip, NULL, NULL, err);

	free(values);
	return ok;
}

bool ocpp_transaction_create(struct ocpp_store *store, const struct ocpp_transaction_report *report,
	struct error *err)
{
	return transaction_report(store, QUERY_transaction_create, report, err);
}

bool ocpp_transaction_update(struct ocpp_store *store, const struct ocpp_transaction_report *report,
	struct error *err)
{
	return transaction_report(store, QUERY_transaction_update, report, err);
}

bool ocpp_transaction_end(struct ocpp_store *store, const struct ocpp_transaction_report *report,
	struct error *err)
{
	return transaction_report(store, QUERY_transaction_end, report, err);
}

bool ocpp_transaction_set_cost(struct ocpp_store *store, const char *charge_station_id,
	const char *transaction_id, const char *total_cost, struct error *err)
{
	struct store_report report = {
		.charge_station_id = charge_station_id,
		.transaction_id = transaction_id,
		.seq_no = OCPP_NONE,
		.total_cost = total_cost,
	};
	struct store_request r = {QUERY_transaction_cost, &report, 1};

	return store_run(store, &r, 1, NULL, NULL, err);
}

enum ocpp_outcome ocpp_transaction_find(struct ocpp_store *store, const char *charge_station_id,
	const char *transaction_id, const struct ocpp_transaction **out, struct error *err)
{
	struct store_transaction_id id = {charge_station_id, transaction_id};

	return store_lookup(store, QUERY_transaction_find, &id, (const void **)out, NULL, err);
}

bool ocpp_transaction_list(struct ocpp_store *store, const struct ocpp_transaction_page *page,
	const struct ocpp_transaction **out, size_t *count_out, struct error *err)
{
	struct store_transaction_list list = {
		.charge_station_id = page->charge_station_id,
		.with_values = page->with_values,
	};
	struct store_request r = {page->charge_station_id == NULL ? QUERY_transaction_list
								  : QUERY_transaction_list_station,
		&list, 1};

	if (page->after != NULL) {
		list.before = page->after->list_time;
		list.after_station = page->after->charge_station_id;
		list.after_id = page->after->transaction_id;
		list.after_start_key = page->after->start_key;
	}
	return store_limit(page->limit, &list.limit, err) &&
	       store_run(store, &r, 1, (const void **)out, count_out, err);
}
