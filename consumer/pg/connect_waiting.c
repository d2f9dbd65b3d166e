#include "pg/connect_private.h"
#include "pg/wait.h"

#include "base/clock.h"

#include <stdlib.h>

/* A pooler that has a process to give gives it at once. */
static const int64_t POOLER_CONNECT_US = 5 * US_PER_SECOND;

/* The server's process that serves us now; 0 with err if it does not say. */
static long pg_process(PGconn *conn, struct error *err)
{
	PGresult *result = pg_query(conn, "SELECT pg_backend_pid()", 0, NULL, err);
	long pid = result == NULL ? 0 : strtol(PQgetvalue(result, 0, 0), NULL, 10);

	PQclear(result);
	return pid;
}

/* As pooler.h, waiting. */
static bool pg_check_pooling(PGconn *conn, const struct pg_options *o, struct error *err)
{
	long pid = pg_process(conn, err), other = 0;
	struct error why;
	PGconn *second;

	if (pid == 0)
		return false;
	if (pid == PQbackendPID(conn))
		return true;
	second = pg_wait_connect(o, NULL, POOLER_CONNECT_US, -1, &why);
	if (second == NULL && !why.slow)
		return pg_pooling_unknown(err, &why);
	/* None to be had in time: each is kept for its client. */
	if (second != NULL)
		other = pg_process(second, &why);
	PQfinish(second);
	return other != pid || pg_pooling_error(err);
}

PGconn *pg_connect(const struct pg_options *o, struct error *err)
{
	struct pg_target t;
	char setup[PG_SETUP_BYTES];
	PGconn *conn;

	pg_target_init(&t, o, NULL);
	conn = pg_connect_checked(PQconnectdbParams(t.keywords.names, t.keywords.values, 1), err);
	if (conn == NULL)
		return NULL;
	PQsetNoticeProcessor(conn, pg_notice_ignored, NULL);
	pg_setup_sql(o, setup);
	if (!pg_check_encoding(conn, err) || !pg_exec(conn, setup, err) ||
		!pg_check_pooling(conn, o, err)) {
		PQfinish(conn);
		return NULL;
	}
	return conn;
}
