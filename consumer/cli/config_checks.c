#include "cli/config_checks.h"

#include "cli/cli.h"
#include "decode/topic.h"
#include "http/http.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static unsigned checks_say(bool ok, const struct error *err)
{
	if (!ok)
		(void)cli_fail(EXIT_CODE_CONFIG, err);
	return !ok;
}

static unsigned checks_patterns(const struct config *c)
{
	struct topic_patterns patterns = {.count = 0};
	unsigned faults = 0;
	struct error err;

	for (size_t i = 0; i < c->mqtt_topic_patterns.count; i++)
		faults += checks_say(
			topic_patterns_add(&patterns, c->mqtt_topic_patterns.items[i], &err), &err);
	return faults;
}

static unsigned checks_file(const char *name, const char *path)
{
	struct error err;

	if (path[0] == '\0' || access(path, R_OK) == 0)
		return 0;
	error_set_errno(&err, ERROR_FATAL, REASON_bad_setting, "%s: could not read \"%s\"", name,
		path);
	return checks_say(false, &err);
}

static unsigned checks_files(const struct config *c)
{
	/* libpq takes this word for the authorities of the system. */
	bool system = strcmp(c->storage_postgres_ssl_root_cert, "system") == 0;

	return checks_file("mqtt.tls_ca", c->mqtt_tls_ca) +
	       checks_file("mqtt.tls_crl", c->mqtt_tls_crl) +
	       checks_file("mqtt.tls_certificate", c->mqtt_tls_certificate) +
	       checks_file("mqtt.tls_key", c->mqtt_tls_key) +
	       (system ? 0
		       : checks_file("storage.postgres.ssl_root_cert",
				 c->storage_postgres_ssl_root_cert)) +
	       checks_file("storage.postgres.ssl_cert", c->storage_postgres_ssl_cert) +
	       checks_file("storage.postgres.ssl_key", c->storage_postgres_ssl_key);
}

/* The folder of the log, or the first above it that is there. */
static bool checks_stat_disk(const char *dir, struct statvfs *out)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s", dir) >= sizeof(path))
		return false;
	while (statvfs(path, out) != 0) {
		char *slash = strrchr(path, '/');

		if (slash == NULL)
			return statvfs(".", out) == 0;
		if (slash == path)
			return statvfs("/", out) == 0;
		*slash = '\0';
	}
	return true;
}

static unsigned checks_room(const struct config *c)
{
	struct statvfs disk;
	struct error err;
	double holds;

	if (!checks_stat_disk(c->spool_dir, &disk))
		return 0;
	holds = (double)disk.f_blocks * (double)disk.f_frsize;
	if ((double)c->spool_bytes_max <= holds)
		return 0;
	error_set(&err, ERROR_FATAL, REASON_bad_setting,
		"spool.bytes_max is more than the file system of \"%s\" has: %.0f MiB",
		c->spool_dir, holds / (1 << 20));
	error_hint(&err,
		"a log that fills the disk waits for room, too, but so does all else there");
	return checks_say(false, &err);
}

unsigned config_checks(const struct config *c)
{
	struct error err;
	unsigned faults = checks_patterns(c) + checks_files(c) + checks_room(c);

	if (c->http_listen[0] != '\0')
		faults += checks_say(http_check(c->http_listen, &err), &err);
	return faults;
}
