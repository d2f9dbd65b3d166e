#include "cli/cli.h"

#include "base/escape.h"
#include "cli/arguments.h"
#include "daemon/options.h"
#include "mqtt/probe.h"
#include "pg/wait.h"

#include <stdio.h>
#include <string.h>

/* MQTT strings have a 16-bit length. */
enum { BROKER_CLIENT_ID_MAX = 65535 };

struct broker_worker {
	bool connected; /* to the database */
	bool recent;    /* it has stored something recently */
};

static bool broker_ask_worker(PGconn *conn, const char *client_id, struct broker_worker *out,
	struct error *err)
{
	const char *params[] = {client_id};
	PGresult *result = pg_query(conn, cli_sql("worker_is_connected.sql"), 1, params, err);

	if (result == NULL)
		return false;
	out->connected = *PQgetvalue(result, 0, 0) == 't';
	out->recent = *PQgetvalue(result, 0, 1) == 't';
	PQclear(result);
	return true;
}

/* False with err: a worker with that id is running, or that cannot be found out. */
static bool broker_is_idle(const struct config *config, const char *client_id, struct error *err)
{
	static const char force[] = "--force ends the session without asking";
	struct pg_options options = cli_pg_options(config);
	PGconn *conn = pg_connect(&options, err);
	struct broker_worker worker;
	bool known;

	known = conn != NULL && broker_ask_worker(conn, client_id, &worker, err);
	PQfinish(conn);
	if (!known) {
		error_prefix(err, "could not ask the database whether a worker with this client "
				  "id is running");
		return error_hint(err, force);
	}
	if (!worker.connected && !worker.recent)
		return true;
	if (!worker.connected) {
		error_set(err, ERROR_REFUSED, REASON_client_id_used_twice,
			"the worker with client id \"%s\" has stored something within the last "
			"minute: it may be running and connecting to the database again",
			client_id);
		return error_hint(err, "if it is stopped for good, try again in a minute; %s",
			force);
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

		options.urls = &config->mqtt_url.items[i];
		if (!mqtt_probe_end_session(&options, &err)) {
			code = cli_fail(EXIT_CODE_BROKER, &err);
			continue;
		}
		(void)escape_print(stdout, slice_from_cstr(config->mqtt_url.items[i]));
		printf(": has no session of \"");
		(void)escape_print(stdout, slice_from_cstr(client_id));
		printf("\" any more\n");
	}
	return code;
}

enum exit_code cmd_broker(const struct config *config, int argc, char **argv)
{
	bool force = false;
	const struct argument arguments[] = {{.name = "--force", .given = &force}};
	const char *client_id;
	struct error err;

	if (!arguments_take("broker", arguments, 1, 2, &argc, argv))
		return EXIT_CODE_USAGE;
	if (argc == 0 || strcmp(argv[0], "end-session") != 0)
		return cli_usage("broker", "say end-session");
	client_id = argc > 1 ? argv[1] : "";
	if (client_id[0] == '\0' || strlen(client_id) > BROKER_CLIENT_ID_MAX)
		return cli_usage("broker", "name the client id whose session is to end");
	if (!force && !broker_is_idle(config, client_id, &err))
		return cli_fail(cli_exit_code(&err, EXIT_CODE_DATABASE), &err);
	return broker_end_session(config, client_id);
}
