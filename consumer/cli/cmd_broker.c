#include "cli/cli.h"

#include "base/escape.h"
#include "cli/arguments.h"
#include "daemon/options.h"
#include "mqtt/probe.h"
#include "pg/pg_error.h"
#include "pg/wait.h"

#include <stdio.h>
#include <string.h>

/* MQTT strings have a 16-bit length. */
enum { BROKER_CLIENT_ID_MAX = 65535 };

struct broker_worker {
	bool connected;       /* to the database */
	char last_stored[32]; /* when; "": the database knows no such worker */
};

static bool broker_ask_worker(PGconn *conn, const char *client_id, struct broker_worker *out,
	struct error *err)
{
	const char *params[] = {client_id};
	PGresult *result = pg_query(conn, cli_sql("worker_is_connected.sql"), 1, params, err);

	if (result == NULL)
		return false;
	out->connected = *PQgetvalue(result, 0, 0) == 't';
	snprintf(out->last_stored, sizeof(out->last_stored), "%s", PQgetvalue(result, 0, 1));
	PQclear(result);
	return true;
}

/*
 * False with err: a worker with that id is running, or that cannot be found out. One that has lost
 * the database looks like one that is stopped, for however long: whoever asks has to say that it is
 * (stopped).
 */
static bool broker_is_idle(const struct config *config, const char *client_id, bool stopped,
	struct error *err)
{
	static const char force[] = "--force ends the session without asking";
	char remedy[sizeof(((struct error *)0)->hint)];
	struct pg_options options = cli_pg_options(config);
	PGconn *conn = cli_connect(config, &options, err);
	struct broker_worker worker;
	bool known;

	/* A standby does not see who is connected to the primary. */
	known = conn != NULL && pg_check_primary(conn, err) &&
		broker_ask_worker(conn, client_id, &worker, err);
	PQfinish(conn);
	if (!known) {
		error_prefix(err, "could not ask the database whether a worker with this client "
				  "id is running");
		snprintf(remedy, sizeof(remedy), "%s", err->hint);
		return error_hint(err, "%s%s%s", remedy, remedy[0] != '\0' ? "; or " : "", force);
	}
	if (!worker.connected && (stopped || worker.last_stored[0] == '\0'))
		return true;
	if (!worker.connected) {
		error_set(err, ERROR_REFUSED, REASON_client_id_used_twice,
			"the worker with client id \"%s\", which last stored something at %s, is "
			"not connected to the database: it may be stopped, or running without the "
			"database",
			client_id, worker.last_stored);
		return error_hint(err, "look whether its process is there; if it is stopped for "
				       "good, say so with --stopped");
	}
	error_set(err, ERROR_REFUSED, REASON_client_id_used_twice,
		"the worker with client id \"%s\" is running", client_id);
	return error_hint(err, "stop it; `run --drain` with its settings then takes what is queued "
			       "for it, and ends its session");
}

static enum exit_code broker_end_session(const struct config *config, const char *client_id)
{
	struct mqtt_options options = options_mqtt(config);
	enum exit_code code = EXIT_CODE_OK;

	options.client_id = client_id;
	options.urls_count = 1;
	for (size_t i = 0; i < config->mqtt_url.count; i++) {
		struct error err;
		bool found;

		options.urls = &config->mqtt_url.items[i];
		if (!mqtt_probe_end_session(&options, &found, &err)) {
			code = cli_fail(EXIT_CODE_BROKER, &err);
			continue;
		}
		(void)escape_print(stdout, slice_from_cstr(config->mqtt_url.items[i]));
		printf(found ? ": ended the session of \"" : ": there is no session of \"");
		(void)escape_print(stdout, slice_from_cstr(client_id));
		printf(found ? "\"\n" : "\": nothing to end\n");
	}
	return code;
}

enum exit_code cmd_broker(const struct config *config, int argc, char **argv)
{
	static const char *const words[] = {"end-session", NULL};
	bool force = false, stopped = false;
	const struct argument arguments[] = {
		{.name = "--force", .given = &force},
		{.name = "--stopped", .given = &stopped},
	};
	const char *client_id;
	struct error err;

	if (!arguments_take("broker", arguments, 2, 2, &argc, argv))
		return EXIT_CODE_USAGE;
	if (arguments_choose("broker", words, argc, argv) < 0)
		return EXIT_CODE_USAGE;
	client_id = argc > 1 ? argv[1] : "";
	if (client_id[0] == '\0' || strlen(client_id) > BROKER_CLIENT_ID_MAX)
		return cli_usage("broker", "name the client id whose session is to end");
	if (!force && !broker_is_idle(config, client_id, stopped, &err))
		return cli_fail(pg_error_is_missing(&err) ? EXIT_CODE_SCHEMA
							  : cli_exit_code(&err, EXIT_CODE_DATABASE),
			&err);
	return broker_end_session(config, client_id);
}
