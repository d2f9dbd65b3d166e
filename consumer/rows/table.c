#include "rows/table.h"

#define TABLE(name, step) static const struct column name##_columns[] = {
#define COLUMN(table, column, type) {#column, COLUMN_##type},
#define END(table)                                                                                 \
	}                                                                                          \
	;
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END

const struct table tables[TABLE_COUNT] = {
#define TABLE(name, step)                                                                          \
	[TABLE_##name] = {#name, name##_columns, sizeof(name##_columns) / sizeof(struct column),   \
		STEP_##step, TABLE_##name},
#define COLUMN(table, column, type)
#define END(table)
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END
};

/* The key is read by position in all event tables alike. */
#define KEY_IS_FIRST(table)                                                                        \
	_Static_assert((int)TABLE_##table##_charge_station_id == (int)KEY_STATION &&               \
			       (int)TABLE_##table##_event_time == (int)KEY_TIME &&                 \
			       (int)TABLE_##table##_evse_id == (int)KEY_EVSE &&                    \
			       (int)TABLE_##table##_digest == (int)KEY_DIGEST,                     \
		"the key of " #table " is not first")
KEY_IS_FIRST(meter_values);
KEY_IS_FIRST(transaction_events);
KEY_IS_FIRST(authorizations);
KEY_IS_FIRST(ocpp_events);
KEY_IS_FIRST(connector_status);
KEY_IS_FIRST(station_operations);
KEY_IS_FIRST(station_boots);
KEY_IS_FIRST(station_heartbeats);
KEY_IS_FIRST(exchange_pairs);

struct row *row_new(struct arena *arena, enum table_id id)
{
	const struct table *t = &tables[id];
	struct row *r = arena_zalloc(arena, sizeof(*r) + t->columns_count * sizeof(r->cells[0]));

	if (r != NULL)
		r->table = t;
	return r;
}

int table_column(const struct table *t, struct slice name)
{
	for (size_t i = 0; i < t->columns_count; i++) {
		if (slice_equal_cstr(name, t->columns[i].name))
			return (int)i;
	}
	return -1;
}

const struct table *table_by_name(struct slice name)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (slice_equal_cstr(name, tables[i].name))
			return &tables[i];
	}
	return NULL;
}
