#include "replay/readers/csv.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/iso8601.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* Rows outside this time could not be found (rows_row.c); within it, numbers of seconds,
 * milliseconds and microseconds cannot be confused. */
#define CSV_FROM_S INT64_C(1262304000) /* 2010-01-01 */
#define CSV_TO_S INT64_C(4102444800)   /* 2100-01-01 */

enum { NO_COLUMN = CSV_COLUMNS_MAX, BOM_BYTES = 3 };

static const struct slice not_stated = {NULL, 0};

/* ---- rows ---- */

/* How far a row is read: to the beginning of a cell, or to just after its end. */
struct row_cursor {
	const uint8_t *data;
	size_t size;
	size_t at;
	bool last; /* nothing follows */
	char separator;
	size_t lines;
	const char *why;
};

static enum csv_status row_bad(struct row_cursor *r, const char *why)
{
	r->why = why;
	return CSV_BAD;
}

static enum csv_status row_quoted(struct row_cursor *r, struct slice *out)
{
	size_t from = r->at + 1;

	for (size_t at = from;;) {
		const uint8_t *quote =
			at < r->size ? memchr(r->data + at, '"', r->size - at) : NULL;
		size_t found;

		if (quote == NULL)
			return r->last ? row_bad(r, "a quote is not closed") : CSV_PARTIAL;
		found = (size_t)(quote - r->data);
		if (found + 1 == r->size && !r->last)
			return CSV_PARTIAL; /* the quote may be doubled */
		if (found + 1 < r->size && r->data[found + 1] == '"') {
			at = found + 2;
			continue;
		}
		for (at = from; at < found; at++)
			r->lines += r->data[at] == '\n';
		*out = slice_of(r->data + from, found - from);
		r->at = found + 1;
		return CSV_OK;
	}
}

static enum csv_status row_plain(struct row_cursor *r, struct slice *out)
{
	size_t from = r->at;

	for (; r->at < r->size; r->at++) {
		uint8_t c = r->data[r->at];

		if (c == '"')
			return row_bad(r, "a quote stands inside a cell");
		if (c == (uint8_t)r->separator || c == '\n')
			break;
	}
	if (r->at == r->size && !r->last)
		return CSV_PARTIAL;
	/* "\r\n", or a file that ends before the "\n" */
	if (r->at > from && r->data[r->at - 1] == '\r' &&
		(r->at == r->size || r->data[r->at] == '\n'))
		r->at--;
	*out = slice_of(r->data + from, r->at - from);
	return CSV_OK;
}

/* What follows a cell. *end_out: the row ends here. */
static enum csv_status row_after_cell(struct row_cursor *r, bool *end_out)
{
	size_t left = r->size - r->at;
	const uint8_t *p = r->data + r->at;

	if (left == 0 && !r->last)
		return CSV_PARTIAL;
	*end_out = left == 0 || *p != (uint8_t)r->separator;
	if (left == 0)
		return CSV_OK;
	r->at++;
	if (*p == (uint8_t)r->separator || *p == '\n')
		return CSV_OK;
	if (*p == '\r' && left == 1)
		return r->last ? CSV_OK : CSV_PARTIAL;
	if (*p == '\r' && p[1] == '\n') {
		r->at++;
		return CSV_OK;
	}
	return row_bad(r, "something follows a closing quote");
}

static enum csv_status row_cells(struct row_cursor *r, struct csv_row *row)
{
	bool end = false;

	row->count = 0;
	while (!end) {
		bool quoted = r->at < r->size && r->data[r->at] == '"';
		enum csv_status status;

		if (row->count == CSV_COLUMNS_MAX)
			return row_bad(r, "it has more than 1024 columns");
		status = quoted ? row_quoted(r, &row->cells[row->count])
				: row_plain(r, &row->cells[row->count]);
		if (status == CSV_OK)
			status = row_after_cell(r, &end);
		if (status != CSV_OK)
			return status;
		row->count++;
	}
	return row->count == 1 && row->cells[0].size == 0 && row->cells[0].data == r->data
		       ? CSV_BLANK
		       : CSV_OK;
}

