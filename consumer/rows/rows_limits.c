#include "rows/rows_private.h"

/*
 * Refuses names that are too long for an index before anything is sent: PostgreSQL would refuse the
 * whole batch (54000), and for a merge it does not say which row it was. Compression is not
 * considered: it depends on the letters, and on settings.
 */
enum {
	INDEX_COLUMNS_MAX = 5,
	INDEX_HEAD_BYTES = 8, /* IndexTupleData; all columns are NOT NULL */
	INDEX_ALIGN = 8,
	SHORT_TEXT_BYTES = 126, /* has a header of one byte, without alignment */
	/* A shared id is followed by a digest (transaction_key()). */
	TRANSACTION_KEY_MORE = 24,
};

/* The parts of an entry: the text of a column, or a number of bytes of fixed size, aligned to
 * it. */
#define FIXED(bytes) (-(bytes))
#define LAST INT32_MIN

static const struct limit {
	enum table_id table; /* whose rows create such an entry */
	const char *what;
	size_t more; /* bytes that may be added to the last text */
	int32_t columns[INDEX_COLUMNS_MAX + 1];
} limits[] = {
#define EVENT(table)                                                                               \
	{                                                                                          \
		TABLE_##table, "the name of the station", 0,                                       \
		{                                                                                  \
			KEY_STATION, FIXED(8), FIXED(4), FIXED(8), LAST                            \
		}                                                                                  \
	}
	EVENT(meter_values),
	EVENT(transaction_events),
	EVENT(authorizations),
	EVENT(ocpp_events),
#undef EVENT
	{TABLE_ocpp_events, "the action with the name of the station", 0, /* ocpp_events_action */
		{TABLE_ocpp_events_action, KEY_STATION, FIXED(8), LAST}},
	{TABLE_station_operations, "the operation with the name of the station", 0,
		{KEY_STATION, TABLE_station_operations_operation, LAST}},
	{TABLE_exchange_halves, "the message id with the name of the station", 0,
		{TABLE_exchange_halves_charge_station_id, TABLE_exchange_halves_message_id,
			FIXED(1), FIXED(8), FIXED(8), LAST}},
	/* transaction_starts: an answer gives a start its id */
	{TABLE_exchange_halves, "the transaction id with the name of the station",
		TRANSACTION_KEY_MORE,
		{TABLE_exchange_halves_charge_station_id, FIXED(8), FIXED(4), FIXED(8),
			TABLE_exchange_halves_transaction_id, LAST}},
	{TABLE_transactions, "the transaction id with the name of the station", 0,
		{TABLE_transactions_charge_station_id, FIXED(8), TABLE_transactions_transaction_id,
			LAST}},
	{TABLE_store_token, "contract_id", 0, {TABLE_store_token_contract_id, LAST}},
	{TABLE_store_token, "cache_mode", 0, {TABLE_store_token_cache_mode, LAST}},
	{TABLE_store_location, "country_code with party_id", 0,
		{TABLE_store_location_country_code, TABLE_store_location_party_id, LAST}},
};

static size_t limit_align(size_t size, size_t to)
{
	return (size + to - 1) / to * to;
}

/* The layout of index_form_tuple(). */
static size_t limit_entry_bytes(const struct limit *l, const struct row *row)
{
	size_t size = INDEX_HEAD_BYTES;

	for (size_t i = 0; l->columns[i] != LAST; i++) {
		size_t text, fixed;

		if (l->columns[i] < 0) {
			fixed = (size_t)-l->columns[i];
			size = limit_align(size, fixed) + fixed;
			continue;
		}
		text = cell_text(row, l->columns[i]).size;
		if (l->columns[i + 1] == LAST)
			text += l->more;
		size = text <= SHORT_TEXT_BYTES ? size + 1 + text : limit_align(size, 4) + 4 + text;
	}
	return limit_align(size, INDEX_ALIGN);
}

static bool limit_check(const struct row *row, struct error *err)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		size_t size;

		if (limits[i].table != row->table->id)
			continue;
		size = limit_entry_bytes(&limits[i], row);
		if (size > ROWS_INDEX_BYTES_MAX)
			return error_set(err, ERROR_POISON, REASON_limit,
				"%s would take %zu bytes in an index, which holds %d at most",
				limits[i].what, size, ROWS_INDEX_BYTES_MAX);
	}
	return true;
}

bool rows_fit_indexes(const struct rows_result *rows, struct error *err)
{
	for (const struct row *row = rows->first; row != NULL; row = row->next) {
		if (!limit_check(row, err))
			return false;
	}
	for (const struct row *half = rows->halves; half != NULL; half = half->next) {
		if (!limit_check(half, err))
			return false;
	}
	return (rows->transaction == NULL || limit_check(rows->transaction->row, err));
}
