#include "copy/encode.h"

#include "base/bytes.h"
#include "base/decimal.h"

/* PostgreSQL's timestamps count from 2000-01-01. */
#define PG_EPOCH_US (INT64_C(946684800) * 1000000)

enum {
	ENCODE_LENGTH_BYTES = 4,
	ENCODE_ARRAY_HEADER_BYTES = 20, /* of one dimension */
	ENCODE_JSONB_VERSION = 1,
	ENCODE_ROW_BASE_BYTES = 2,
	ENCODE_FOLLOWS_BYTES = 5, /* encode_stream.follows */
	ENCODE_AHEAD_ROWS = 4,    /* 1 us; memory takes a tenth of that */
	ENCODE_CACHE_LINE_BYTES = 64,
};

/* pg_type.dat */
static const uint32_t encode_oids[] = {
	[COLUMN_TEXT] = 25,
	[COLUMN_TIME] = 1184,
	[COLUMN_INT4] = 23,
	[COLUMN_INT8] = 20,
	[COLUMN_CHAR] = 18,
	[COLUMN_BOOL] = 16,
	[COLUMN_NUMERIC] = 1700,
	[COLUMN_NUMERICS] = 0, /* arrays of arrays are not made */
	[COLUMN_JSONB] = 3802,
	[COLUMN_BYTEA] = 17,
};

static size_t encode_numeric_bytes_max(struct slice text)
{
	struct decimal d = {.digits_size = text.size};

	return ENCODE_LENGTH_BYTES + decimal_numeric_bytes_max(&d);
}

size_t encode_field_bytes_max(const struct cell *c, enum column_type type)
{
	size_t size;

	if (!c->present)
		return ENCODE_LENGTH_BYTES;
	switch (type) {
	case COLUMN_TEXT:
	case COLUMN_BYTEA:
		return ENCODE_LENGTH_BYTES + c->text.size;
	case COLUMN_JSONB:
		return ENCODE_LENGTH_BYTES + 1 + c->text.size;
	case COLUMN_TIME:
	case COLUMN_INT8:
		return ENCODE_LENGTH_BYTES + 8;
	case COLUMN_INT4:
		return ENCODE_LENGTH_BYTES + 4;
	case COLUMN_CHAR:
	case COLUMN_BOOL:
		return ENCODE_LENGTH_BYTES + 1;
	case COLUMN_NUMERIC:
		return encode_numeric_bytes_max(c->text);
	case COLUMN_NUMERICS:
		size = ENCODE_LENGTH_BYTES + ENCODE_ARRAY_HEADER_BYTES;
		for (size_t i = 0; i < c->numerics_count; i++)
			size += encode_numeric_bytes_max(c->numerics[i].text);
		return size;
	}
	return 0;
}

static uint8_t *encode_null(uint8_t *at)
{
	return put_be32(at, UINT32_MAX); /* -1 */
}

static uint8_t *encode_bytes(uint8_t *at, struct slice s)
{
	return put_bytes(put_be32(at, (uint32_t)s.size), s.data, s.size);
}

static uint8_t *encode_decimal(uint8_t *at, const struct decimal *d)
{
	size_t size = decimal_to_numeric(d, at + ENCODE_LENGTH_BYTES);

	return put_be32(at, (uint32_t)size) + size;
}

/* The text was parsed when the row was made; a text that is not a number never gets here. */
static uint8_t *encode_numeric(uint8_t *at, struct slice text)
{
	struct decimal d;

	CHECK(decimal_parse(text, &d) != DECIMAL_NONE);
	return encode_decimal(at, &d);
}

static uint8_t *encode_array_header(uint8_t *at, size_t count, bool nulls, enum column_type type)
{
	at = put_be32(at, count > 0); /* dimensions: an empty array has none */
	at = put_be32(at, nulls);
	at = put_be32(at, encode_oids[type]);
	if (count == 0)
		return at;
	at = put_be32(at, (uint32_t)count);
	return put_be32(at, 1); /* lower bound */
}