enum csv_status csv_row(struct slice bytes, bool last, char separator, struct csv_row *row,
	const char **why_out)
{
	bool cut = bytes.size > CSV_ROW_BYTES_MAX;
	struct row_cursor r = {.data = bytes.data,
		.size = cut ? CSV_ROW_BYTES_MAX : bytes.size,
		.last = last && !cut,
		.separator = separator};
	enum csv_status status = row_cells(&r, row);

	row->bytes = row->lines = 0;
	if (status == CSV_PARTIAL && bytes.size >= CSV_ROW_BYTES_MAX)
		status = row_bad(&r, "it is longer than 64 KiB, or a quote is not closed");
	if (status == CSV_OK || status == CSV_BLANK) {
		row->bytes = r.at;
		row->lines = r.lines + 1;
	}
	if (status == CSV_BAD)
		*why_out = r.why;
	return status;
}

/* The text of a cell; copied to `at` if it has doubled quotes. *at_out is after the copy, which is
 * never longer than the cell. */
static struct slice row_text(struct slice cell, uint8_t *at, uint8_t **at_out)
{
	uint8_t *from = at;

	if (memchr(cell.data, '"', cell.size) == NULL)
		return cell;
	for (size_t i = 0; i < cell.size; i++) {
		*at++ = cell.data[i];
		i += cell.data[i] == '"';
	}
	*at_out = at;
	return slice_of(from, (size_t)(at - from));
}

/* ---- the header ---- */

/* How many columns have this name; *at_out: the last one. */
static size_t header_find(struct csv_reader *c, struct slice name, size_t *at_out)
{
	size_t found = 0;

	for (size_t i = 0; i < c->row.count; i++) {
		uint8_t *at = c->scratch;

		if (c->row.cells[i].size > CSV_CELL_BYTES_MAX ||
			!slice_equal(row_text(c->row.cells[i], at, &at), name))
			continue;
		*at_out = i;
		found++;
	}
	return found;
}

/* Finds each role's column. Returns how many names are missing or not unique. */
static size_t header_columns(struct csv_reader *c)
{
	size_t wrong = 0;

	for (int role = 0; role < CSV_ROLES; role++) {
		struct slice name = c->map->roles[role].text;

		c->columns[role] = NO_COLUMN;
		if (slice_is_absent(name) || c->map->roles[role].is_constant)
			continue;
		wrong += header_find(c, name, &c->columns[role]) != 1;
	}
	return wrong;
}

__attribute__((format(printf, 3, 4))) static size_t header_say(struct csv_reader *c, size_t at,
	const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(c->why + at, sizeof(c->why) - at, format, arguments);
	va_end(arguments);
	return at + (size_t)n < sizeof(c->why) ? at + (size_t)n : sizeof(c->why) - 1;
}

/* What is wrong with the names, from the last header_columns(). */
static void header_why(struct csv_reader *c)
{
	const char *comma = "";
	size_t at = 0;

	for (int role = 0; role < CSV_ROLES; role++) {
		struct slice name = c->map->roles[role].text;
		size_t column, found;

		if (slice_is_absent(name) || c->map->roles[role].is_constant)
			continue;
		found = header_find(c, name, &column);
		if (found == 1)
			continue;
		at = header_say(c, at, "%sthe first row names %s column \"%.*s\"", comma,
			found == 0 ? "no" : "more than one",
			(int)(name.size < CSV_NAME_SHOWN ? name.size : CSV_NAME_SHOWN),
			(const char *)name.data);
		comma = ", ";
	}
	at = header_say(c, at, "; it has:");
	comma = " ";
	for (size_t i = 0; i < c->row.count && at < sizeof(c->why) - 2 * CSV_NAME_SHOWN; i++) {
		struct slice cell = c->row.cells[i];

		at = header_say(c, at, "%s%.*s", comma,
			(int)(cell.size < CSV_NAME_SHOWN ? cell.size : CSV_NAME_SHOWN),
			(const char *)cell.data);
		comma = ", ";
	}
	header_say(c, at, "; the file is left out");
}

