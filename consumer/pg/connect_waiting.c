#include "pg/connect_private.h"
#include "pg/wait.h"

#include "base/clock.h"

#include <stdlib.h>

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
	if (!pg_check_encoding(conn, err) ||
		!pg_wait_check_pooling(conn, o, o->connect_timeout_us, -1, err) ||
		!pg_exec(conn, setup, err)) {
		PQfinish(conn);
		return NULL;
	}
	return conn;
}
