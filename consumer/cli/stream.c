#include "cli/stream.h"

#include "pg/pg_error.h"

/* PostgreSQL's type OIDs (pg_type.dat), the same in all versions. */
enum {
	STREAM_TYPE_INT8 = 20,
	STREAM_TYPE_INT2 = 21,
	STREAM_TYPE_INT4 = 23,
	STREAM_TYPE_FLOAT4 = 700,
	STREAM_TYPE_FLOAT8 = 701,
	STREAM_TYPE_NUMERIC = 1700,
};

bool stream_query(PGconn *conn, const char *sql, int count, const char *const *params,
	bool (*on_row)(void *context, PGresult *r, struct error *err), void *context,
	struct error *err)
{
	bool more = true;
	PGresult *r;

	if (PQsendQueryParams(conn, sql, count, NULL, params, NULL, NULL, 0) != 1 ||
		PQsetSingleRowMode(conn) != 1)
		return pg_error_from_connection(err, conn);
	while (more) {
		ExecStatusType status;

		r = PQgetResult(conn);
		status = PQresultStatus(r);
		if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK) {
			pg_error_from_result_or_connection(err, r, conn);
			PQclear(r);
			return false;
		}
		more = status == PGRES_SINGLE_TUPLE;
		if (!on_row(context, r, err))
			return false;
	}
	while ((r = PQgetResult(conn)) != NULL)
		PQclear(r);
	return true;
}

bool stream_is_number(const PGresult *r, int column)
{
	switch (PQftype(r, column)) {
	case STREAM_TYPE_INT8:
	case STREAM_TYPE_INT2:
	case STREAM_TYPE_INT4:
	case STREAM_TYPE_FLOAT4:
	case STREAM_TYPE_FLOAT8:
	case STREAM_TYPE_NUMERIC:
		return true;
	default:
		return false;
	}
}