enum csv_status csv_header(struct csv_reader *c, struct slice bytes, bool last,
	const char **why_out)
{
	static const char separators[] = {',', ';', '\t'};
	size_t bom = 0, fewest = SIZE_MAX, most = 0;
	const char *bad = NULL;

	if (bytes.size < BOM_BYTES && !last)
		return CSV_PARTIAL;
	if (bytes.size >= BOM_BYTES && memcmp(bytes.data, "\xef\xbb\xbf", BOM_BYTES) == 0)
		bom = BOM_BYTES;
	bytes = slice_of(bytes.data + bom, bytes.size - bom);
	for (size_t i = 0; i < sizeof(separators); i++) {
		enum csv_status status = csv_row(bytes, last, separators[i], &c->row, why_out);
		size_t wrong;

		if (status == CSV_PARTIAL)
			return status;
		if (status == CSV_BAD)
			bad = *why_out;
		if (status != CSV_OK)
			continue;
		wrong = header_columns(c);
		if (wrong == 0) {
			c->separator = separators[i];
			c->columns_count = c->row.count;
			c->row.bytes += bom;
			return CSV_OK;
		}
		/* Report the separator that comes closest. */
		if (wrong < fewest || (wrong == fewest && c->row.count > most)) {
			fewest = wrong;
			most = c->row.count;
			header_why(c);
		}
	}
	*why_out = fewest < SIZE_MAX ? c->why
		   : bad != NULL     ? bad
				     : "the first row should name the columns, but is empty";
	return CSV_BAD;
}

/* ---- the content of a row ---- */

/* Seconds, milliseconds or microseconds since 1970, whichever is plausible. */
static bool read_epoch(struct slice text, int64_t *us_out)
{
	const uint8_t *point = memchr(text.data, '.', text.size);
	size_t whole = point == NULL ? text.size : (size_t)(point - text.data);
	int64_t number, unit_us = US_PER_SECOND, scale = 1;

	for (size_t i = 0; i < text.size; i++) {
		if (i != whole && (text.data[i] < '0' || text.data[i] > '9'))
			return false;
	}
	if (whole == 0 || whole + 1 == text.size ||
		!decimal_to_int64(slice_of(text.data, whole), 0, CSV_TO_S * US_PER_SECOND, &number))
		return false;
	for (; number >= CSV_TO_S * scale && unit_us > 1; unit_us /= 1000)
		scale *= 1000;
	*us_out = number * unit_us;
	for (size_t i = whole + 1; i < text.size; i++) {
		unit_us /= 10;
		if (unit_us == 0 && text.data[i] != '0')
			return false; /* more precise than a microsecond */
		*us_out += unit_us * (text.data[i] - '0');
	}
	return true;
}

static const char *read_time(struct csv_reader *c)
{
	struct slice text = c->values[CSV_TIME];
	enum iso8601_kind kind;
	int64_t before_us = c->time_us;

	if (slice_is_absent(text))
		return "it has no time";
	if (text.size >= CSV_TIME_BYTES)
		return "its time is invalid";
	kind = iso8601_parse(text, &c->time_us);
	if (kind == ISO8601_ZONELESS && !c->map->has_zone)
		return "its time has no zone, and --csv gives none (zone=+01:00 or "
		       "zone=Europe/Berlin)";
	if (kind == ISO8601_INVALID) {
		if (!read_epoch(text, &c->time_us))
			return "its time is invalid";
		c->time = slice_of(c->time_text, iso8601_format(c->time_us, c->time_text));
	} else if (kind == ISO8601_ZONELESS) {
		if (!zone_to_utc(&c->map->zone, c->time_us, before_us != 0 ? before_us : INT64_MIN,
			    &c->time_us))
			return "clocks of its zone never showed its time";
		c->time = slice_of(c->time_text, iso8601_format(c->time_us, c->time_text));
	} else {
		c->time = text;
	}
	if (c->time_us < CSV_FROM_S * US_PER_SECOND || c->time_us >= CSV_TO_S * US_PER_SECOND)
		return "its time is before 2010 or after 2099";
	return NULL;
}

