#include "migrate/migrate_private.h"

#include "base/clock.h"
#include "pg/connect.h"

#include <stdio.h>
#include <stdlib.h>

static bool migrate_open_names(struct migrate *m, struct error *err)
{
	char *quoted = PQescapeIdentifier(m->conn, m->options.schema, strlen(m->options.schema));
	int size;

	if (quoted == NULL)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"\"%s\" cannot be the name of a schema", m->options.schema);
	m->schema = strdup(quoted);
	size = asprintf(&m->table, "%s.schema_migrations", quoted);
	PQfreemem(quoted);
	if (size >= 0 && m->schema != NULL)
		return true;
	m->table = size < 0 ? NULL : m->table;
	return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading migrations");
}

bool migrate_open(struct migrate **out, PGconn *conn, const struct migrate_options *options,
	struct error *err)
{
	struct migrate *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory,
			"out of memory reading migrations");
	m->conn = conn;
	m->options = *options;
	m->command = options->group == NULL ? "migrate" : "migrate maeve";
	if (!migration_files_load(&m->files, options->group, options->path, err) ||
		!migrate_open_names(m, err)) {
		migrate_close(&m);
		return false;
	}
	if (m->files.count == 0) {
		migrate_close(&m);
		return error_set(err, ERROR_FATAL, REASON_bad_migrations,
			"there are no migrations in \"%s\"", options->path);
	}
	*out = m;
	return true;
}

void migrate_close(struct migrate **m)
{
	if (*m == NULL)
		return;
	migration_files_free(&(*m)->files);
	free((*m)->schema);
	free((*m)->table);
	free(*m);
	*m = NULL;
}

size_t migrate_count(const struct migrate *m)
{
	return m->files.count;
}

int64_t migrate_entry(const struct migrate *m, size_t i, const char **name_out)
{
	CHECK(i < m->files.count);
	*name_out = m->files.items[i].name;
	return m->files.items[i].version;
}

static bool migrate_refuse_dirty(const struct migrate *m, const struct migrate_state *state,
	struct error *err)
{
	if (!state->dirty)
		return true;
	error_set(err, ERROR_FATAL, REASON_schema_dirty,
		"the schema is dirty at version %lld: a migration failed midway",
		(long long)state->version);
	return error_hint(err,
		"undo or finish by hand what that migration began, then `ocpp-persister %s "
		"force VERSION` with the version that is true",
		m->command);
}

/* *applied_out: how many migrations the version stands for. */
static bool migrate_position(const struct migrate *m, const struct migrate_state *state,
	size_t *applied_out, struct error *err)
{
	size_t i = migration_files_find(&m->files, state->version);
	const struct migration *newest = &m->files.items[m->files.count - 1];

	if (state->version == 0) {
		*applied_out = 0;
		return true;
	}
	if (i < m->files.count) {
		*applied_out = i + 1;
		return true;
	}
	error_set(err, ERROR_FATAL, REASON_schema_ahead,
		"the schema is at version %lld, which is not among the migrations here (newest: "
		"%lld)",
		(long long)state->version, (long long)newest->version);
	return error_hint(err,
		"run the release of ocpp-persister that migrated it, or `ocpp-persister %s "
		"down` with that release; if schema %s belongs to another program, %s",
		m->command, m->schema, migrate_elsewhere(m));
}

/* The state under the lock, with what every change requires. */
static bool migrate_begin(struct migrate *m, size_t *applied_out, struct error *err)
{
	struct migrate_state state;

	if (!migrate_lock(m, err))
		return false;
	if (migrate_ensure_table(m, err) && migrate_read(m, &state, err) &&
		migrate_refuse_dirty(m, &state, err) &&
		migrate_position(m, &state, applied_out, err))
		return true;
	migrate_unlock(m);
	return false;
}

static bool migrate_apply(struct migrate *m, const struct migration *migration, bool up,
	int64_t target, struct error *err)
{
	const struct migration_file *file = up ? &migration->up : &migration->down;
	int64_t begun_us = clock_mono_us();

	if (file->path == NULL)
		return error_set(err, ERROR_FATAL, REASON_bad_migrations,
			"migration \"%s\" has no down file", migration->name);
	if (!migrate_run_file(m, file, target, err))
		return false;
	migrate_say(m, "%s %s (%lld ms)", up ? "up" : "down", migration->name,
		(long long)((clock_mono_us() - begun_us) / US_PER_MS));
	return true;
}

/* From `applied` migrations to `wanted`, one at a time. */
static bool migrate_move(struct migrate *m, size_t applied, size_t wanted, struct error *err)
{
	const struct migration *items = m->files.items;

	while (applied < wanted) {
		if (!migrate_goes_on(m, err) ||
			!migrate_apply(m, &items[applied], true, items[applied].version, err))
			return false;
		applied++;
	}
	while (applied > wanted) {
		int64_t target = applied >= 2 ? items[applied - 2].version : 0;

		if (!migrate_goes_on(m, err) ||
			!migrate_apply(m, &items[applied - 1], false, target, err))
			return false;
		applied--;
	}
	return true;
}