static uint8_t *encode_numerics(uint8_t *start, const struct numeric *numerics, size_t count)
{
	bool nulls = false;
	uint8_t *at;

	for (size_t i = 0; i < count; i++)
		nulls |= slice_is_absent(numerics[i].text);
	at = encode_array_header(start + ENCODE_LENGTH_BYTES, count, nulls, COLUMN_NUMERIC);
	for (size_t i = 0; i < count; i++)
		at = slice_is_absent(numerics[i].text) ? encode_null(at)
						       : encode_decimal(at, &numerics[i].decimal);
	put_be32(start, (uint32_t)(at - start - ENCODE_LENGTH_BYTES));
	return at;
}

static int64_t encode_time(int64_t us)
{
	return us == TIME_UNDATED ? INT64_MIN /* -infinity */ : us - PG_EPOCH_US;
}

uint8_t *encode_field(uint8_t *at, const struct cell *c, enum column_type type)
{
	if (!c->present)
		return encode_null(at);
	switch (type) {
	case COLUMN_TEXT:
	case COLUMN_BYTEA:
		return encode_bytes(at, c->text);
	case COLUMN_JSONB:
		at = put_be32(at, (uint32_t)c->text.size + 1);
		at = put_u8(at, ENCODE_JSONB_VERSION);
		return put_bytes(at, c->text.data, c->text.size);
	case COLUMN_TIME:
		return put_be64(put_be32(at, 8), (uint64_t)encode_time(c->number));
	case COLUMN_INT8:
		return put_be64(put_be32(at, 8), (uint64_t)c->number);
	case COLUMN_INT4:
		return put_be32(put_be32(at, 4), (uint32_t)c->number);
	case COLUMN_CHAR:
	case COLUMN_BOOL:
		return put_u8(put_be32(at, 1), (uint8_t)c->number);
	case COLUMN_NUMERIC:
		return encode_numeric(at, c->text);
	case COLUMN_NUMERICS:
		return encode_numerics(at, c->numerics, c->numerics_count);
	}
	return at;
}

/* ---- COPY ---- */

static const uint8_t encode_header[] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0, 0,
	0, 0, 0, 0, 0, 0, 0};
enum { ENCODE_TRAILER_BYTES = 2 };

uint32_t encode_row_bytes_max(const struct row *row)
{
	size_t size = ENCODE_ROW_BASE_BYTES;

	for (size_t i = 0; i < row->table->columns_count; i++)
		size += encode_field_bytes_max(&row->cells[i], row->table->columns[i].type);
	return (uint32_t)size;
}

static uint32_t encode_row_bytes(const struct row *row)
{
	return row->copy_bytes > 0 ? row->copy_bytes : encode_row_bytes_max(row);
}

size_t encode_buffer_bytes(struct row *const *rows, size_t count)
{
	size_t largest = ENCODE_CHUNK_BYTES;

	for (size_t i = 0; i < count; i++) {
		size_t size = encode_row_bytes(rows[i]);

		if (size > largest)
			largest = size;
	}
	return largest + ENCODE_FOLLOWS_BYTES + sizeof(encode_header) + ENCODE_TRAILER_BYTES;
}

void encode_stream_init(struct encode_stream *s, struct row *const *rows, size_t count,
	uint8_t *buffer, size_t buffer_size)
{
	*s = (struct encode_stream){.rows = rows,
		.count = count,
		.buffer = buffer,
		.buffer_size = buffer_size};
}

static uint8_t *encode_follows(uint8_t *at, const struct row *row)
{
	struct cell follows = {.present = !row->first, .number = 1};

	return encode_field(at, &follows, COLUMN_BOOL);
}

