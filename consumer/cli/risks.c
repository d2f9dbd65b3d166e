#include "cli/risks.h"

#include "base/log.h"
#include "config/broker_url.h"
#include "pg/conninfo.h"
#include "pg/libpq_options.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void risk(const char *choice, const char *message)
{
	log_warn("risky", message, "choice=%s", choice);
}

/* ---- the broker ---- */

static void risks_of_broker(const struct config *c)
{
	bool plain = false;

	if (!c->mqtt_tls_verify)
		risk("tls_verify",
			"mqtt.tls_verify is false: whoever is between us and the broker can pass "
			"for it; set mqtt.tls_ca to the authority of its certificate instead");
	for (size_t i = 0; i < c->mqtt_url.count; i++) {
		const char *url = c->mqtt_url.items[i];

		plain |= !broker_url_is_encrypted(url) && !broker_url_is_local(url);
	}
	if (plain && c->mqtt_password[0] != '\0')
		risk("password_in_clear",
			"mqtt.password goes to another machine unencrypted: make mqtt.url an "
			"mqtts:// one");
}

/* ---- the database ---- */

/* What applies to a connection, wherever it was set. */
struct risks_database {
	char hosts[1024];
	char mode[32];
	bool password;
};

static void risks_take(struct risks_database *d, const PQconninfoOption *options)
{
	const char *mode = libpq_option(options, "sslmode");
	const char *hosts = libpq_option(options, "hostaddr");

	if (hosts[0] == '\0')
		hosts = libpq_option(options, "host");
	d->password |= libpq_option(options, "password")[0] != '\0';
	if (mode[0] != '\0')
		snprintf(d->mode, sizeof(d->mode), "%s", mode);
	if (hosts[0] != '\0')
		snprintf(d->hosts, sizeof(d->hosts), "%s", hosts);
}

/* service=NAME is defined in a file that libpq reads only for its defaults. Sets a variable, so
 * call it before there are threads. */
static void risks_take_service(struct risks_database *d, const PQconninfoOption *options)
{
	const char *found = getenv("PGSERVICE"); /* NOLINT: as below */
	char *before = found == NULL ? NULL : strdup(found);
	const char *service = libpq_option(options, "service");
	PQconninfoOption *defaults;

	if (service[0] != '\0' &&
		setenv("PGSERVICE", service, 1) == 0) { /* NOLINT: before threads */
		defaults = PQconndefaults();
		risks_take(d, defaults);
		PQconninfoFree(defaults);
		/* Connections that name no service must not use this one. */
		if (before == NULL || setenv("PGSERVICE", before, 1) != 0) /* NOLINT: as above */
			(void)unsetenv("PGSERVICE");                       /* NOLINT: as above */
	}
	free(before);
}

static bool risks_all_local(char *hosts)
{
	char *next = hosts, *host;

	while ((host = strsep(&next, ",")) != NULL) {
		if (!host_is_local(host))
			return false;
	}
	return true;
}

static void risks_of_database(const struct config *c, bool threads)
{
	struct risks_database d = {.password = c->storage_postgres_password[0] != '\0'};
	static char url[PG_CONNINFO_BYTES_MAX];
	struct pg_pool_settings pool = pg_pool_settings_default();
	PQconninfoOption *options = PQconndefaults();

	snprintf(d.mode, sizeof(d.mode), "prefer");
	risks_take(&d, options); /* PGHOST, PGSSLMODE and so on */
	PQconninfoFree(options);
	if (c->storage_url[0] == '\0') {
		snprintf(d.mode, sizeof(d.mode), "%s", c->storage_postgres_ssl_mode);
		snprintf(d.hosts, sizeof(d.hosts), "%s", c->storage_postgres_host);
	} else if (pg_conninfo_split(c->storage_url, url, &pool, NULL)) {
		d.password = false;
		options = PQconninfoParse(url, NULL);
		if (!threads)
			risks_take_service(&d, options);
		risks_take(&d, options);
		PQconninfoFree(options);
	}
	if (risks_all_local(d.hosts))
		return;
	if (strcmp(d.mode, "prefer") == 0)
		risk("ssl_mode",
			"ssl_mode prefer to another machine: where TLS is refused, by whoever is "
			"between, everything goes unencrypted; set storage.postgres.ssl_mode to "
			"verify-full or require");
	else if (strcmp(d.mode, "disable") == 0 || strcmp(d.mode, "allow") == 0)
		risk("ssl_mode",
			d.password
				? "the password and the data go to a database on another machine "
				  "unencrypted; set storage.postgres.ssl_mode to verify-full or "
				  "require"
				: "the data go to a database on another machine unencrypted; set "
				  "storage.postgres.ssl_mode to verify-full or require");
}

/* ---- files ---- */

static bool risks_of_spool(const struct config *c, struct error *err)
{
	struct stat st;

	if (stat(c->spool_dir, &st) != 0)
		return true; /* it will be created, for us only */
	if ((st.st_mode & S_IWOTH) != 0) {
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"everybody may write to spool.dir, \"%s\"", c->spool_dir);
		return error_hint(err, "chmod 700 it, and look whether its files are yours");
	}
	if ((st.st_mode & (S_IROTH | S_IXOTH)) != 0)
		risk("spool_readable",
			"everybody may read spool.dir, which has all messages in it: chmod 700 it");
	return true;
}

static void risks_of_settings(const struct config *c)
{
	struct stat st;

	if (c->file_has_secret && stat(c->sources.file, &st) == 0 && S_ISREG(st.st_mode) &&
		(st.st_mode & S_IROTH) != 0)
		risk("settings_readable",
			"everybody may read the settings file, which has a password or a key in "
			"it: "
			"chmod 600 it, or move that into a file of its own (the settings *_file)");
}

static void risks_of_secrets(const struct config *c)
{
	struct config_secret secret;
	struct stat st;

	for (size_t i = 0; config_secret(c, i, &secret); i++) {
		if (*secret.path != '\0' && stat(secret.path, &st) == 0 && S_ISREG(st.st_mode) &&
			(st.st_mode & S_IROTH) != 0)
			risk("secret_readable",
				"everybody may read a file that holds a secret, which the settings "
				"*_file name: chmod 600 it");
	}
}

void risks_say(const struct config *config)
{
	risks_of_broker(config);
	risks_of_database(config, true);
	risks_of_settings(config);
	risks_of_secrets(config);
}

bool risks_check(const struct config *config, struct error *err)
{
	risks_of_broker(config);
	risks_of_database(config, false);
	risks_of_settings(config);
	risks_of_secrets(config);
	if (geteuid() == 0)
		risk("root",
			"running as root, which nothing here needs: give it a user of its own");
	return risks_of_spool(config, err);
}
