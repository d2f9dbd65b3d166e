#include "daemon/config_checks.h"

#include "copy/writer_checks.h"
#include "daemon/options.h"
#include "decode/topic.h"
#include "http/http.h"
#include "pg/conninfo.h"
#include "pg/hosts.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct checks {
	const struct config *config;
	config_fault *each;
	void *context;
	unsigned faults;
};

/* name: the setting at fault. */
static void checks_note(struct checks *k, const char *name, bool ok, struct error *err)
{
	if (ok || !config_place(k->config, name, err))
		return;
	k->faults++;
	k->each(k->context, err);
}

static void checks_patterns(struct checks *k, const struct config *c)
{
	struct topic_patterns patterns = {.count = 0};
	struct error err;

	for (size_t i = 0; i < c->mqtt_topic_patterns.count; i++)
		checks_note(k, "mqtt.topic_patterns",
			topic_patterns_add(&patterns, c->mqtt_topic_patterns.items[i], &err), &err);
}

static void checks_file(struct checks *k, const char *name, const char *path)
{
	struct error err;

	if (path[0] == '\0' || access(path, R_OK) == 0)
		return;
	error_set_errno(&err, ERROR_FATAL, REASON_bad_setting, "%s: could not read \"%s\"", name,
		path);
	checks_note(k, name, false, &err);
}

static void checks_files(struct checks *k, const struct config *c)
{
	checks_file(k, "mqtt.tls_ca", c->mqtt_tls_ca);
	checks_file(k, "mqtt.tls_crl", c->mqtt_tls_crl);
	checks_file(k, "mqtt.tls_certificate", c->mqtt_tls_certificate);
	checks_file(k, "mqtt.tls_key", c->mqtt_tls_key);
	/* To libpq this word means the system's authorities. */
	if (strcmp(c->storage_postgres_ssl_root_cert, "system") != 0)
		checks_file(k, "storage.postgres.ssl_root_cert", c->storage_postgres_ssl_root_cert);
	checks_file(k, "storage.postgres.ssl_cert", c->storage_postgres_ssl_cert);
	checks_file(k, "storage.postgres.ssl_key", c->storage_postgres_ssl_key);
}

/* The folder of the log, or its nearest existing parent. */
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

static void checks_room(struct checks *k, const struct config *c)
{
	struct statvfs disk;
	struct error err;
	double holds;

	if (!checks_stat_disk(c->spool_dir, &disk))
		return;
	holds = (double)disk.f_blocks * (double)disk.f_frsize;
	if ((double)c->spool_bytes_max <= holds)
		return;
	error_set(&err, ERROR_FATAL, REASON_bad_setting,
		"spool.bytes_max is more than the file system of \"%s\" has: %.0f MiB",
		c->spool_dir, holds / (1 << 20));
	error_hint(&err,
		"set it below that: a log that fills the disk stops everything else on it");
	checks_note(k, "spool.bytes_max", false, &err);
}

/* What we ourselves would refuse a connection for. */
static void checks_database(struct checks *k, const struct config *c)
{
	char url[PG_CONNINFO_BYTES_MAX];
	struct pg_options pg;
	struct pg_hosts *hosts;
	struct error err;

	if (!pg_url_check(c->storage_url, &err)) {
		checks_note(k, "storage.url", false, &err);
		return;
	}
	if (!config_is_sound(c, "storage."))
		return;
	pg = options_pg(c, url);
	if (pg_hosts_new(&hosts, &pg, &err))
		pg_hosts_free(&hosts);
	else
		checks_note(k, "storage.url", false, &err);
}

static void checks_secret_keys(struct checks *k, const struct config *c)
{
	struct error err;

	for (size_t i = 0; i < c->secrets_keys.count; i++)
		checks_note(k, "secrets.keys",
			writer_check_secret_key(c->secrets_keys.items[i], &err), &err);
}

unsigned config_checks(const struct config *c, config_fault *each, void *context)
{
	struct checks k = {.config = c, .each = each, .context = context};
	struct error err;

	checks_patterns(&k, c);
	checks_files(&k, c);
	if (c->http_listen[0] != '\0')
		checks_note(&k, "http.listen", http_check(c->http_listen, &err), &err);
	checks_database(&k, c);
	checks_secret_keys(&k, c);
	return k.faults;
}

unsigned config_checks_room(const struct config *c, config_fault *each, void *context)
{
	struct checks k = {.config = c, .each = each, .context = context};

	checks_room(&k, c);
	return k.faults;
}

/* ---- warnings ---- */

static void checks_pattern_names(const struct config *c, char *out, size_t room)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < c->mqtt_topic_patterns.count && used < room; i++)
		used += (size_t)snprintf(out + used, room - used, "%s%s", i > 0 ? ", " : "",
			c->mqtt_topic_patterns.items[i]);
}

void config_warnings(const struct config *c, config_fault *each, void *context)
{
	struct topic_patterns patterns = {.count = 0};
	char names[256];
	struct error err;

	for (size_t i = 0; i < c->mqtt_topic_patterns.count; i++) {
		if (!topic_patterns_add(&patterns, c->mqtt_topic_patterns.items[i], &err))
			return;
		if (!topic_pattern_lacks_version(&patterns))
			continue;
		error_set(&err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.topic_patterns has \"%s\", which has no {version}: messages that it "
			"matches are stored in ocpp_events only",
			c->mqtt_topic_patterns.items[i]);
		error_hint(&err, "{version} stands for a level such as ocpp1.6 or ocpp2.0.1");
		each(context, &err);
	}
	checks_pattern_names(c, names, sizeof(names));
	for (size_t i = 0; i < c->mqtt_topics.count; i++) {
		if (topic_patterns_fit(&patterns,
			    slice_from_cstr(config_topic_filter(c->mqtt_topics.items[i]))))
			continue;
		error_set(&err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.topics has \"%s\", and mqtt.topic_patterns (%s) matches none or few "
			"of "
			"its topics: the rest would become dead letters (unknown_topic)",
			c->mqtt_topics.items[i], names);
		error_hint(&err, "add a pattern for it, or correct the topic");
		each(context, &err);
	}
}
