#ifndef RETENTION_QUERY_H
#define RETENTION_QUERY_H

#include "base/error.h"

#include <libpq-fe.h>

/* Runs a file of sql/ with text parameters; NULL with err on failure. The caller clears it. */
PGresult *retention_query(PGconn *conn, const char *file, int count, const char *const *params,
	struct error *err);

#endif
