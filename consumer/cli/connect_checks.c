#include "cli/connect_checks.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/uuid.h"
#include "copy/writer_checks.h"
#include "daemon/options.h"
#include "migrate/migrate.h"
#include "mqtt/probe.h"
#include "pg/libpq_options.h"
#include "pg/wait.h"
#include "retention/retire.h"

#include <stdio.h>
#include <string.h>

enum { CHECKS_WHERE_BYTES = 512, CHECKS_ID_BYTES = 160, CHECKS_ID_END = 8 };

/* ---- lines ---- */

/* Each line of a libpq error is about another address. */
static void checks_put(const char *text)
{
	char line[sizeof(((struct error *)NULL)->message)];
	size_t size = 0;

	for (; *text != '\0' && size < sizeof(line) - 2; text++) {
		if (*text == '\n')
			line[size++] = ';';
		line[size++] = (char)(*text == '\n' || *text == '\t' ? ' ' : *text);
	}
	(void)escape_print(stdout, slice_of(line, size));
}

static void checks_begin(const char *what, const char *where)
{
	printf("%s ", what);
	checks_put(where);
	printf(": ");
}

/* hint: used if the error has none. */
static enum exit_code checks_failed(const char *what, const char *where, const struct error *err,
	const char *hint, enum exit_code code)
{
	checks_begin(what, where);
	printf("failed: ");
	checks_put(err->message);
	printf("; to do: ");
	checks_put(err->hint[0] != '\0' ? err->hint : hint);
	printf("\n");
	return code;
}

static enum exit_code checks_first(enum exit_code first, enum exit_code next)
{
	return first != EXIT_CODE_OK ? first : next;
}

/* ---- the broker ---- */

/* A client id that nobody uses, but similar to that of `run`, since a broker may decide by it. */
static bool checks_client_id(const struct config *c, char out[static CHECKS_ID_BYTES],
	struct error *err)
{
	const char *base = c->mqtt_client_id[0] != '\0' ? c->mqtt_client_id : "ocpp-persister";
	char random[UUID_TEXT_BYTES];
	struct uuid made;

	if (!uuid_new(&made))
		return error_set(err, ERROR_FATAL, REASON_random, "no random numbers");
	uuid_format(&made, random);
	snprintf(out, CHECKS_ID_BYTES, "%.*s-check-%.*s", CHECKS_ID_BYTES - CHECKS_ID_END - 8, base,
		CHECKS_ID_END, random + strlen(random) - CHECKS_ID_END);
	return true;
}

static enum exit_code checks_topic(const struct mqtt_options *options, const struct error *refused)
{
	char where[CHECKS_WHERE_BYTES];

	snprintf(where, sizeof(where), "\"%s\" at %s", options->filters[0], options->urls[0]);
	if (refused != NULL)
		return checks_failed("topic", where, refused,
			"see mqtt.topics and the broker's access rules", EXIT_CODE_BROKER);
	checks_begin("topic", where);
	printf("ok\n");
	return EXIT_CODE_OK;
}

/* Larger messages would not even become dead letters: nobody could publish them. */
static void checks_packet_size(const struct config *c, const char *url,
	const struct mqtt_probe_result *found)
{
	if (found->packet_bytes_max == 0 ||
		(int64_t)found->packet_bytes_max >= c->mqtt_message_bytes_max)
		return;
	checks_begin("broker", url);
	printf("note: it accepts packets of at most %lld bytes, less than mqtt.message_bytes_max "
	       "(%lld); to do: mosquitto: raise max_packet_size\n",
		(long long)found->packet_bytes_max, (long long)c->mqtt_message_bytes_max);
}

/* One topic at a time, so that each has its own outcome: a connection is cheap. */
static enum exit_code checks_broker(const struct config *c, char *const *url, const char *client_id)
{
	struct mqtt_options options = options_mqtt(c);
	enum exit_code code = EXIT_CODE_OK;
	bool said = false;

	options.urls = url;
	options.urls_count = 1;
	options.client_id = client_id;
	options.filters_count = 1;
	for (size_t i = 0; i < c->mqtt_topics.count; i++) {
		struct mqtt_probe_result found;
		struct error err;
		bool ok;

		options.filters = &c->mqtt_topics.items[i];
		ok = mqtt_probe(&options, &found, &err);
		if (!found.connected)
			return checks_failed("broker", *url, &err, mqtt_hint_no_answer,
				EXIT_CODE_BROKER);
		if (!said) {
			checks_begin("broker", *url);
			printf("ok, MQTT %s\n", found.speaks_5 ? "5" : "3.1.1");
			checks_packet_size(c, *url, &found);
			said = true;
		}
		code = checks_first(code, checks_topic(&options, ok ? NULL : &err));
	}
	return code;
}

static enum exit_code checks_brokers(const struct config *c)
{
	enum exit_code code = EXIT_CODE_OK;
	char client_id[CHECKS_ID_BYTES];
	struct error err;

