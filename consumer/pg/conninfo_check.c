#include "pg/conninfo.h"

#include <libpq-fe.h>
#include <string.h>
#include <sys/stat.h>

static bool conninfo_is_bad(struct error *err, const char *why)
{
	error_set(err, ERROR_FATAL, REASON_bad_setting, "%s", why);
	return error_hint(err,
		"as in postgres://user:password@host:5432/database?sslmode=verify-full; in a "
		"password @ is %%40, / is %%2F, : is %%3A, ? is %%3F, # is %%23, %% is %%25");
}

/* A password that was not percent-encoded leaves parts of it where a host or a database should
 * be. */
static bool conninfo_has_scraps(const PQconninfoOption *options)
{
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
		const char *value = o->val == NULL ? "" : o->val;
		bool port = strcmp(o->keyword, "port") == 0;

		if (port && strspn(value, "0123456789,") != strlen(value))
			return true;
		if ((strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "dbname") == 0) &&
			value[0] != '@' && strchr(value, '@') != NULL)
			return true;
	}
	return false;
}

static bool conninfo_names_file(const char *keyword)
{
	static const char *const files[] = {"sslcert", "sslkey", "sslrootcert", "sslcrl"};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (strcmp(keyword, files[i]) == 0)
			return true;
	}
	return false;
}

/* libpq opens them for each connection, and a pipe would block until somebody writes to it. */
static bool conninfo_files_are_files(const PQconninfoOption *options, struct error *err)
{
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
		struct stat st;

		if (o->val == NULL || !conninfo_names_file(o->keyword) || stat(o->val, &st) != 0 ||
			S_ISREG(st.st_mode))
			continue;
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"storage.url (or DATABASE_URL): the file that %s names is not a regular "
			"file",
			o->keyword);
		return error_hint(err, "name a file: it is read again for each connection");
	}
	return true;
}

bool pg_url_check(const char *text, struct error *err)
{
	char url[PG_CONNINFO_BYTES_MAX];
	struct pg_pool_settings pool = pg_pool_settings_default();
	PQconninfoOption *options;
	bool scraps, files;

	if (text[0] == '\0')
		return true;
	if (!pg_conninfo_split(text, url, &pool, err))
		return error_prefix(err, "storage.url (or DATABASE_URL)");
	/* A maximum below the default minimum lowers the minimum. */
	if (pool.conns_min == pg_pool_settings_default().conns_min && pool.conns_max > 0 &&
		pool.conns_max < pool.conns_min)
		pool.conns_min = pool.conns_max;
	if (!pg_pool_settings_check(&pool, err))
		return error_prefix(err, "storage.url (or DATABASE_URL)");
	options = PQconninfoParse(url, NULL); /* its own error would quote the URL */
	if (options == NULL)
		return conninfo_is_bad(err,
			"storage.url (or DATABASE_URL) is not a connection string");
	scraps = strstr(url, "://") != NULL && conninfo_has_scraps(options);
	files = scraps || conninfo_files_are_files(options, err);
	PQconninfoFree(options);
	return scraps ? conninfo_is_bad(err, "storage.url (or DATABASE_URL) has a host, port or "
					     "database that cannot be")
		      : files;
}
