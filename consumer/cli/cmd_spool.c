#include "cli/arguments.h"
#include "cli/spool.h"

#include "spool/spool.h"

#include <stdio.h>

/* The worker would connect with another client id. */
static void spool_say_session(const struct config *config, const struct spool_renewal *renewal)
{
	char text[UUID_TEXT_BYTES];

	if (renewal->keep_session || !renewal->session_known || config->mqtt_client_id[0] != '\0')
		return;
	uuid_format(&renewal->session, text);
	fprintf(stderr,
		"note: the session of the client id ocpp-persister-%s at the broker stays with the "
		"original of this log. If there is none, set mqtt.client_id to that id, or what "
		"the "
		"broker queues for it is lost\n",
		text);
}

static enum exit_code spool_identity_change(const struct config *config, int argc, char **argv)
{
	struct spool_renewal renewal = {.keep_session = false};
	const struct argument arguments[] = {
		{.name = "--keep-session", .given = &renewal.keep_session, .with = "new-identity"},
	};
	char text[UUID_TEXT_BYTES];
	struct error err;

	if (!arguments_take("spool", arguments, 1, 2, &argc, argv))
		return EXIT_CODE_USAGE;
	if (argc > 1)
		return arguments_unknown("spool", argv[0], "");
	if (!spool_new_identity(config->spool_dir, &renewal, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	uuid_format(&renewal.identity, text);
	printf("%s\n", text);
	spool_say_session(config, &renewal);
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
		return spool_identity_change(config, argc, argv);
	}
}
