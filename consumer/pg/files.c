#include "pg/files.h"

#include "base/digest.h"
#include "base/fs.h"
#include "pg/libpq_options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PostgreSQL's manual, "Database Connection Control Functions" and "SSL Support". */
static const struct {
	const char *keyword;
	const char *home; /* the default file in the home folder */
} files_all[] = {
	{"passfile", ".pgpass"},
	{"sslcert", ".postgresql/postgresql.crt"},
	{"sslkey", ".postgresql/postgresql.key"},
	{"sslrootcert", ".postgresql/root.crt"},
	{"sslcrl", ".postgresql/root.crl"},
};

enum { FILES_COUNT = sizeof(files_all) / sizeof(files_all[0]) };

/* The digest of a file in the home folder; 0 if it does not exist. */
static uint64_t files_home_digest(const char *name)
{
	const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
	char path[PATH_MAX];

	if (home == NULL || snprintf(path, sizeof(path), "%s/%s", home, name) >= (int)sizeof(path))
		return 0;
	return fs_digest(path);
}

uint64_t pg_files_digest(const struct pg_options *o)
{
	bool has_url = o->url != NULL && o->url[0] != '\0';
	PQconninfoOption *url = has_url ? PQconninfoParse(o->url, NULL) : NULL;
	PQconninfoOption *defaults = PQconndefaults();
	uint64_t digests[FILES_COUNT];

	for (size_t i = 0; i < FILES_COUNT; i++) {
		const char *path = libpq_option_or(url, defaults, files_all[i].keyword);

		digests[i] =
			path[0] != '\0' ? fs_digest(path) : files_home_digest(files_all[i].home);
	}
	PQconninfoFree(url);
	PQconninfoFree(defaults);
	return digest64(digests, sizeof(digests));
}
