#include "migrate/migrate.h"

#include "migrate/migrate_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* Letters, digits and underscores: the name becomes part of two file names. */
static bool create_name_is_good(const char *name)
{
	size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_");

	return size > 0 && size <= 100 && name[size] == '\0';
}

static bool create_file(const char *path, const char *text, struct error *err)
{
	FILE *f = fopen(path, "wx"); /* x: never overwrite a file */
	bool ok;

	if (f == NULL)
		return error_set_errno(err, ERROR_FATAL, REASON_bad_migrations,
			"could not create \"%s\"", path);
	ok = fputs(text, f) >= 0;
	if (fclose(f) != 0 || !ok)
		return error_set_errno(err, ERROR_FATAL, REASON_bad_migrations,
			"could not write \"%s\"", path);
	return true;
}

bool migrate_create(const char *folder, const char *name, char *up_out, char *down_out,
	struct error *err)
{
	struct migration_files files;
	long long version = 1;

	folder = migration_folder(folder);
	if (!create_name_is_good(name)) {
		error_set(err, ERROR_FATAL, REASON_bad_migrations,
			"\"%s\" cannot be the name of a migration", name);
		return error_hint(err, "up to 100 letters, digits and underscores");
	}
	if (mkdir(folder, 0777) != 0 && errno != EEXIST)
		return error_set_errno(err, ERROR_FATAL, REASON_bad_migrations,
			"could not create folder \"%s\"", folder);
	if (!migration_files_load(&files, NULL, folder, err))
		return false;
	if (files.count > 0)
		version = files.items[files.count - 1].version + 1;
	migration_files_free(&files);
	if (snprintf(up_out, PATH_MAX, "%s/%06lld_%s.up.sql", folder, version, name) >= PATH_MAX ||
		snprintf(down_out, PATH_MAX, "%s/%06lld_%s.down.sql", folder, version, name) >=
			PATH_MAX)
		return error_set(err, ERROR_FATAL, REASON_bad_migrations,
			"folder name \"%.64s\" is too long", folder);
	return create_file(up_out, "-- What this brings, and why.\n", err) &&
	       create_file(down_out, "-- Undoes the up file, in reverse order.\n", err);
}