/* Whether a cell of this type has its value elsewhere. */
static bool encode_is_borrowed(enum column_type type)
{
	switch (type) {
	case COLUMN_TEXT:
	case COLUMN_NUMERIC:
	case COLUMN_NUMERICS:
	case COLUMN_JSONB:
	case COLUMN_BYTEA:
		return true;
	case COLUMN_TIME:
	case COLUMN_INT4:
	case COLUMN_INT8:
	case COLUMN_CHAR:
	case COLUMN_BOOL:
		break;
	}
	return false;
}

/*
 * Rows come in the order of their keys and lie in that of the log, spread over some 20 MiB: the
 * processor would wait for each. So they are prefetched, first a row, then what its cells point to.
 * (Inlined, or gcc 12 drops it as a call without an effect.)
 */
static inline __attribute__((always_inline)) void encode_prefetch(const struct encode_stream *s)
{
	const struct table *table = s->rows[s->next]->table;
	size_t size = sizeof(struct row) + table->columns_count * sizeof(struct cell);

	if (s->count - s->next > 2 * ENCODE_AHEAD_ROWS) {
		const uint8_t *row = (const uint8_t *)s->rows[s->next + 2 * ENCODE_AHEAD_ROWS];

		for (size_t i = 0; i < size; i += ENCODE_CACHE_LINE_BYTES)
			__builtin_prefetch(row + i);
	}
	if (s->count - s->next > ENCODE_AHEAD_ROWS) {
		const struct row *row = s->rows[s->next + ENCODE_AHEAD_ROWS];

		for (size_t i = 0; i < table->columns_count; i++) {
			if (row->cells[i].present && encode_is_borrowed(table->columns[i].type))
				__builtin_prefetch(row->cells[i].text.data);
		}
	}
}

bool encode_stream_next(void *stream, struct slice *chunk_out)
{
	struct encode_stream *s = stream;
	uint8_t *at = s->buffer;

	if (s->ended)
		return false;
	if (!s->begun)
		at = put_bytes(at, encode_header, sizeof(encode_header));
	s->begun = true;
	for (; s->next < s->count; s->next++) {
		const struct row *row = s->rows[s->next];
		size_t left = s->buffer_size - ENCODE_TRAILER_BYTES - (size_t)(at - s->buffer);

		encode_prefetch(s);
		if (encode_row_bytes(row) + (s->follows ? ENCODE_FOLLOWS_BYTES : 0) > left)
			break;
		at = put_be16(at, (uint16_t)(row->table->columns_count + s->follows));
		for (size_t i = 0; i < row->table->columns_count; i++)
			at = encode_field(at, &row->cells[i], row->table->columns[i].type);
		if (s->follows)
			at = encode_follows(at, row);
	}
	if (s->next == s->count) {
		at = put_be16(at, UINT16_MAX); /* -1: the end */
		s->ended = true;
	}
	*chunk_out = slice_of(s->buffer, (size_t)(at - s->buffer));
	return true;
}

/* ---- parameters ---- */

static bool encode_param(struct arena *arena, const struct table *table, struct row *const *rows,
	size_t count, size_t column, struct slice *out)
{
	enum column_type type = table->columns[column].type;
	size_t size = ENCODE_ARRAY_HEADER_BYTES;
	bool nulls = false;
	uint8_t *start, *at;

	CHECK(type != COLUMN_NUMERICS);
	for (size_t i = 0; i < count; i++) {
		size += encode_field_bytes_max(&rows[i]->cells[column], type);
		nulls |= !rows[i]->cells[column].present;
	}
	start = arena_bytes(arena, size);
	if (start == NULL)
		return false;
	at = encode_array_header(start, count, nulls, type);
	for (size_t i = 0; i < count; i++)
		at = encode_field(at, &rows[i]->cells[column], type);
	arena_trim(arena, at);
	*out = slice_of(start, (size_t)(at - start));
	return true;
}

bool encode_params(struct arena *arena, const struct table *table, size_t columns_count,
	struct row *const *rows, size_t count, struct slice *out)
{
	for (size_t i = 0; i < columns_count; i++) {
		if (!encode_param(arena, table, rows, count, i, &out[i]))
			return false;
	}
	return true;
}
