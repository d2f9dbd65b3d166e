#include "migrate/migrate_private.h"

#include "pg/connect.h"
#include "pg/pg_error.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * schema_migrations in the format of golang-migrate's postgres driver: one row, or none if nothing
 * has been applied. That driver empties the table with TRUNCATE, which takes an ACCESS EXCLUSIVE
 * lock: it would wait for everybody who has read the version in a transaction that is still open,
 * while holding our migration's own locks, and block everybody who comes later. So we use DELETE.
 */
enum { TABLE_SQL_BYTES = 1024 };

enum table_state { TABLE_MISSING, TABLE_OURS, TABLE_FOREIGN, TABLE_ERROR };

static enum table_state table_look(struct migrate *m, struct error *err)
{
	const char *params[] = {m->table};
	/* Columns in order, without dropped ones; nothing if the table does not exist. */
	PGresult *result = pg_query(m->conn,
		"SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' "
		"ORDER BY attnum) FROM pg_catalog.pg_attribute "
		"WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
		1, params, err);
	enum table_state state = TABLE_OURS;

	if (result == NULL)
		return TABLE_ERROR;
	if (PQgetisnull(result, 0, 0)) {
		state = TABLE_MISSING;
	} else if (strcmp(PQgetvalue(result, 0, 0), "version bigint, dirty boolean") != 0) {
		state = TABLE_FOREIGN;
		error_set(err, ERROR_FATAL, REASON_schema_foreign,
			"%s belongs to another program: its columns are (%s)", m->table,
			PQgetvalue(result, 0, 0));
		if (m->options.group == NULL)
			error_hint(err, "set storage.postgres.schema to a schema of our own, e.g. "
					"ocpp");
		else
			error_hint(err, "%s", migrate_elsewhere(m));
	}
	PQclear(result);
	return state;
}

/* How the role gets the right to create that it lacks, if that was the error. */
static void table_hint_create(const struct migrate *m, bool schema_is_there, struct error *err)
{
	if (err == NULL || err->kind != ERROR_REFUSED || !pg_error_is_access(err))
		return;
	if (schema_is_there)
		error_hint(err,
			"migrate as the owner of the schema, or have the owner run: GRANT USAGE, "
			"CREATE ON SCHEMA %s TO \"%s\"",
			m->schema, PQuser(m->conn));
	else
		error_hint(err,
			"have the owner of the database run: GRANT CREATE ON DATABASE \"%s\" TO "
			"\"%s\"; or an administrator: CREATE SCHEMA %s AUTHORIZATION \"%s\"",
			PQdb(m->conn), PQuser(m->conn), m->schema, PQuser(m->conn));
}

bool migrate_ensure_table(struct migrate *m, struct error *err)
{
	char sql[TABLE_SQL_BYTES];
	const char *params[] = {m->options.schema};
	enum table_state state = table_look(m, err);
	PGresult *result;
	bool there;

	if (state != TABLE_MISSING)
		return state == TABLE_OURS;
	/* Check first: CREATE SCHEMA IF NOT EXISTS needs the right to create one even if it exists,
	 * and an administrator may have created it for a role without that right. */
	result = pg_query(m->conn, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1", 1,
		params, err);
	if (result == NULL)
		return false;
	there = PQntuples(result) > 0;
	PQclear(result);
	snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", m->schema);
	if (!there && !pg_exec(m->conn, sql, err)) {
		table_hint_create(m, false, err);
		return error_prefix(err, "could not create schema %s", m->schema);
	}
	snprintf(sql, sizeof(sql),
		"CREATE TABLE %s (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",
		m->table);
	if (!pg_exec(m->conn, sql, err)) {
		table_hint_create(m, true, err);
		return error_prefix(err, "could not create %s", m->table);
	}
	return true;
}

bool migrate_read(struct migrate *m, struct migrate_state *out, struct error *err)
{
	char sql[TABLE_SQL_BYTES];
	enum table_state state = table_look(m, err);
	PGresult *result;

	if (state == TABLE_MISSING) {
		*out = (struct migrate_state){0, false};
		return true;
	}
	if (state != TABLE_OURS)
		return false;
	snprintf(sql, sizeof(sql), "SELECT version, dirty FROM %s LIMIT 1", m->table);
	result = pg_query(m->conn, sql, 0, NULL, err);
	if (result == NULL)
		return error_prefix(err, "could not read the version of the schema");
	*out = (struct migrate_state){0, false};
	if (PQntuples(result) > 0) {
		out->version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
		out->dirty = PQgetvalue(result, 0, 1)[0] == 't';
	}
	/* -1, dirty: golang-migrate failed while reverting the first migration. */
	if (out->version < 0)
		out->version = 0;
	PQclear(result);
	return true;
}

bool migrate_write(struct migrate *m, const struct migrate_state *state, struct error *err)
{
	char sql[TABLE_SQL_BYTES];
	int used = snprintf(sql, sizeof(sql), "DELETE FROM %s;", m->table);

	/* golang-migrate writes "dirty, nothing applied" as -1; if clean, there is no row. */
	if (state->version > 0 || state->dirty)
		snprintf(sql + used, sizeof(sql) - (size_t)used,
			"INSERT INTO %s (version, dirty) VALUES (%lld, %s)", m->table,
			state->version > 0 ? (long long)state->version : -1LL,
			state->dirty ? "true" : "false");
	if (!pg_exec(m->conn, sql, err))
		return error_prefix(err, "could not write the version of the schema");
	return true;
}
