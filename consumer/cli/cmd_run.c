#include "cli/cli.h"
#include "cli/risks.h"

#include "daemon/daemon.h"
#include "daemon/signals.h"

#include <string.h>
#include <unistd.h>

enum exit_code cmd_run(const struct config *config, int argc, char **argv)
{
	struct daemon_options options = {.config = config,
		.pg = cli_pg_options(config),
		.migrate = config->storage_postgres_run_migrations};
	enum exit_code code;
	struct error err;
	bool ok, hard = false;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--migrate") == 0)
			options.migrate = true;
		else if (strcmp(argv[i], "--drain") == 0)
			options.drain = true;
		else
			return cli_usage("run", "\"%s\" is not understood", argv[i]);
	}
	signals_hold();
	if (!risks_check(config, &err))
		return cli_fail(cli_exit_code(&err, EXIT_CODE_FAILED), &err);
	ok = daemon_run(&options, &hard, &err);
	code = ok ? EXIT_CODE_OK : cli_fail(cli_exit_code(&err, EXIT_CODE_FAILED), &err);
	if (hard)
		_exit((int)code);
	return code;
}
