#include "cli/cli.h"
#include "cli/connect_checks.h"

#include "daemon/config_checks.h"

#include <stdio.h>
#include <string.h>

static void config_say_fault(void *context, const struct error *err)
{
	(void)context;
	(void)cli_fail(EXIT_CODE_CONFIG, err);
}

enum exit_code cmd_config(const struct config *config, int argc, char **argv)
{
	bool connect = argc == 2 && strcmp(argv[1], "--connect") == 0;

	if ((argc == 1 || connect) && strcmp(argv[0], "check") == 0) {
		/* cli_main() has refused what cannot even be read. */
		if (config_checks(config, config_say_fault, NULL) +
				config_checks_room(config, config_say_fault, NULL) >
			0)
			return EXIT_CODE_CONFIG;
		if (connect)
			return connect_checks(config);
		printf("ok\n");
		return EXIT_CODE_OK;
	}
	if (argc == 1 && strcmp(argv[0], "print") == 0) {
		config_print(config);
		return EXIT_CODE_OK;
	}
	if (argc == 1 && strcmp(argv[0], "reference") == 0) {
		config_reference();
		return EXIT_CODE_OK;
	}
	if (argc == 1 && strcmp(argv[0], "sample") == 0) {
		config_sample();
		return EXIT_CODE_OK;
	}
	return cli_usage("config", "say check [--connect], print, reference or sample");
}
