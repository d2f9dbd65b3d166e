#include "cli/arguments.h"
#include "cli/spool.h"

#include "spool/spool.h"

#include <stdio.h>

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
	enum { SPOOL_LS, SPOOL_VERIFY, SPOOL_CAT, SPOOL_EXPORT };
	static const char *const words[] = {"ls", "verify", "cat", "export", "new-identity", NULL};

	switch (arguments_choose("spool", words, argc, argv)) {
	case -1:
		return EXIT_CODE_USAGE;
	case SPOOL_LS:
		return spool_ls(config, argc - 1, argv + 1);
	case SPOOL_VERIFY:
		return spool_verify(config, argc - 1, argv + 1);
	case SPOOL_CAT:
		return spool_export(config, argc, argv);
	case SPOOL_EXPORT:
		return spool_export(config, argc - 1, argv + 1);
	default:
		return argc == 1 ? spool_identity_change(config)
				 : arguments_unknown("spool", argv[0], "");
	}
}
