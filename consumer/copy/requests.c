#include "copy/requests.h"

#include "base/bytes.h"
#include "base/iso8601.h"
#include "copy/encode.h"

#include <stdarg.h>
#include <stdio.h>

enum { PARAMS_MAX = 40 };

bool request_arena_full(struct error *err)
{
	return error_set(err, ERROR_FULL, REASON_arena_full, "no room to store the batch");
}

void requests_begin(struct requests *r)
{
	r->count = 0;
	r->asked = false;
}

bool requests_have_room(const struct requests *r, size_t count)
{
	return r->count + count <= REQUESTS_MAX / 2;
}

void requests_run(struct requests *r, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context)
{
	pg_session_run(session, r->list, r->count, on_done, context);
}

static struct pg_request *requests_new(struct requests *r, request_on_result *on_result,
	void *context)
{
	CHECK(r->count < REQUESTS_MAX);
	r->list[r->count] = (struct pg_request){.on_result = on_result, .context = context};
	return &r->list[r->count++];
}

bool requests_add_sql(struct requests *r, const char *sql, request_on_result *on_result,
	void *context, struct error *err)
{
	if (sql == NULL)
		return request_arena_full(err);
	requests_new(r, on_result, context)->sql = sql;
	return true;
}

void requests_add_literal(struct requests *r, const char *sql)
{
	requests_new(r, NULL, NULL)->sql = sql;
}

void requests_recover(struct requests *r, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context)
{
	pg_session_forget_statements(session);
	requests_begin(r);
	requests_add_literal(r, PG_RECOVER_SQL);
	requests_run(r, session, on_done, context);
}

/* NULL with err if the arena is full. */
static struct pg_request *requests_new_statement(struct requests *r, struct arena *arena,
	const struct pg_statement *statement, const struct slice *params, size_t count,
	request_on_result *on_result, void *context, struct error *err)
{
	const char **values = arena_alloc(arena, (count + 1) * sizeof(*values));
	int *lengths = arena_alloc(arena, (count + 1) * sizeof(*lengths));
	struct pg_request *request;

	if (values == NULL || lengths == NULL) {
		(void)request_arena_full(err);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		values[i] = (const char *)params[i].data;
		lengths[i] = (int)params[i].size;
	}
	request = requests_new(r, on_result, context);
	request->statement = statement;
	request->params = (struct pg_params){values, lengths, (int)count};
	r->asked |= on_result != NULL;
	return request;
}

bool requests_add(struct requests *r, struct arena *arena, const struct pg_statement *statement,
	const struct slice *params, size_t count, request_on_result *on_result, void *context,
	struct error *err)
{
	return requests_new_statement(r, arena, statement, params, count, on_result, context,
		       err) != NULL;
}

bool requests_add_rows(struct requests *r, struct arena *arena, const struct request_rows *rows,
	struct error *err)
{
	struct slice params[PARAMS_MAX];
	const struct table *table = &tables[rows->table];
	size_t columns = rows->columns == 0 ? table->columns_count : rows->columns;

	if (rows->count == 0)
		return true;
	CHECK(columns + rows->more_count <= PARAMS_MAX);
	if (!encode_params(arena, table, columns, rows->rows, rows->count, params))
		return request_arena_full(err);
	for (size_t i = 0; i < rows->more_count; i++)
		params[columns + i] = rows->more[i];
	return requests_add(r, arena, rows->statement, params, columns + rows->more_count,
		rows->on_result, rows->context, err);
}

bool requests_add_commit(struct requests *r, struct arena *arena,
	const struct pg_statement *statement, request_on_result *on_result, void *context,
	struct error *err)
{
	struct pg_request *request =
		requests_new_statement(r, arena, statement, NULL, 0, on_result, context, err);

	if (request != NULL)
		request->commits = true;
	return request != NULL;
}

bool requests_add_marked(struct requests *r, struct arena *arena,
	const struct pg_statement *statement, const struct slice *params, size_t count,
	request_on_result *on_result, void *context, struct error *err)
{
	struct pg_request *request =
		requests_new_statement(r, arena, statement, params, count, on_result, context, err);

	if (request != NULL)
		request->marked = true;
	return request != NULL;
}

const struct pg_statement *requests_statement(const struct requests *r, size_t number)
{
	return number < r->count ? r->list[number].statement : NULL;
}

bool requests_add_copy(struct requests *r, struct arena *arena, const char *table,
	const char *columns, bool (*next)(void *context, struct slice *chunk_out), void *context,
	size_t *request_out, struct error *err)
{
	struct pg_request *last = r->count == 0 ? NULL : &r->list[r->count - 1];
	bool joins = last != NULL && last->sql != NULL && last->copy_next == NULL;
	const char *sql = request_sql(arena, "%s%sCOPY %s %s", joins ? last->sql : "",
		joins ? "; " : "", table, columns);

	if (sql == NULL)
		return request_arena_full(err);
	if (!joins)
		last = requests_new(r, NULL, NULL);
	last->sql = sql;
	last->copy_next = next;
	last->copy_context = context;
	*request_out = r->count - 1;
	return true;
}

char *request_sql(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	char *sql;
	int size;

	va_start(args, format);
	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	sql = size < 0 ? NULL : (char *)arena_bytes(arena, (size_t)size + 1);
	if (sql != NULL)
		vsnprintf(sql, (size_t)size + 1, format, again);
	va_end(again);
	return sql;
}

struct slice param_int4(struct arena *arena, int64_t value)
{
	uint8_t *at = arena_bytes(arena, 4);

	if (at == NULL)
		return (struct slice){NULL, 0};
	put_be32(at, (uint32_t)value);
	return slice_of(at, 4);
}

struct slice param_int8(struct arena *arena, int64_t value)
{
	uint8_t *at = arena_bytes(arena, sizeof(value));

	if (at == NULL)
		return (struct slice){NULL, 0};
	put_be64(at, (uint64_t)value);
	return slice_of(at, sizeof(value));
}

struct slice param_text(const char *text)
{
	return slice_from_cstr(text);
}

int64_t result_int8(const PGresult *result, int row, int column)
{
	return (int64_t)get_be64((const uint8_t *)PQgetvalue(result, row, column));
}

int32_t result_int4(const PGresult *result, int row, int column)
{
	return (int32_t)get_be32((const uint8_t *)PQgetvalue(result, row, column));
}

struct slice result_text(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column))
		return (struct slice){NULL, 0};
	return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t result_time(const PGresult *result, int row, int column)
{
	int64_t us = result_int8(result, row, column);

	return us == INT64_MIN ? TIME_UNDATED
			       : us + iso8601_days(2000, 1, 1) * INT64_C(86400000000);
}
