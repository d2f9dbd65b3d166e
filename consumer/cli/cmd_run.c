#include "cli/cli.h"
#include "cli/risks.h"

#include "base/log.h"
#include "cli/arguments.h"
#include "daemon/daemon.h"
#include "daemon/signals.h"

#include <unistd.h>

/* Errors that may pass by themselves are for whoever restarts us, whatever they are about. */
static enum exit_code run_fail(const struct error *err)
{
	enum exit_code code = err->kind == ERROR_TRANSIENT ? EXIT_CODE_FAILED
							   : cli_exit_code(err, EXIT_CODE_FAILED);

	if (!log_is_read_by_programs())
		return cli_fail(code, err);
	log_failure(LOG_LEVEL_ERROR, "failed", err);
	return code;
}

enum exit_code cmd_run(const struct config *config, int argc, char **argv)
{
	struct daemon_options options = {.config = config,
		.on_reloaded = risks_say,
		.migrate = config->storage_postgres_run_migrations};
	const struct argument arguments[] = {
		{.name = "--migrate", .given = &options.migrate},
		{.name = "--drain", .given = &options.drain},
	};
	enum exit_code code;
	struct error err;
	bool ok, hard = false;

	if (!arguments_take("run", arguments, 2, 0, &argc, argv))
		return EXIT_CODE_USAGE;
	signals_hold();
	if (!risks_check(config, &err))
		return run_fail(&err);
	ok = daemon_run(&options, &hard, &err);
	code = ok ? EXIT_CODE_OK : run_fail(&err);
	if (hard)
		_exit((int)code);
	return code;
}
