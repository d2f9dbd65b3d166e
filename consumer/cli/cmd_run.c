#include "cli/cli.h"

#include "daemon/daemon.h"

#include <string.h>

enum exit_code cmd_run(const struct config *config, int argc, char **argv)
{
	struct daemon_options options = {.config = config,
		.pg = cli_pg_options(config),
		.migrate = config->storage_postgres_run_migrations};
	struct error err;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--migrate") == 0)
			options.migrate = true;
		else
			return cli_usage("run", "\"%s\" is not understood", argv[i]);
	}
	if (daemon_run(&options, &err))
		return EXIT_CODE_OK;
	if (strncmp(err.reason, "schema_", 7) == 0)
		return cli_fail(EXIT_CODE_SCHEMA, &err);
	if (strncmp(err.reason, "spool_", 6) == 0 || strcmp(err.reason, "disk") == 0)
		return cli_fail(EXIT_CODE_SPOOL, &err);
	if (strcmp(err.reason, "client_id_used_twice") == 0)
		return cli_fail(EXIT_CODE_BROKER, &err);
	if (strcmp(err.reason, "bad_setting") == 0)
		return cli_fail(EXIT_CODE_CONFIG, &err);
	return cli_fail(EXIT_CODE_FAILED, &err);
}
