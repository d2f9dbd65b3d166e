#include "store/bind.h"

#include "base/bytes.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* PostgreSQL's timestamps count from 2000-01-01. */
#define PG_EPOCH_US (INT64_C(946684800) * 1000000)

enum {
	BIND_LENGTH_BYTES = 4,
	BIND_ARRAY_HEADER_BYTES = 20, /* for one dimension */
	BIND_JSONB_VERSION = 1,
	BIND_FIXED_BYTES_MAX = 8,
};

/* ---- what a field holds ---- */

union bind_value {
	const char *text;
	int32_t number;
	bool boolean;
	int64_t time;
};

static union bind_value bind_read(const struct store_field *f, const uint8_t *row)
{
	union bind_value v = {.time = 0};

	switch (f->type) {
	case STORE_TEXT:
	case STORE_JSON:
		memcpy(&v.text, row + f->offset, sizeof(v.text));
		break;
	case STORE_INT:
		memcpy(&v.number, row + f->offset, sizeof(v.number));
		break;
	case STORE_BOOL:
		memcpy(&v.boolean, row + f->offset, sizeof(v.boolean));
		break;
	case STORE_TIME:
		memcpy(&v.time, row + f->offset, sizeof(v.time));
		break;
	case STORE_TYPES:
		break;
	}
	return v;
}

static bool bind_is_null(const struct store_field *f, union bind_value v)
{
	switch (f->type) {
	case STORE_TEXT:
	case STORE_JSON:
		return v.text == NULL;
	case STORE_INT:
		return v.number == OCPP_NONE;
	case STORE_TIME:
		return v.time == 0;
	case STORE_BOOL:
	case STORE_TYPES:
		break;
	}
	return false;
}

/* ---- parameters ---- */

static bool bind_size(const struct store_query *q, const uint8_t *rows, size_t count,
	size_t *bytes_out, struct error *err)
{
	size_t bytes = q->params->count * BIND_ARRAY_HEADER_BYTES;

	for (size_t r = 0; r < count; r++) {
		for (size_t i = 0; i < q->params->count; i++) {
			const struct store_field *f = &q->params->fields[i];
			union bind_value v = bind_read(f, rows + r * q->params->bytes);
			bool text = f->type == STORE_TEXT || f->type == STORE_JSON;

			if (f->null == STORE_NOT_NULL && bind_is_null(f, v))
				return error_set(err, ERROR_POISON, REASON_bad_row, "%s is missing",
					f->name);
			bytes += BIND_LENGTH_BYTES + BIND_FIXED_BYTES_MAX;
			if (text && v.text != NULL)
				bytes += strlen(v.text);
			if (bytes > OCPP_TEXT_BYTES_MAX)
				return error_set(err, ERROR_POISON, REASON_bad_row,
					"more than %d bytes in one call", OCPP_TEXT_BYTES_MAX);
		}
	}
	*bytes_out = bytes;
	return true;
}

static int64_t bind_time(int64_t us)
{
	if (us == OCPP_TIME_EPOCH)
		us = 0;
	/* The lowest number means -infinity on both sides. */
	return us < INT64_MIN + PG_EPOCH_US ? INT64_MIN : us - PG_EPOCH_US;
}

static int64_t bind_time_back(int64_t time)
{
	if (time == INT64_MIN)
		return OCPP_TIME_INVALID;
	if (time == -PG_EPOCH_US)
		return OCPP_TIME_EPOCH;
	return time > INT64_MAX - PG_EPOCH_US ? INT64_MAX : time + PG_EPOCH_US;
}

/* Writes the value without its length; returns NULL for SQL's NULL. */
static uint8_t *bind_put(uint8_t *at, const struct store_field *f, union bind_value v)
{
	if (bind_is_null(f, v))
		return NULL;
	switch (f->type) {
	case STORE_TEXT:
		return put_bytes(at, v.text, strlen(v.text));
	case STORE_JSON:
		return put_bytes(put_u8(at, BIND_JSONB_VERSION), v.text, strlen(v.text));
	case STORE_INT:
		return put_be32(at, (uint32_t)v.number);
	case STORE_BOOL:
		return put_u8(at, v.boolean);
	case STORE_TIME:
		return put_be64(at, (uint64_t)bind_time(v.time));
	case STORE_TYPES:
		break;
	}
	return NULL;
}

/* PostgreSQL's array_recv(): dimensions, has nulls, type, length, lower bound, elements. */
static uint8_t *bind_put_array(uint8_t *at, const struct store_field *f, size_t row_bytes,
	const uint8_t *rows, size_t count)
{
	at = put_be32(at, 1);
	at = put_be32(at, 1);
	at = put_be32(at, store_type_oid(f->type));
	at = put_be32(at, (uint32_t)count);
	at = put_be32(at, 1);
	for (size_t r = 0; r < count; r++) {
		union bind_value v = bind_read(f, rows + r * row_bytes);
		uint8_t *start = at + BIND_LENGTH_BYTES, *end = bind_put(start, f, v);

		(void)put_be32(at, end == NULL ? UINT32_MAX : (uint32_t)(end - start));
		at = end == NULL ? start : end;
	}
	return at;
}

