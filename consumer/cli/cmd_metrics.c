#include "cli/arguments.h"

#include "metrics/metrics.h"

#include <string.h>

enum exit_code cmd_metrics(const struct config *config, int argc, char **argv)
{
	(void)config;
	if (argc != 1 || strcmp(argv[0], "reference") != 0)
		return arguments_unknown("metrics", argc == 1 ? argv[0] : NULL, "say reference");
	metrics_reference();
	return EXIT_CODE_OK;
}