/* Copies 1,5 as 1.5 to `at`; a value that also has a point is refused. */
static const char *read_comma(struct slice *value, uint8_t *at)
{
	for (size_t i = 0; i < value->size; i++) {
		uint8_t c = value->data[i];

		if (c == '.')
			return "its value has a point, though decimal=comma";
		at[i] = c == ',' ? '.' : c;
	}
	*value = slice_of(at, value->size);
	return NULL;
}

static const char *read_value(struct csv_reader *c, uint8_t *at)
{
	struct slice *value = &c->values[CSV_VALUE];
	const char *why = NULL;
	struct decimal d;

	if (slice_is_absent(*value))
		return "it has no value";
	if (c->map->decimal_comma)
		why = read_comma(value, at);
	if (why == NULL && decimal_parse(*value, &d) == DECIMAL_NONE)
		why = "its value is not a number";
	return why;
}

static const char *read_evse(struct csv_reader *c)
{
	c->evse = -1;
	return slice_is_absent(c->values[CSV_EVSE]) ||
			       decimal_to_int64(c->values[CSV_EVSE], 0, INT32_MAX, &c->evse)
		       ? NULL
		       : "its EVSE is not a number";
}

/* NULL, or what is wrong. */
static const char *read_values(struct csv_reader *c)
{
	uint8_t *at = c->scratch;
	struct slice station;
	const char *why;

	if (c->row.count != c->columns_count)
		return "it has more or fewer cells than the first row";
	for (int role = 0; role < CSV_ROLES; role++) {
		struct slice text = c->map->roles[role].text;

		if (c->columns[role] != NO_COLUMN &&
			c->row.cells[c->columns[role]].size > CSV_CELL_BYTES_MAX)
			return "a cell is longer than 4 KiB";
		if (c->columns[role] != NO_COLUMN)
			text = row_text(c->row.cells[c->columns[role]], at, &at);
		c->values[role] = text.size == 0 ? not_stated : text;
		if (text.size > 0 && !utf8_is_storable(text))
			return "it is not UTF-8, or has a NUL byte";
	}
	station = c->values[CSV_STATION];
	if (slice_is_absent(station))
		return "it has no station";
	if (memchr(station.data, '/', station.size) != NULL)
		return "its station has a /, which no topic allows";
	why = read_time(c);
	if (why == NULL)
		why = read_evse(c);
	return why != NULL ? why : read_value(c, at);
}

enum csv_status csv_read(struct csv_reader *c, struct slice bytes, bool last, const char **why_out)
{
	enum csv_status status = csv_row(bytes, last, c->separator, &c->row, why_out);

	if (status != CSV_OK)
		return status;
	*why_out = read_values(c);
	return *why_out == NULL ? CSV_OK : CSV_BAD;
}

/* ---- messages ---- */

/* JSON takes -?(0|[1-9][0-9]*) and decimals; anything else goes in quotes. */
static void put_number(struct text *t, struct slice number, bool decimals)
{
	struct decimal d;

	if (decimal_parse(number, &d) == DECIMAL_PLAIN &&
		(decimals || memchr(number.data, '.', number.size) == NULL))
		text_put_slice(t, number);
	else
		text_put_json_string(t, number);
}

