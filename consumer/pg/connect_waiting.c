#include "pg/connect_private.h"
#include "pg/wait.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define PG_INSUFFICIENT_PRIVILEGE "42501"

bool pg_check_usage(PGconn *conn, const struct pg_options *o, struct error *err)
{
	const char *params[] = {o->schema};
	PGresult *result = pg_query(conn,
		"SELECT current_user, CASE WHEN m.role IS NOT NULL THEN "
		"'`ocpp-persister migrate roles`, as the owner of the schema, repairs the rights "
		"of ' "
		"|| m.role ELSE format('have the owner run: GRANT USAGE ON SCHEMA %I TO %I', "
		"n.nspname, current_user) || CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles "
		"WHERE rolname = 'ocpp_writer') THEN format('; or, with all other rights: GRANT "
		"ocpp_writer TO %I (to read only: ocpp_reader)', current_user) ELSE '' END || "
		"'; or is storage.postgres.user the wrong role?' END "
		"FROM pg_catalog.pg_namespace n "
		"LEFT JOIN LATERAL (SELECT r.rolname::text AS role FROM pg_catalog.pg_roles r "
		"WHERE r.rolname IN ('ocpp_writer', 'ocpp_reader') "
		"AND pg_has_role(r.oid, 'MEMBER') ORDER BY 1 DESC LIMIT 1) m ON true "
		"WHERE n.nspname = $1 AND NOT has_schema_privilege(n.oid, 'USAGE')",
		1, params, err);
	bool lacks;

	if (result == NULL)
		return false;
	lacks = PQntuples(result) > 0;
	if (lacks) {
		error_set(err, ERROR_REFUSED, REASON_refused,
			"role \"%s\" may not use schema \"%s\": it lacks USAGE",
			PQgetvalue(result, 0, 0), o->schema);
		if (err != NULL)
			snprintf(err->sqlstate, sizeof(err->sqlstate), "%s",
				PG_INSUFFICIENT_PRIVILEGE);
		error_hint(err, "%s", PQgetvalue(result, 0, 1));
		error_needs_person(err);
	}
	PQclear(result);
	return !lacks;
}

PGconn *pg_connect(const struct pg_options *o, struct error *err)
{
	struct pg_options bare = *o;
	char setup[PG_SETUP_BYTES];
	PGconn *conn;

	bare.bare = bare.addresses_alike = true;
	/* libpq's own way has no SQLSTATE, and with it no hint. */
	conn = pg_wait_connect(&bare, NULL, o->connect_timeout_us, -1, err);
	if (conn == NULL)
		return NULL;
	pg_setup_sql(o, setup);
	if (!pg_wait_check_pooling(conn, o, o->connect_timeout_us, -1, err) ||
		!pg_exec(conn, setup, err) || !pg_check_usage(conn, o, err)) {
		PQfinish(conn);
		return NULL;
	}
	return conn;
}