bool bind_params(struct store_bound *out, const struct store_query *q, const void *rows,
	size_t count, struct error *err)
{
	size_t bytes = 0;
	uint8_t *at;

	CHECK(q->params->count <= STORE_PARAMS_MAX && count >= 1);
	if (count > OCPP_ROWS_MAX)
		return error_set(err, ERROR_POISON, REASON_bad_row, "more than %d rows in one call",
			OCPP_ROWS_MAX);
	if (!bind_size(q, rows, count, &bytes, err))
		return false;
	out->memory = at = malloc(bytes + 1);
	if (at == NULL)
		return error_set(err, ERROR_TRANSIENT, REASON_memory, "out of memory");
	out->count = (int)q->params->count;
	for (size_t i = 0; i < q->params->count; i++) {
		const struct store_field *f = &q->params->fields[i];
		uint8_t *end = q->arity == ARITY_ROWS
				       ? bind_put_array(at, f, q->params->bytes, rows, count)
				       : bind_put(at, f, bind_read(f, rows));

		out->values[i] = end == NULL ? NULL : (const char *)at;
		out->lengths[i] = end == NULL ? 0 : (int)(end - at);
		out->formats[i] = 1;
		at = end == NULL ? at : end;
	}
	return true;
}

void bind_free(struct store_bound *bound)
{
	free(bound->memory);
	bound->memory = NULL;
}

/* ---- results ---- */

/* Precedes the rows that are returned. */
struct bind_block {
	PGresult *result; /* owns the text */
	max_align_t rows[];
};

void ocpp_free(const void *rows)
{
	struct bind_block *block;

	if (rows == NULL)
		return;
	block = (struct bind_block *)((uintptr_t)rows - offsetof(struct bind_block, rows));
	PQclear(block->result);
	free(block);
}

static bool bind_fits(const struct store_query *q, const PGresult *result)
{
	if (PQnfields(result) != (int)q->result->count)
		return false;
	for (int i = 0; i < PQnfields(result); i++) {
		if (PQftype(result, i) != store_type_oid(q->result->fields[i].type) ||
			PQfformat(result, i) != 1)
			return false;
	}
	return true;
}

static void bind_get(const struct store_field *f, const PGresult *result, int row, int column,
	uint8_t *into)
{
	const uint8_t *value = (const uint8_t *)PQgetvalue(result, row, column);
	bool null = PQgetisnull(result, row, column) != 0, boolean;
	const char *text;
	int32_t number;
	int64_t time;

	switch (f->type) {
	case STORE_TEXT: /* libpq puts a NUL after every value */
	case STORE_JSON:
		text = null ? NULL : (const char *)value + (f->type == STORE_JSON);
		memcpy(into, &text, sizeof(text));
		break;
	case STORE_INT:
		number = null ? OCPP_NONE : (int32_t)get_be32(value);
		memcpy(into, &number, sizeof(number));
		break;
	case STORE_BOOL:
		boolean = !null && value[0] != 0;
		memcpy(into, &boolean, sizeof(boolean));
		break;
	case STORE_TIME:
		time = null ? 0 : bind_time_back((int64_t)get_be64(value));
		memcpy(into, &time, sizeof(time));
		break;
	case STORE_TYPES:
		break;
	}
}

bool bind_result(const struct store_query *q, PGresult *result, const void **out, size_t *count_out,
	struct error *err)
{
	size_t count = (size_t)PQntuples(result);
	struct bind_block *block;

	*out = NULL;
	*count_out = 0;
	if (q->result->count == 0 || count == 0) {
		PQclear(result);
		return true;
	}
	if (!bind_fits(q, result)) {
		PQclear(result);
		return error_set(err, ERROR_FATAL, REASON_schema,
			"query \"%s\" gives other columns than declared", q->name);
	}
	block = calloc(1, sizeof(*block) + count * q->result->bytes);
	if (block == NULL) {
		PQclear(result);
		return error_set(err, ERROR_TRANSIENT, REASON_memory, "out of memory");
	}
	block->result = result;
	for (size_t r = 0; r < count; r++) {
		uint8_t *row = (uint8_t *)block->rows + r * q->result->bytes;

		for (size_t i = 0; i < q->result->count; i++) {
			const struct store_field *f = &q->result->fields[i];

			bind_get(f, result, (int)r, (int)i, row + f->offset);
		}
	}
	*out = block->rows;
	*count_out = count;
	return true;
}
