#include "cli/cli.h"

#include "metrics/metrics.h"

#include <string.h>

enum exit_code cmd_metrics(const struct config *config, int argc, char **argv)
{
	(void)config;
	if (argc != 1 || strcmp(argv[0], "reference") != 0)
		return cli_usage("metrics", "say reference");
	metrics_reference();
	return EXIT_CODE_OK;
}
