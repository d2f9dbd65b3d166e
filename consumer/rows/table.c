#include "rows/table.h"

#define TABLE(name, step, merge) static const struct column name##_columns[] = {
#define COLUMN(table, column, type) {#column, COLUMN_##type},
#define END(table)                                                                                 \
	}                                                                                          \
	;
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END

const struct table tables[TABLE_COUNT] = {
#define TABLE(name, step, merge)                                                                   \
	[TABLE_##name] = {#name, name##_columns, sizeof(name##_columns) / sizeof(struct column),   \
		STEP_##step, MERGE_##merge, TABLE_##name, {[COMMON_COUNT] = 0,
#define COLUMN(table, column, type)
#define COMMON(table, column, type) [COMMON_##column] = TABLE_##table##_##column + 1,
#define END(table)                                                                                 \
	}                                                                                          \
	}                                                                                          \
	,
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END
};

/* All of these tables have the key in the same columns, and event tables are found by number. */
#define KEY_OWN(name) 1
#define KEY_COPY(name)                                                                             \
	((int)TABLE_##name##_charge_station_id == (int)KEY_STATION &&                              \
		(int)TABLE_##name##_event_time == (int)KEY_TIME &&                                 \
		(int)TABLE_##name##_evse_id == (int)KEY_EVSE &&                                    \
		(int)TABLE_##name##_digest == (int)KEY_DIGEST)
#define KEY_STATE(name) KEY_COPY(name)
#define TABLE(name, step, merge)                                                                   \
	_Static_assert(KEY_##merge(name), "the key of " #name " is not first");                    \
	_Static_assert((MERGE_##merge == MERGE_COPY) == ((int)TABLE_##name < EVENT_TABLES),        \
		"the event tables are not the first ones: " #name);
#define COLUMN(table, column, type)
#define END(table)
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END

const char *column_type_name(enum column_type type)
{
	static const char *const names[] = {
		[COLUMN_TEXT] = "text",
		[COLUMN_TIME] = "timestamptz",
		[COLUMN_INT4] = "integer",
		[COLUMN_INT8] = "bigint",
		[COLUMN_CHAR] = "\"char\"",
		[COLUMN_BOOL] = "boolean",
		[COLUMN_NUMERIC] = "numeric",
		[COLUMN_NUMERICS] = "numeric[]",
		[COLUMN_JSONB] = "jsonb",
		[COLUMN_BYTEA] = "bytea",
	};

	return names[type];
}

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
