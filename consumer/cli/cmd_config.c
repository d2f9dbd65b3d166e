#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum exit_code cmd_config(const struct config *config, int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "check") == 0) {
		printf("ok\n"); /* cli_main() has refused what is not */
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
	return cli_usage("config", "say check, print or reference");
}
