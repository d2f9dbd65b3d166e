#include "migrate/migrate_private.h"

#include "base/embedded.h"
#include "pg/connect.h"
#include "pg/pg_error.h"

#include <stdio.h>

/*
 * Migrations grant rights to those of the two roles that exist, and ensure_partition() does the
 * same for partitions that it creates. This finds what was created later, or revoked, by comparing
 * what is there with what should be (sql/roles.sql): everything is granted, or nothing.
 */

extern const struct embedded_file migrate_sql_files[];

static void roles_tell(const struct migrate *m, const char *text)
{
	if (m->options.say != NULL)
		m->options.say(m->options.context, text);
}

static bool roles_make(struct migrate *m, const char *role, struct error *err)
{
	const char *params[] = {role};
	PGresult *result = pg_query(m->conn, "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1",
		1, params, err);
	char sql[64];
	bool there;

	if (result == NULL)
		return false;
	there = PQntuples(result) > 0;
	PQclear(result);
	if (there)
		return true;
	snprintf(sql, sizeof(sql), "CREATE ROLE %s;", role);
	if (pg_exec(m->conn, sql, err)) {
		roles_tell(m, sql);
		return true;
	}
	if (err != NULL && pg_error_is_access(err))
		error_hint(err,
			"have a role that may do so run: CREATE ROLE ocpp_writer; CREATE ROLE "
			"ocpp_reader; then run this again");
	return error_prefix(err, "could not create role %s", role);
}

static bool roles_is_true(const PGresult *result, int row, const char *column)
{
	return *PQgetvalue(result, row, PQfnumber(result, column)) == 't';
}

static const char *roles_text(const PGresult *result, int row, const char *column)
{
	int at = PQfnumber(result, column);

	return PQgetisnull(result, row, at) ? NULL : PQgetvalue(result, row, at);
}

/* Lists everything that is missing, whoever may grant it: the owner runs it all together. */
static bool roles_refuse(struct migrate *m, const PGresult *missing, int row, struct error *err)
{
	for (int i = 0; i < PQntuples(missing); i++) {
		if (roles_text(missing, i, "excess") == NULL) {
			char owner[128];

			snprintf(owner, sizeof(owner),
				"-- as role \"%s\":", roles_text(missing, i, "owner"));
			roles_tell(m, owner);
			roles_tell(m, roles_text(missing, i, "sql"));
		}
	}
	error_set(err, ERROR_REFUSED, REASON_refused,
		"role \"%s\" may not grant the missing rights: that is up to their owner, role "
		"\"%s\"",
		PQuser(m->conn), roles_text(missing, row, "owner"));
	return error_hint(err, "run this as that role, or have it run the statements above; "
			       "nothing was changed");
}

/* What ocpp_reader has beyond its rights may be intended: it is reported, and left alone. */
static bool roles_give(struct migrate *m, const PGresult *missing, int *given_out,
	struct error *err)
{
	*given_out = 0;
	for (int i = 0; i < PQntuples(missing); i++) {
		if (roles_text(missing, i, "excess") == NULL && !roles_is_true(missing, i, "may"))
			return roles_refuse(m, missing, i, err);
	}
	for (int i = 0; i < PQntuples(missing); i++) {
		const char *excess = roles_text(missing, i, "excess");
		const char *sql = roles_text(missing, i, "sql");

		if (excess != NULL) {
			migrate_say(m, "warning: %s", excess);
			migrate_say(m, "hint: %s then run this again", sql);
			continue;
		}
		if (!pg_exec(m->conn, sql, err))
			return error_prefix(err, "could not grant rights");
		roles_tell(m, sql);
		(*given_out)++;
	}
	return true;
}

static bool roles_repair(struct migrate *m, struct error *err)
{
	const char *params[] = {m->options.schema};
	PGresult *missing;
	int given;
	bool ok;

	if (!roles_make(m, "ocpp_writer", err) || !roles_make(m, "ocpp_reader", err))
		return false;
	missing = pg_query(m->conn, migrate_sql_files[0].text, 1, params, err);
	if (missing == NULL)
		return error_prefix(err, "could not look for missing rights");
	ok = roles_give(m, missing, &given, err);
	PQclear(missing);
	if (!ok || !pg_exec(m->conn, "COMMIT", err))
		return false;
	if (given == 0)
		migrate_say(m, "ocpp_writer and ocpp_reader have their rights: nothing to change");
	return true;
}

bool migrate_roles(struct migrate *m, struct error *err)
{
	bool ok;

	if (!migrate_check(m->conn, &m->options, err) || !migrate_lock(m, err))
		return false;
	ok = pg_exec(m->conn, "BEGIN", err) && roles_repair(m, err);
	/* If this fails, the connection is lost, and the transaction with it. */
	if (!ok)
		PQclear(PQexec(m->conn, "ROLLBACK"));
	migrate_unlock(m);
	return ok;
}
