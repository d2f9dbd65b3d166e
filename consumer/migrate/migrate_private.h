#ifndef MIGRATE_MIGRATE_PRIVATE_H
#define MIGRATE_MIGRATE_PRIVATE_H

#include "migrate/migrate.h"
#include "migrate/migrate_files.h"

/* Shared by the files of this folder. */
struct migrate {
	PGconn *conn; /* borrowed */
	struct migrate_options options;
	struct migration_files files;
	char *schema;        /* as an SQL identifier */
	char *table;         /* schema_migrations, qualified */
	const char *command; /* "migrate" or "migrate maeve", for hints */
};

/* Print for a person, if `say` is set. */
void migrate_say(const struct migrate *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* False with err STOPPED: somebody asked us to stop. */
MUST_CHECK static inline bool migrate_goes_on(const struct migrate *m, struct error *err)
{
	if (m->options.stop == NULL || !atomic_load(m->options.stop))
		return true;
	return error_set(err, ERROR_STOPPED, REASON_stopped,
		"stopped: not all migrations have run");
}

/* What to do if a schema turns out to belong to another program. */
const char *migrate_elsewhere(const struct migrate *m);

/* golang-migrate's lock: see migrate_lock.c. */
uint32_t migrate_lock_id(const char *schema, const char *table, const char *database);
MUST_CHECK bool migrate_lock(struct migrate *m, struct error *err);
void migrate_unlock(struct migrate *m);

/* Create the schema and its version table if missing. Under the lock. */
MUST_CHECK bool migrate_ensure_table(struct migrate *m, struct error *err);

/* Within the caller's transaction, or without one if a moment without a row is harmless. */
MUST_CHECK bool migrate_write(struct migrate *m, const struct migrate_state *state,
	struct error *err);

/* Run one file and change the version. target: the version after it. */
MUST_CHECK bool migrate_run_file(struct migrate *m, const struct migration_file *file,
	int64_t target, struct error *err);

#endif
