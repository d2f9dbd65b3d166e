#include "cli/arguments.h"

#include "metrics/metrics.h"

enum exit_code cmd_metrics(const struct config *config, int argc, char **argv)
{
	static const char *const words[] = {"reference", NULL};

	(void)config;
	if (!arguments_take("metrics", NULL, 0, 1, &argc, argv) ||
		arguments_choose("metrics", words, argc, argv) < 0)
		return EXIT_CODE_USAGE;
	metrics_reference();
	return EXIT_CODE_OK;
}
