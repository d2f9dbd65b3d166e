#include "cli/cli.h"

#include "base/log.h"
#include "base/nearest.h"
#include "base/redact.h"
#include "daemon/config_checks.h"
#include "pg/conninfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum exit_code (*const cli_runs[])(const struct config *config, int argc, char **argv) = {
#define COMMAND(function, name, arguments, summary, help) cmd_##function,
#include "cli/commands.def"
#undef COMMAND
};

/* --section.name=value: where the name ends, otherwise NULL. */
static const char *cli_setting_end(const char *argument)
{
	const char *equals = strchr(argument, '='), *dot = strchr(argument, '.');

	return strncmp(argument, "--", 2) == 0 && equals != NULL && dot != NULL && dot < equals
		       ? equals
		       : NULL;
}

/* Removes --config FILE and --section.name=value from the arguments, wherever they are. False with
 * err. The list of options lives as long as the process. */
static bool cli_take_settings(struct config_sources *out, int *argc, char **argv, struct error *err)
{
	const char **options = calloc((size_t)*argc + 1, sizeof(*options));
	int left = 1;

	if (options == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	*out = (struct config_sources){.options = options};
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--config") == 0 && i + 1 == *argc)
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"--config needs a file");
		if (strcmp(argv[i], "--config") == 0)
			out->file = argv[++i];
		else if (strncmp(argv[i], "--config=", 9) == 0)
			out->file = argv[i] + 9;
		else if (cli_setting_end(argv[i]) != NULL)
			options[out->options_count++] = argv[i] + 2;
		else
			argv[left++] = argv[i];
	}
	argv[left] = NULL;
	*argc = left;
	if (out->file == NULL)
		out->file = getenv("OCPP_PERSISTER_CONFIG"); /* NOLINT(concurrency-mt-unsafe) */
	return true;
}

static enum exit_code cli_unknown(const char *name)
{
	struct nearest nearest = {.word = name};

	if (name[0] == '-')
		return cli_usage(NULL,
			"\"%s\" is unexpected: before a command there are only settings, "
			"as in --section.name=value, and --config FILE",
			name);
	for (size_t i = 0; cli_command(i) != NULL; i++)
		nearest_try(&nearest, cli_command(i)->name);
	if (nearest.found != NULL)
		return cli_usage(NULL, "there is no command \"%s\"; did you mean \"%s\"?", name,
			nearest.found);
	return cli_usage(NULL, "there is no command \"%s\"", name);
}

static bool cli_is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* Prints the help that somebody asks for; false if nobody does. */
static bool cli_helps(int argc, char **argv)
{
	const struct command *command = argc > 1 ? cli_find(argv[1], &(size_t){0}) : NULL;

	if (argc > 1 && cli_is_help(argv[1])) {
		(void)cli_help(stdout, EXIT_CODE_OK);
		return true;
	}
	for (int i = 2; command != NULL && i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || (i == 2 && cli_is_help(argv[i]))) {
			cli_command_help(stdout, command);
			return true;
		}
	}
	return false;
}

/* What `config` is to do: its first word; options may stand before and after it. NULL if there is
 * none, or for another command. */
static const char *cli_config_word(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "config") != 0)
		return NULL;
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] != '-')
			return argv[i];
	}
	return NULL;
}

/* What is to help with wrong settings works with them, too. */
static bool cli_needs_settings(int argc, char **argv)
{
	static const char *const without[] = {"completion", "manual", "metrics", "version"};
	const char *word = cli_config_word(argc, argv);

	if (argc < 2 || cli_find(argv[1], &(size_t){0}) == NULL)
		return false; /* its usage is shown */
	for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++) {
		if (strcmp(argv[1], without[i]) == 0)
			return false;
	}
	return word == NULL || (strcmp(word, "reference") != 0 && strcmp(word, "sample") != 0);
}

static void cli_say_fault(void *context, const struct error *err)
{
	(void)context;
	(void)cli_fail(EXIT_CODE_CONFIG, err);
}

/* For `config check`, in the same run as what config_load() finds: what `run` would meet later. */
static unsigned cli_check_all(const struct config *c, config_fault *each, void *context)
{
	return config_checks(c, each, context) + config_checks_room(c, each, context);
}

static bool cli_checks_settings(int argc, char **argv)
{
	const char *word = cli_config_word(argc, argv);

	return word != NULL && strcmp(word, "check") == 0;
}

static bool cli_load(struct config *config, const struct config_sources *sources)
{
	struct error err;

	if (!config_load(config, sources, cli_say_fault, NULL))
		return false;
	if (pg_url_check(config->storage_url, &err))
		return true;
	cli_say_fault(NULL, &err);
	return false;
}

/* A full disk has to be noticed, or half an export is taken for the whole. */
static enum exit_code cli_flush(enum exit_code code)
{
	struct error err;

	if ((fflush(stdout) == 0 && ferror(stdout) == 0) || code != EXIT_CODE_OK)
		return code;
	error_set(&err, ERROR_FATAL, REASON_file, "could not write all of it to standard output");
	return cli_fail(EXIT_CODE_FAILED, &err);
}

static enum exit_code cli_run(const struct config *config, int argc, char **argv)
{
	const struct command *command;
	size_t index;

	log_set_format(config->log_format);
	log_set_level(config->log_level);
	command = cli_find(argv[1], &index);
	if (command == NULL)
		return cli_unknown(argv[1]);
	return cli_runs[index](config, argc - 2, argv + 2);
}

/* Everybody can see our arguments in the process list: so we work with a copy, and strike passwords
 * out of the original. NULL: out of memory. */
static char **cli_hide_arguments(int argc, char **argv)
{
	/* All texts in one block, with the list of them in front. */
	size_t list = ((size_t)argc + 1) * sizeof(char *), size = list;
	char **copy, *to;

	for (int i = 0; i < argc; i++)
		size += strlen(argv[i]) + 1;
	copy = calloc(1, size);
	if (copy == NULL)
		return NULL;
	to = (char *)copy + list;
	for (int i = 0; i < argc; i++) {
		const char *end = cli_setting_end(argv[i]);

		copy[i] = to;
		to = stpcpy(to, argv[i]) + 1;
		if (end != NULL && config_is_secret(argv[i] + 2, (size_t)(end - argv[i] - 2)))
			memset(argv[i] + (end + 1 - argv[i]), '*', strlen(end + 1));
		redact_passwords(argv[i]);
	}
	return copy;
}

enum exit_code cli_main(int argc, char **argv)
{
	/* They live as long as the process. */
	static struct config config;
	static struct config_sources sources;
	static char **arguments;
	struct error err;
	enum exit_code code;

	log_open();
	arguments = cli_hide_arguments(argc, argv);
	if (arguments == NULL) {
		(void)error_set(&err, ERROR_FATAL, REASON_memory, "out of memory");
		return cli_fail(EXIT_CODE_INTERNAL, &err);
	}
	if (argc == 2 && strcmp(arguments[1], "--version") == 0)
		return cli_flush(cmd_version(NULL, 0, NULL));
	if (!cli_take_settings(&sources, &argc, arguments, &err))
		return cli_fail(EXIT_CODE_CONFIG, &err);
	if (cli_helps(argc, arguments))
		return cli_flush(EXIT_CODE_OK);
	if (cli_checks_settings(argc, arguments))
		sources.more = cli_check_all;
	if (cli_needs_settings(argc, arguments) && !cli_load(&config, &sources))
		return EXIT_CODE_CONFIG;
	code = argc < 2 ? cli_help(stderr, EXIT_CODE_USAGE) : cli_run(&config, argc, arguments);
	config_fini(&config);
	return cli_flush(code);
}
