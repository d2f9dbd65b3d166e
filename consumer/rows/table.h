#ifndef ROWS_TABLE_H
#define ROWS_TABLE_H

#include "base/arena.h"
#include "base/decimal.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Tables, their columns, and rows of typed values for them. Pure; any thread.
 */
enum column_type {
	COLUMN_TEXT,
	COLUMN_TIME, /* timestamptz: int64 microseconds since 1970, TIME_UNDATED = -infinity */
	COLUMN_INT4,
	COLUMN_INT8,
	COLUMN_CHAR, /* "char": one byte */
	COLUMN_BOOL,
	COLUMN_NUMERIC,  /* a decimal as text, exponent allowed */
	COLUMN_NUMERICS, /* numeric[] */
	COLUMN_JSONB,    /* JSON text */
	COLUMN_BYTEA,
};

enum table_step { STEP_NONE, STEP_DAY, STEP_MONTH };

/* How rows get into their table; see tables.def. */
enum table_merge { MERGE_OWN, MERGE_COPY, MERGE_STATE };

/* Columns that tables have in common; see tables.def. */
enum table_common {
	COMMON_received_at,
	COMMON_flags,
	COMMON_time_source,
	COMMON_time_text,
	COMMON_ocpp_version,
	COMMON_message_id,
	COMMON_payload_raw,
	COMMON_COUNT,
};

/* TABLE_meter_values_event_time and so on: each column's position in its table. */
enum {
#define TABLE(name, step, merge)
#define COLUMN(table, column, type) TABLE_##table##_##column,
#define END(table)                                                                                 \
	TABLE_##table##_columns,                                                                   \
		TABLE_##table##_restart = -1, /* the next table counts from 0 again */
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END
};

enum table_id {
#define TABLE(name, step, merge) TABLE_##name,
#define COLUMN(table, column, type)
#define END(table)
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END
	TABLE_COUNT,
};

/* The first ones are the event tables. */
enum {
	EVENT_TABLES = 0
#define TABLE(name, step, merge) +(MERGE_##merge == MERGE_COPY) /* NOLINT: a term of a sum */
#define COLUMN(table, column, type)
#define END(table)
#include "rows/tables.def"
#undef TABLE
#undef COLUMN
#undef END
};

/* The key of event tables and state tables. */
enum { KEY_STATION, KEY_TIME, KEY_EVSE, KEY_DIGEST, KEY_COLUMNS };

#define TIME_UNDATED INT64_MIN

/* For evse_id and connector_id if a message states none. */
enum { EVSE_NOT_STATED = -1 };

struct column {
	const char *name;
	enum column_type type;
};

struct table {
	const char *name;
	const struct column *columns;
	size_t columns_count;
	enum table_step step;
	enum table_merge merge;
	enum table_id id;
	/* Position + 1 of each common column, 0 = absent; see table_common(). The last one is
	 * unused. */
	int8_t common[COMMON_COUNT + 1];
};

extern const struct table tables[TABLE_COUNT];

/* An element of NUMERICS, parsed once. */
struct numeric {
	struct slice text;      /* absent = NULL */
	struct decimal decimal; /* the parsed text */
};

struct cell {
	bool present; /* false = NULL */
	union {
		int64_t number;    /* TIME, INT4, INT8, CHAR, BOOL */
		struct slice text; /* TEXT, NUMERIC, JSONB, BYTEA */
		struct {
			const struct numeric *numerics; /* NUMERICS */
			size_t numerics_count;
		};
	};
};

/* row.message of a row that belongs to no message of the batch. */
#define ROW_OF_NO_MESSAGE UINT32_MAX

/* A row for a table. Everything borrows from the arena in which it was made. */
struct row {
	const struct table *table;
	struct row *next;      /* next in its list */
	uint32_t message;      /* the message it belongs to: its index in the batch */
	int32_t partition;     /* for an event in a batch: number of its partition */
	uint32_t copy_bytes;   /* for an event in a batch: its maximum size in COPY */
	bool first;            /* the message's own row: decides whether it is a duplicate */
	bool dropped;          /* already in the database */
	bool retained;         /* its message was retained: copies may have any age */
	bool named_by_call;    /* an answer that got its action from its call */
	int64_t former_digest; /* for an event: its digest in older versions, if different */
	/* For a half of an exchange: the row whose key it carries. */
	struct row *refers;
	struct cell cells[];
};

/* All cells are NULL. Returns NULL if the arena is full. */
MUST_CHECK struct row *row_new(struct arena *arena, enum table_id table);

/* SQL's name: "integer". */
const char *column_type_name(enum column_type type);

/* Position of a column by name, or -1. */
int table_column(const struct table *t, struct slice name);
const struct table *table_by_name(struct slice name);

/* Position of a common column, or -1. */
static inline int table_common(const struct table *t, enum table_common column)
{
	return t->common[column] - 1;
}

static inline void cell_set_number(struct row *r, int column, int64_t value)
{
	r->cells[column].present = true;
	r->cells[column].number = value;
}

/* An absent slice becomes NULL. */
static inline void cell_set_text(struct row *r, int column, struct slice text)
{
	r->cells[column].present = !slice_is_absent(text);
	r->cells[column].text = text;
}

static inline struct slice cell_text(const struct row *r, int column)
{
	return r->cells[column].present ? r->cells[column].text : (struct slice){NULL, 0};
}

#endif
