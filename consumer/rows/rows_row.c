/* One row of a message: the common columns, its time, and columns from fields by a schema. */
#include "base/check.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/digest.h"
#include "base/iso8601.h"
#include "rows/flags.h"
#include "rows/rows_private.h"

/* Times outside of this are not times of charging sessions. */
#define TIME_FROM_US (INT64_C(1262304000) * US_PER_SECOND) /* 2010-01-01 */
#define TIME_TO_US (INT64_C(4102444800) * US_PER_SECOND)   /* 2100-01-01 */

/* A clock that is further ahead of ours is flagged. */
#define TIME_FUTURE_US (5 * 60 * US_PER_SECOND)

static void row_set_common(struct row *row, enum table_common column, int64_t number)
{
	int at = table_common(row->table, column);

	if (at >= 0)
		cell_set_number(row, at, number);
}

static void row_set_common_text(struct row *row, enum table_common column, struct slice text)
{
	int at = table_common(row->table, column);

	if (at >= 0)
		cell_set_text(row, at, text);
}

void rows_set_flag(struct row *row, int64_t flag)
{
	int at = table_common(row->table, COMMON_flags);

	if (at >= 0)
		row->cells[at].number |= flag;
}

/* Columns that every row has, and those that every row of its table has. */
static void rows_set_common(struct rows_work *w, struct row *row)
{
	const struct message *m = w->message;
	struct slice raw = m->text_replaced ? message_kept(m) : (struct slice){NULL, 0};

	cell_set_text(row, KEY_STATION, m->station);
	cell_set_number(row, KEY_TIME, m->received_us);
	cell_set_number(row, KEY_EVSE, EVSE_NOT_STATED);
	if (row->table->id == TABLE_connector_status) /* part of its key in the database */
		cell_set_number(row, TABLE_connector_status_connector_id, EVSE_NOT_STATED);
	row_set_common(row, COMMON_received_at, m->received_us);
	row_set_common(row, COMMON_flags, 0);
	row_set_common_text(row, COMMON_ocpp_version, m->version_text);
	row_set_common_text(row, COMMON_message_id, m->id);
	row_set_common_text(row, COMMON_payload_raw, raw);
	if (m->text_replaced)
		rows_set_flag(row, FLAG_text_replaced);
}

bool rows_add_half(struct rows_work *w, char kind, struct slice action)
{
	const struct message *m = w->message;
	struct row *half = row_new(w->arena, TABLE_exchange_halves);

	if (half == NULL)
		return false;
	cell_set_text(half, TABLE_exchange_halves_charge_station_id, m->station);
	cell_set_text(half, TABLE_exchange_halves_message_id, m->id);
	cell_set_number(half, TABLE_exchange_halves_half, kind);
	cell_set_number(half, TABLE_exchange_halves_received_at, m->received_us);
	half->cells[TABLE_exchange_halves_digest] = w->out->first->cells[KEY_DIGEST];
	cell_set_text(half, TABLE_exchange_halves_action, action);
	if (m->trace.size > 0)
		cell_set_text(half, TABLE_exchange_halves_trace_id, m->trace);
	half->refers = w->out->first;
	half->next = w->out->halves;
	w->out->halves = half;
	return true;
}

struct rows_time {
	int64_t us;
	char source; /* s, r, i */
	int64_t flags;
	struct slice text;
};

/* The instant of a text or timestamp, and whether it says everything. */
static enum iso8601_kind rows_instant(const struct value *v, int64_t *us_out)
{
	if (v->kind == VALUE_STRING)
		return iso8601_parse(v->text, us_out);
	if (v->kind != VALUE_TIME)
		return ISO8601_INVALID;
	*us_out = v->time_us;
	return v->count == 0 ? ISO8601_EXACT : ISO8601_ADJUSTED;
}

/* The text of a time, also of one that came as a timestamp. */
static struct slice rows_time_text(struct rows_work *w, const struct value *v)
{
	char text[VALUE_TIME_BYTES];
	struct slice copy;

	if (v->kind != VALUE_TIME)
		return value_text(v);
	copy = arena_copy(w->arena, slice_of(text, value_format_time(v, text)));
	w->full |= slice_is_absent(copy);
	return copy;
}

static int64_t rows_time_flags(enum iso8601_kind kind)
{
	switch (kind) {
	case ISO8601_INVALID:
		return FLAG_time_invalid;
	case ISO8601_ZONELESS:
		return FLAG_time_zoneless;
	case ISO8601_ADJUSTED:
		return FLAG_time_adjusted;
	case ISO8601_EXACT:
		break;
	}
	return 0;
}

