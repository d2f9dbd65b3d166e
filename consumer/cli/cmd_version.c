#include "cli/arguments.h"

#include <stdio.h>

enum exit_code cmd_version(const struct config *config, int argc, char **argv)
{
	(void)config;
	if (!arguments_take("version", NULL, 0, 0, &argc, argv))
		return EXIT_CODE_USAGE;
	printf("ocpp-persister %s\n", OCPP_PERSISTER_VERSION);
	return EXIT_CODE_OK;
}