static void put_head(struct csv_reader *c)
{
	struct text *t = &c->text;
	bool old = slice_equal_cstr(c->map->version, "1.6");

	text_put_cstr(t, "[2,\"csv\",\"MeterValues\",{");
	if (c->begun_evse >= 0) {
		text_put_cstr(t, old ? "\"connectorId\":" : "\"evseId\":");
		text_put_int(t, c->begun_evse);
		text_put_char(t, ',');
	}
	if (!slice_is_absent(c->transaction)) {
		text_put_cstr(t, "\"transactionId\":");
		put_number(t, c->transaction, false);
		text_put_char(t, ',');
	}
	text_put_cstr(t, "\"meterValue\":[{\"timestamp\":");
	text_put_json_string(t, c->time);
	text_put_cstr(t, ",\"sampledValue\":[");
}

static void put_sample(struct csv_reader *c)
{
	static const char *const names[CSV_ROLES] = {
		[CSV_MEASURAND] = ",\"measurand\":",
		[CSV_PHASE] = ",\"phase\":",
		[CSV_CONTEXT] = ",\"context\":",
		[CSV_LOCATION] = ",\"location\":",
		[CSV_UNIT] = ",\"unit\":",
	};
	bool old = slice_equal_cstr(c->map->version, "1.6");
	struct text *t = &c->text;

	text_put_cstr(t, c->samples == 0 ? "{\"value\":" : ",{\"value\":");
	if (old)
		text_put_json_string(t, c->values[CSV_VALUE]);
	else
		put_number(t, c->values[CSV_VALUE], true);
	for (int role = CSV_MEASURAND; role < CSV_ROLES; role++) {
		if (slice_is_absent(c->values[role]))
			continue;
		if (role == CSV_UNIT && !old)
			text_put_cstr(t, ",\"unitOfMeasure\":{\"unit\":");
		else
			text_put_cstr(t, names[role]);
		text_put_json_string(t, c->values[role]);
		if (role == CSV_UNIT && !old)
			text_put_char(t, '}');
	}
	text_put_char(t, '}');
	c->samples++;
}

bool csv_begin(struct csv_reader *c, struct arena *arena)
{
	struct slice station = c->values[CSV_STATION], version = c->map->version;
	size_t size = sizeof("cs/in/ocpp/") + version.size + station.size;
	char *topic = (char *)arena_bytes(arena, size);

	if (topic == NULL)
		return false;
	snprintf(topic, size, "cs/in/ocpp%.*s/%.*s", SLICE_ARG(version), SLICE_ARG(station));
	c->topic = slice_of(topic, size - 1);
	c->station = slice_of(topic + size - 1 - station.size, station.size);
	c->transaction = c->values[CSV_TRANSACTION];
	if (!slice_is_absent(c->transaction)) {
		c->transaction = arena_copy(arena, c->transaction);
		if (slice_is_absent(c->transaction))
			return false;
	}
	c->begun_us = c->time_us;
	c->begun_evse = c->evse;
	c->samples = 0;
	text_begin(&c->text, arena);
	put_head(c);
	put_sample(c);
	return true;
}

bool csv_goes_with(const struct csv_reader *c)
{
	return c->time_us == c->begun_us && c->evse == c->begun_evse &&
	       slice_equal(c->values[CSV_STATION], c->station);
}

bool csv_add(struct csv_reader *c, const char **why_out)
{
	*why_out = NULL;
	if (!slice_equal(c->values[CSV_TRANSACTION], c->transaction))
		*why_out = "another transaction at the same station, time and EVSE";
	else if (c->samples == CSV_SAMPLES_MAX || c->text.at - c->text.start > CSV_MESSAGE_BYTES)
		*why_out = "more than 256 rows, or 64 KiB, of one station, time and EVSE";
	else
		put_sample(c);
	return *why_out == NULL;
}

bool csv_end(struct csv_reader *c, struct record *out)
{
	text_put_cstr(&c->text, "]}]}]");
	*out = (struct record){.received_us = c->begun_us,
		.flags = 1 | RECORD_JSON, /* QoS 1, like stations */
		.topic = c->topic,
		.trace = SLICE(""),
		.payload = text_end(&c->text)};
	return !slice_is_absent(out->payload);
}
