#include "retention/query.h"

#include "base/embedded.h"
#include "pg/connect.h"

extern const struct embedded_file retention_sql_files[];
extern const size_t retention_sql_count;

PGresult *retention_query(PGconn *conn, const char *file, int count, const char *const *params,
	struct error *err)
{
	return pg_query(conn, embedded_text(retention_sql_files, retention_sql_count, file), count,
		params, err);
}