bool migrate_up(struct migrate *m, int64_t steps, struct error *err)
{
	size_t applied, left;
	bool ok;

	if (!migrate_begin(m, &applied, err))
		return false;
	left = m->files.count - applied;
	if (steps != MIGRATE_ALL && (uint64_t)steps < left)
		left = (size_t)steps;
	ok = migrate_move(m, applied, applied + left, err);
	migrate_unlock(m);
	return ok;
}

bool migrate_down(struct migrate *m, int64_t steps, struct error *err)
{
	size_t applied, count;
	bool ok;

	if (!migrate_begin(m, &applied, err))
		return false;
	count = applied;
	if (steps != MIGRATE_ALL && (uint64_t)steps < count)
		count = (size_t)steps;
	ok = migrate_move(m, applied, applied - count, err);
	migrate_unlock(m);
	return ok;
}

static bool migrate_want(const struct migrate *m, int64_t version, size_t *position_out,
	struct error *err)
{
	*position_out = migration_files_find(&m->files, version);
	if (*position_out < m->files.count)
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_migrations, "there is no migration %lld",
		(long long)version);
	return error_hint(err, "`ocpp-persister %s status` lists them", m->command);
}

bool migrate_goto(struct migrate *m, int64_t version, struct error *err)
{
	size_t applied, position;
	bool ok;

	if (!migrate_want(m, version, &position, err) || !migrate_begin(m, &applied, err))
		return false;
	ok = migrate_move(m, applied, position + 1, err);
	migrate_unlock(m);
	return ok;
}

bool migrate_force(struct migrate *m, int64_t version, struct error *err)
{
	struct migrate_state state = {version, false};
	size_t position;
	bool ok;

	if (version != 0 && !migrate_want(m, version, &position, err))
		return false;
	if (!migrate_lock(m, err))
		return false;
	ok = migrate_ensure_table(m, err) && migrate_write(m, &state, err);
	migrate_unlock(m);
	return ok;
}

/* sql: a question about the schema, $1. */
static bool migrate_is_there(struct migrate *m, const char *sql, bool *out, struct error *err)
{
	const char *params[] = {m->schema};
	PGresult *result = pg_query(m->conn, sql, 1, params, err);

	if (result == NULL)
		return false;
	*out = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	return true;
}

/* A version alone does not say whose it is: if storage.postgres.migrations_path, in a configuration
 * shared with another program, names that program's migrations, those have versions, too. */
static bool migrate_check_tables(struct migrate *m, struct error *err)
{
	bool there;

	if (!migrate_is_there(m, "SELECT to_regclass($1 || '.partitioned_tables') IS NOT NULL",
		    &there, err))
		return false;
	if (there)
		return true;
	error_set(err, ERROR_FATAL, REASON_schema_foreign,
		"schema %s has a version, but not the tables of ocpp-persister", m->schema);
	return error_hint(err, "set storage.postgres.schema to a schema of our own, and leave "
			       "storage.postgres.migrations_path empty");
}

bool migrate_say_rights(struct migrate *m, struct error *err)
{
	char sql[512];
	PGresult *result;
	bool there;

	if (!migrate_is_there(m, "SELECT to_regprocedure($1 || '.rights_problems()') IS NOT NULL",
		    &there, err))
		return false;
	if (m->options.group != NULL || !there)
		return true;
	snprintf(sql, sizeof(sql), "SELECT problem, remedy FROM %s.rights_problems()", m->schema);
	result = pg_query(m->conn, sql, 0, NULL, err);
	if (result == NULL)
		return false;
	for (int i = 0; i < PQntuples(result); i++) {
		migrate_say(m, "warning: %s", PQgetvalue(result, i, 0));
		migrate_say(m, "hint: %s", PQgetvalue(result, i, 1));
	}
	PQclear(result);
	return true;
}

static bool migrate_check_version(struct migrate *m, struct error *err)
{
	const struct migration *newest = &m->files.items[m->files.count - 1];
	struct migrate_state state;
	size_t applied;

	if (!migrate_read(m, &state, err) || !migrate_refuse_dirty(m, &state, err) ||
		!migrate_position(m, &state, &applied, err))
		return false;
	if (applied == m->files.count)
		return migrate_check_tables(m, err);
	error_set(err, ERROR_OUTDATED, REASON_schema_behind,
		"the schema is at version %lld, this program needs %lld", (long long)state.version,
		(long long)newest->version);
	return error_hint(err,
		"`ocpp-persister migrate up` brings it up to date; so does `run --migrate`");
}

bool migrate_check(PGconn *conn, const struct migrate_options *options, struct error *err)
{
	struct migrate *m;
	bool ok;

	if (!migrate_open(&m, conn, options, err))
		return false;
	ok = migrate_check_version(m, err);
	migrate_close(&m);
	return ok;
}

bool migrate_up_all(PGconn *conn, const struct migrate_options *options, struct error *err)
{
	struct migrate *m;
	bool ok;

	if (!migrate_open(&m, conn, options, err))
		return false;
	ok = migrate_up(m, MIGRATE_ALL, err) && migrate_check_version(m, err);
	migrate_close(&m);
	return ok;
}

bool migrate_newest(const char *path, int64_t *version_out, struct error *err)
{
	struct migration_files files;

	if (!migration_files_load(&files, NULL, path, err))
		return false;
	*version_out = files.items[files.count - 1].version;
	migration_files_free(&files);
	return true;
}
