#include "cli/cli.h"

#include <stdio.h>

enum exit_code cmd_version(const struct config *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	(void)argv;
	printf("ocpp-persister %s\n", OCPP_PERSISTER_VERSION);
	return EXIT_CODE_OK;
}
