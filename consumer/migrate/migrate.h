#ifndef MIGRATE_MIGRATE_H
#define MIGRATE_MIGRATE_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Brings the schema from one version to another by numbered SQL files. The version is stored the
 * way golang-migrate does it (table schema_migrations, same columns, same advisory lock), in our
 * own schema, so that either tool can continue where the other stopped.
 *
 * A migration and its version change are one transaction: if it fails, it leaves nothing behind,
 * and the schema is never dirty. Only a file whose first line is "-- no-transaction" runs statement
 * by statement (for CREATE INDEX CONCURRENTLY and the like) and may leave it dirty.
 *
 * A group of migrations is an optional schema beside ours, with its own version. There is one,
 * "maeve": our tables as MaEVE's (migrations/maeve/).
 *
 * Blocking; one thread: for the command line, and for a thread of `run`'s own. Errors: FATAL
 * "bad_migrations" (the files), "migration_failed" (file, line and PostgreSQL's message),
 * "schema_behind", "schema_ahead", "schema_dirty", "schema_foreign" (the database; the hint names
 * the command that fixes it); and those of pg/ for a lost connection.
 */
struct migrate;

struct migrate_options {
	const char *schema;
	const char *group; /* "maeve", also the name of its schema; NULL = our tables */
	const char *path;  /* folder of migrations, also as file://...; "" = those compiled in */
	void (*say)(void *context, const char *text); /* prints a line for people; or NULL */
	void *context;
	/* Set by another thread: it ends with STOPPED before the next migration, and the one under
	 * way is rolled back, unless it has no transaction. NULL = never. */
	const atomic_bool *stop;
};

/* version 0: no migration has been applied. */
struct migrate_state {
	int64_t version;
	bool dirty;
};

enum { MIGRATE_ALL = 0 };

/* For `run`: true if the schema is what this program needs. conn is from pg_connect(); a role that
 * can only read schema_migrations is enough. */
MUST_CHECK bool migrate_check(PGconn *conn, const struct migrate_options *options,
	struct error *err);

/* For `run --migrate`: applies everything that is pending. */
MUST_CHECK bool migrate_up_all(PGconn *conn, const struct migrate_options *options,
	struct error *err);

/*
 * The path that the setting storage.postgres.migrations_path stands for: a folder that has our
 * first migration, or else "", with a warning in the logging. A block of settings shared with MaEVE
 * names its migrations there, which do not concern us. --path on the command line is taken
 * literally.
 */
const char *migrate_path_setting(const char *path);

/* The version that the newest migration leads to; path as in migrate_options. */
MUST_CHECK bool migrate_newest(const char *path, int64_t *version_out, struct error *err);

/* conn and the texts of options are borrowed until migrate_close(). */
MUST_CHECK bool migrate_open(struct migrate **out, PGconn *conn,
	const struct migrate_options *options, struct error *err);
void migrate_close(struct migrate **m);

/* What the database says. Creates nothing. */
MUST_CHECK bool migrate_read(struct migrate *m, struct migrate_state *out, struct error *err);

/* Each waits up to 10 min for another migration of this schema to end. */
MUST_CHECK bool migrate_up(struct migrate *m, int64_t steps, struct error *err);
MUST_CHECK bool migrate_down(struct migrate *m, int64_t steps, struct error *err);
MUST_CHECK bool migrate_goto(struct migrate *m, int64_t version, struct error *err);

/* Record that the schema is at this version and clean; 0 = nothing applied. Runs no file. */
MUST_CHECK bool migrate_force(struct migrate *m, int64_t version, struct error *err);

/*
 * Report, through `say` of the options, which rights let a role become the owner of the schema, and
 * how to revoke them: a migration revokes only what its own role granted. Silent if the database's
 * schema is too old to find out. False with err if the query failed.
 */
MUST_CHECK bool migrate_say_rights(struct migrate *m, struct error *err);

/*
 * Creates the roles ocpp_writer and ocpp_reader if they do not exist, and grants them what they
 * lack of the rights that migrations grant on our schema, its partitions and schema maeve; reports
 * each statement. All or nothing. Revokes nothing, but reports what ocpp_reader may read beyond
 * that. REFUSED if this role may not, after printing the statements for a role that may.
 */
MUST_CHECK bool migrate_roles(struct migrate *m, struct error *err);

/* The existing migrations, ascending. The name is valid until migrate_close(). */
size_t migrate_count(const struct migrate *m);
int64_t migrate_entry(const struct migrate *m, size_t i, const char **name_out);

/* Create two new files with the next number in a folder; the out paths have PATH_MAX bytes. */
MUST_CHECK bool migrate_create(const char *folder, const char *name, char *up_out, char *down_out,
	struct error *err);

#endif
