#include "cli/cli.h"

#include "spool/spool.h"

#include <stdio.h>
#include <string.h>

enum exit_code cmd_spool(const struct config *config, int argc, char **argv)
{
	char text[UUID_TEXT_BYTES];
	struct uuid identity;
	struct error err;

	if (argc != 1 || strcmp(argv[0], "new-identity") != 0)
		return cli_usage("spool", "say new-identity");
	if (!spool_new_identity(config->spool_dir, &identity, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	uuid_format(&identity, text);
	printf("%s\n", text);
	return EXIT_CODE_OK;
}