static struct rows_time rows_time(struct rows_work *w, const struct value *v)
{
	const struct message *m = w->message;
	/* Our own clock may be wrong, too, and no partition has room for such a time. */
	bool dated = m->received_us >= TIME_FROM_US && m->received_us < TIME_TO_US;
	struct rows_time t = {.us = dated ? m->received_us : TIME_UNDATED, .source = 'r'};
	enum iso8601_kind kind;
	int64_t us = 0;

	if (v == NULL || v->kind == VALUE_NULL)
		return t;
	t.source = 's';
	kind = rows_instant(v, &us);
	if (kind != ISO8601_EXACT)
		t.text = rows_time_text(w, v);
	if (kind == ISO8601_INVALID || us < TIME_FROM_US || us >= TIME_TO_US) {
		t.us = TIME_UNDATED;
		t.source = 'i';
		t.flags = FLAG_time_invalid;
		t.text = rows_time_text(w, v);
		return t;
	}
	t.flags = rows_time_flags(kind);
	if (us > m->received_us + TIME_FUTURE_US)
		t.flags |= FLAG_time_future;
	t.us = us;
	return t;
}

/* Sets event_time, time_source, time_text and flags from a station's time; NULL = none given. */
static void rows_set_time(struct rows_work *w, struct row *row, struct value *v)
{
	struct rows_time t = rows_time(w, v);

	/* Where the newest row wins, a station with a wrong clock still counts, and a row dated
	 * ahead does not outlast later ones. */
	if (row->table->merge != MERGE_COPY &&
		(t.source == 'i' || (t.flags & FLAG_time_future) != 0))
		t.us = w->message->received_us;
	cell_set_number(row, KEY_TIME, t.us);
	rows_set_flag(row, t.flags);
	row_set_common(row, COMMON_time_source, t.source);
	row_set_common_text(row, COMMON_time_text, t.text);
	/* A time that is neither text nor a timestamp (a map, say) is left unused. */
	if (v != NULL && (v->kind == VALUE_TIME || !slice_is_absent(value_text(v))))
		value_mark_used(v);
}

struct row *rows_add(struct rows_work *w, enum table_id table)
{
	struct row *row = row_new(w->arena, table);

	if (row == NULL)
		return NULL;
	rows_set_common(w, row);
	row->retained = w->message->retained;
	rows_set_time(w, row, NULL);
	if (w->out->last != NULL)
		w->out->last->next = row;
	else
		w->out->first = row;
	w->out->last = row;
	return row;
}

/* time_source of an event; 0 for rows of other tables. */
static int64_t row_time_source(const struct row *row)
{
	int at = table_common(row->table, COMMON_time_source);

	return at >= 0 ? row->cells[at].number : 0;
}

bool row_is_timeless(const struct row *row)
{
	int64_t source = row_time_source(row);

	return source == 'r' || source == 'i';
}

bool row_is_undated(const struct row *row)
{
	return row_time_source(row) == 'i';
}

int64_t row_received_us(const struct row *row)
{
	CHECK(row->table->merge == MERGE_COPY);
	return row->cells[table_common(row->table, COMMON_received_at)].number;
}

static int64_t row_window(const struct row *row, int64_t dedupe_window_us)
{
	if (!row_is_undated(row))
		return 0;
	return row_received_us(row) / (dedupe_window_us > 0 ? dedupe_window_us : 1);
}

int64_t row_content(const struct row *row, int64_t dedupe_window_us)
{
	return row->cells[KEY_DIGEST].number ^ row_window(row, dedupe_window_us);
}

void row_set_digest(const struct rows_work *w, struct row *row, struct slice content)
{
	int64_t window = row_window(row, w->builder->options.dedupe_window_us);

	cell_set_number(row, KEY_DIGEST, (int64_t)digest64(content.data, content.size) ^ window);
}

/* Within the years that text can express, 0 to 9999; msgpack has others. */
static bool rows_is_writable_time(int64_t us)
{
	return us >= iso8601_days(0, 1, 1) * US_PER_DAY &&
	       us < iso8601_days(10000, 1, 1) * US_PER_DAY;
}

/* Put a value into a column. A value that does not fit the column's type is left unused, so it ends
 * up in extra as the station wrote it. True if the column says everything. */
