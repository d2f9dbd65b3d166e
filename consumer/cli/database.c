#include "cli/cli.h"

#include "copy/writer_checks.h"
#include "migrate/migrate.h"
#include "pg/pg_error.h"

/* A reader of the tables may not read the version: then the tables have to speak for themselves. */
bool cli_check_schema(const struct config *c, const struct pg_options *options, PGconn *conn,
	struct error *err)
{
	struct error standby;
	int64_t version;

	if (!migrate_newest(migrate_path_setting(c->storage_postgres_migrations_path), &version,
		    err))
		return false;
	if (writer_check_schema(conn, options->schema, version, c->storage_postgres_timeout, err) ||
		pg_error_is_denied(err))
		return true;
	/* A standby may lag: then its schema is of before. */
	if (!pg_check_primary(conn, &standby))
		*err = standby;
	return false;
}

PGconn *cli_connect(const struct config *config, const struct pg_options *options,
	struct error *err)
{
	PGconn *conn = pg_connect(options, err);

	if (conn == NULL || cli_check_schema(config, options, conn, err))
		return conn;
	PQfinish(conn);
	return NULL;
}
