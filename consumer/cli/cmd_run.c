#include "cli/cli.h"
#include "cli/risks.h"

#include "daemon/daemon.h"
#include "daemon/signals.h"

#include <string.h>
#include <unistd.h>

static enum exit_code run_exit_code(const struct error *err)
{
	static const struct {
		const char *prefix; /* of the reason */
		enum exit_code code;
	} codes[] = {
		{"schema_", EXIT_CODE_SCHEMA},
		{"bad_migrations", EXIT_CODE_SCHEMA},
		{"spool_", EXIT_CODE_SPOOL},
		{"disk", EXIT_CODE_SPOOL},
		{"log_used_elsewhere", EXIT_CODE_SPOOL},
		{"client_id_used_twice", EXIT_CODE_BROKER},
		{"bad_setting", EXIT_CODE_CONFIG},
		{"database_", EXIT_CODE_DATABASE},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (strncmp(err->reason, codes[i].prefix, strlen(codes[i].prefix)) == 0)
			return codes[i].code;
	}
	return EXIT_CODE_FAILED;
}

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
		return cli_fail(run_exit_code(&err), &err);
	ok = daemon_run(&options, &hard, &err);
	code = ok ? EXIT_CODE_OK : cli_fail(run_exit_code(&err), &err);
	if (hard)
		_exit((int)code);
	return code;
}