static bool rows_set_cell(struct row *row, const struct schema_field *f, struct value *v)
{
	struct slice text = value_text(v);
	enum iso8601_kind kind;
	struct decimal d;
	int64_t number;

	switch (f->type) {
	case COLUMN_TEXT:
		cell_set_text(row, f->column, text);
		return !slice_is_absent(text);
	case COLUMN_CHAR:
		if (text.size != 1)
			return false;
		cell_set_number(row, f->column, text.data[0]);
		return true;
	case COLUMN_INT4:
		if (slice_is_absent(text) || !decimal_to_int64(text, INT32_MIN, INT32_MAX, &number))
			return false;
		cell_set_number(row, f->column, number);
		return true;
	case COLUMN_BOOL:
		if (v->kind != VALUE_BOOLEAN)
			return false;
		cell_set_number(row, f->column, v->boolean);
		return true;
	case COLUMN_NUMERIC:
		if (slice_is_absent(text) || decimal_parse(text, &d) == DECIMAL_NONE)
			return false;
		cell_set_text(row, f->column, text);
		return decimal_parse(text, &d) == DECIMAL_PLAIN;
	case COLUMN_TIME:
		kind = rows_instant(v, &number);
		if (kind == ISO8601_INVALID || !rows_is_writable_time(number))
			return false;
		cell_set_number(row, f->column, number);
		return kind == ISO8601_EXACT;
	case COLUMN_INT8:
	case COLUMN_NUMERICS:
	case COLUMN_JSONB:
	case COLUMN_BYTEA:
		break;
	}
	return false;
}

/* Digits of a numeric id; nobody counts with more. */
enum { ID_DIGITS_MAX = 64 };

/* Digits without leading and trailing zeros, and how many zeros follow; 0 is a single zero. */
struct id_digits {
	char digits[ID_DIGITS_MAX];
	size_t count;
	int64_t zeros;
};

/* False if it is not a whole number, or too long. */
static bool id_digits_of(const struct decimal *d, struct id_digits *out)
{
	out->count = 0;
	out->zeros = d->exponent;
	for (size_t i = 0, point = 0; i < d->digits_size; i++) {
		if (d->digits[i] == '.') {
			point = 1;
			continue;
		}
		out->zeros -= (int64_t)point;
		if (out->count == 0 && d->digits[i] == '0')
			continue;
		if (out->count == sizeof(out->digits))
			return false;
		out->digits[out->count++] = (char)d->digits[i];
	}
	for (; out->count > 0 && out->digits[out->count - 1] == '0'; out->count--)
		out->zeros++;
	if (out->count == 0)
		out->zeros = 1;
	return out->zeros >= 0 && out->zeros <= ID_DIGITS_MAX;
}

/* The one way to write a whole number that is an id: 9.0 and 9e0 are 9, -0.0 is 0. Texts are ids as
 * they are, and so are numbers that are not whole. */
static struct slice rows_id_text(struct rows_work *w, struct slice number)
{
	struct decimal d;
	struct text t;
	struct id_digits id;

	if (decimal_parse(number, &d) == DECIMAL_NONE || !id_digits_of(&d, &id))
		return number;
	text_begin(&t, w->arena);
	if (d.negative && id.count > 0)
		text_put_char(&t, '-');
	text_put(&t, id.digits, id.count);
	for (int64_t i = 0; i < id.zeros; i++)
		text_put_char(&t, '0');
	number = text_end(&t);
	w->full |= slice_is_absent(number);
	return number;
}

void rows_fill(struct rows_work *w, struct row *row, const struct schema_block *block,
	struct value *element)
{
	int64_t us;
	bool is_dated = block->kind != SCHEMA_HALF && block->kind != SCHEMA_FACT;

	for (size_t i = 0; i < block->fields_count; i++) {
		const struct schema_field *f = &block->fields[i];
		struct value constant, id, *v;

		if (!slice_is_absent(f->constant)) {
			constant = (struct value){.kind = VALUE_STRING, .text = f->constant};
			(void)rows_set_cell(row, f, &constant);
			continue;
		}
		v = schema_get(&f->path, element, w->message->payload);
		if (f->column == KEY_TIME && is_dated)
			rows_set_time(w, row, v);
		if (v == NULL || (f->column == KEY_TIME && is_dated))
			continue;
		id = *v;
		if (v->kind == VALUE_NUMBER && f->type == COLUMN_TEXT &&
			f->column ==
				table_column(row->table, (struct slice)SLICE("transaction_id")))
			id.text = rows_id_text(w, v->text);
		if (rows_set_cell(row, f, &id))
			value_mark_used(v);
		if (f->type == COLUMN_TIME && v->kind != VALUE_NULL)
			rows_set_flag(w->out->first, rows_time_flags(rows_instant(v, &us)));
	}
}
