#include "cli/arguments.h"
#include "cli/spool.h"

#include "spool/spool.h"

#include <stdio.h>
#include <string.h>

static enum exit_code spool_identity_change(const struct config *config)
{
	char text[UUID_TEXT_BYTES];
	struct uuid identity;
	struct error err;

	if (!spool_new_identity(config->spool_dir, &identity, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	uuid_format(&identity, text);
	printf("%s\n", text);
	return EXIT_CODE_OK;
}

enum exit_code cmd_spool(const struct config *config, int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "new-identity") == 0)
		return spool_identity_change(config);
	if (argc > 0 && strcmp(argv[0], "ls") == 0)
		return spool_ls(config, argc - 1, argv + 1);
	if (argc > 0 && strcmp(argv[0], "verify") == 0)
		return spool_verify(config, argc - 1, argv + 1);
	if (argc > 0 && strcmp(argv[0], "cat") == 0)
		return spool_export(config, argc, argv);
	if (argc > 0 && strcmp(argv[0], "export") == 0)
		return spool_export(config, argc - 1, argv + 1);
	return arguments_unknown("spool", argv[0], "say ls, verify, cat, export or new-identity");
}
