#include "retention/query.h"

#include "base/embedded.h"
#include "pg/connect.h"

#include <string.h>

extern const struct embedded_file retention_sql_files[];
extern const size_t retention_sql_count;

PGresult *retention_query(PGconn *conn, const char *file, int count, const char *const *params,
	struct error *err)
{
	size_t i = 0;

	while (i < retention_sql_count && strcmp(retention_sql_files[i].name, file) != 0)
		i++;
	CHECK(i < retention_sql_count);
	return pg_query(conn, retention_sql_files[i].text, count, params, err);
}
