#ifndef MIGRATE_MIGRATE_FILES_H
#define MIGRATE_MIGRATE_FILES_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* The numbered migrations: those compiled in from migrations/, or those in a folder. File names are
 * golang-migrate's: <number>_<name>.up.sql and .down.sql. One thread. */
struct migration_file {
	char *path; /* for messages; NULL = no such file */
	char *text;
	size_t size;
};

struct migration {
	int64_t version;
	char *name; /* "000003_state" */
	struct migration_file up;
	struct migration_file down; /* may be missing until needed */
};

/* Ascending by version. */
struct migration_files {
	struct migration *items;
	size_t count;
	bool compiled_in;
};

/* path: a folder, also as file://...; "" = compiled in, those of the group (migrate_options). On
 * failure nothing is left to free. */
MUST_CHECK bool migration_files_load(struct migration_files *out, const char *group,
	const char *path, struct error *err);
void migration_files_free(struct migration_files *files);

/* Position of a version, or count if absent. */
size_t migration_files_find(const struct migration_files *files, int64_t version);

/* What follows "file://", or path itself. */
const char *migration_folder(const char *path);

/* "000003_state.up.sql". False if it is not such a name; out borrows from name. */
struct migration_name {
	int64_t version;   /* 1 to 2^63 - 1 */
	struct slice name; /* with its number: "000003_state" */
	bool up;
};
bool migration_name_parse(const char *name, struct migration_name *out);

#endif
