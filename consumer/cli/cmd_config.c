#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/connect_checks.h"

#include "base/check.h"
#include "base/escape.h"
#include "base/say.h"
#include "daemon/config_checks.h"

#include <stdio.h>

static void config_say_ok(const char *file)
{
	printf("ok (");
	(void)escape_print(stdout, slice_from_cstr(file));
	printf(")\n");
}

static void config_say_warning(void *context, const struct error *err)
{
	(void)context;
	say_line("warning", err->message);
	if (err->hint[0] != '\0')
		say_line("hint", err->hint);
}

/* cli_main() has refused settings with a fault, and those that `run` would stumble over later. */
static enum exit_code config_cmd_check(const struct config *config, bool connect)
{
	CHECK(config->sources.more != NULL);
	config_warnings(config, config_say_warning, NULL);
	if (connect)
		return connect_checks(config);
	if (config->sources.file == NULL)
		printf("ok (no settings file was read: defaults, environment and options only)\n");
	else
		config_say_ok(config->sources.file);
	return EXIT_CODE_OK;
}

enum exit_code cmd_config(const struct config *config, int argc, char **argv)
{
	enum { CONFIG_CHECK, CONFIG_PRINT, CONFIG_REFERENCE };
	static const char *const words[] = {"check", "print", "reference", "sample", NULL};
	bool connect = false;
	const struct argument arguments[] = {
		{.name = "--connect", .given = &connect, .with = "check"}};

	if (!arguments_take("config", arguments, 1, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	switch (arguments_choose("config", words, argc, argv)) {
	case -1:
		return EXIT_CODE_USAGE;
	case CONFIG_CHECK:
		return config_cmd_check(config, connect);
	case CONFIG_PRINT:
		config_print(config);
		break;
	case CONFIG_REFERENCE:
		config_reference();
		break;
	default:
		config_sample();
	}
	return EXIT_CODE_OK;
}