	if (!checks_client_id(c, client_id, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	for (size_t i = 0; i < c->mqtt_url.count; i++)
		code = checks_first(code, checks_broker(c, &c->mqtt_url.items[i], client_id));
	return code;
}

/* ---- the database ---- */

/* What the URL says, otherwise libpq's default. */
static const char *checks_option(const PQconninfoOption *url, const PQconninfoOption *defaults,
	const char *keyword, const char *otherwise)
{
	const char *value = libpq_option_or(url, defaults, keyword);

	return value[0] != '\0' ? value : otherwise;
}

static void checks_database_where(const struct pg_options *o, char out[static CHECKS_WHERE_BYTES])
{
	PQconninfoOption *url, *defaults;
	const char *host, *user;

	if (o->url == NULL || o->url[0] == '\0') {
		snprintf(out, CHECKS_WHERE_BYTES, "\"%s\" at %s:%lld as \"%s\"", o->database,
			o->host, (long long)o->port, o->user);
		return;
	}
	url = PQconninfoParse(o->url, NULL);
	defaults = PQconndefaults();
	host = checks_option(url, defaults, "host", NULL);
	if (host == NULL)
		host = checks_option(url, defaults, "hostaddr", "the local socket");
	user = checks_option(url, defaults, "user", "");
	if (libpq_option(url, "service")[0] != '\0')
		snprintf(out, CHECKS_WHERE_BYTES, "of service \"%s\"",
			libpq_option(url, "service"));
	else
		snprintf(out, CHECKS_WHERE_BYTES, "\"%s\" at %s:%s as \"%s\"",
			checks_option(url, defaults, "dbname", user), host,
			checks_option(url, defaults, "port", "5432"), user);
	PQconninfoFree(url);
	PQconninfoFree(defaults);
}

/* A standby, or a read-only database, accepts the connection but not a single row. */
static bool checks_takes_writes(PGconn *conn, int64_t timeout_us, struct error *err)
{
	PGresult *result = pg_wait_query(conn,
		"SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = "
		"'on'",
		clock_mono_us() + timeout_us, err);
	bool standby, read_only;

	if (result == NULL)
		return false;
	standby = !pg_judge_primary(result, err);
	read_only = *PQgetvalue(result, 0, 1) == 't';
	PQclear(result);
	if (standby)
		return false;
	if (read_only) {
		error_set(err, ERROR_TRANSIENT, REASON_read_only,
			"transactions are read-only there: it accepts no rows");
		return error_hint(err, "see default_transaction_read_only of the server, the "
				       "database and the role");
	}
	return true;
}

static bool checks_drops_partitions(const struct config *c)
{
	int64_t retention_us[TABLE_COUNT];

	options_retention(c, retention_us);
	for (int i = 0; c->retention_drop && i < TABLE_COUNT; i++) {
		if (retention_us[i] > 0)
			return true;
	}
	return false;
}

static enum exit_code checks_schema(const struct config *c, PGconn *conn, const char *where)
{
	static const char hint[] = "see `ocpp-persister migrate status`";
	const char *schema = c->storage_postgres_schema;
	int64_t version, timeout_us = c->storage_postgres_timeout;
	enum exit_code code;
	struct error err;

	if (!writer_check_rights(conn, schema, timeout_us, &err))
		return checks_failed("rights in database", where, &err,
			"see the rights of storage.postgres.user", EXIT_CODE_DATABASE);
	if (!migrate_newest(migrate_path_setting(c->storage_postgres_migrations_path), &version,
		    &err))
		return checks_failed("schema", schema, &err, hint, EXIT_CODE_SCHEMA);
	if (!writer_check_schema(conn, schema, version, timeout_us, &err)) {
		code = cli_database_code(&err);
		return checks_failed("schema", schema, &err, hint,
			code == EXIT_CODE_FAILED ? EXIT_CODE_DATABASE : code);
	}
	if (checks_drops_partitions(c) && !retire_check_rights(conn, schema, timeout_us, &err))
		return checks_failed("rights in database", where, &err,
			"see the rights of storage.postgres.user", EXIT_CODE_DATABASE);
	checks_begin("schema", schema);
	printf("ok, version %lld\n", (long long)version);
	checks_begin("rights in database", where);
	printf("ok\n");
	return EXIT_CODE_OK;
}

static enum exit_code checks_database(const struct config *c)
{
	static const char hint[] = "see storage.url, or storage.postgres.host and port: is the "
				   "name right, does PostgreSQL listen there, and does the "
				   "network let us through?";
	struct pg_options pg = cli_pg_options(c);
	char where[CHECKS_WHERE_BYTES];
	enum exit_code code;
	struct error err;
	PGconn *conn;

	checks_database_where(&pg, where);
	conn = pg_wait_connect(&pg, NULL, pg.connect_timeout_us, -1, &err);
	if (conn == NULL)
		return checks_failed("database", where, &err,
			cli_guess_hint() != NULL ? cli_guess_hint() : hint, EXIT_CODE_DATABASE);
	if (checks_takes_writes(conn, c->storage_postgres_timeout, &err)) {
		checks_begin("database", where);
		printf("ok, PostgreSQL %s\n", PQparameterStatus(conn, "server_version"));
		code = checks_schema(c, conn, where);
	} else {
		code = checks_failed("database", where, &err, hint, EXIT_CODE_DATABASE);
	}
	PQfinish(conn);
	return code;
}

enum exit_code connect_checks(const struct config *c)
{
	enum exit_code broker = checks_brokers(c);

	return checks_first(broker, checks_database(c));
}
