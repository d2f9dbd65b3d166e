#include "cli/cli.h"

#include "base/embedded.h"
#include "base/say.h"
#include "daemon/options.h"
#include "pg/pg_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command cli_commands[] = {
#define COMMAND(function, name, arguments, summary, help) {name, arguments, summary, help},
#include "cli/commands.def"
#undef COMMAND
};

enum { CLI_COMMANDS = sizeof(cli_commands) / sizeof(cli_commands[0]) };

const struct command *cli_command(size_t index)
{
	return index < CLI_COMMANDS ? &cli_commands[index] : NULL;
}

const struct command *cli_find(const char *name, size_t *index_out)
{
	for (size_t i = 0; i < CLI_COMMANDS; i++) {
		if (strcmp(cli_commands[i].name, name) != 0)
			continue;
		*index_out = i;
		return &cli_commands[i];
	}
	return NULL;
}

enum exit_code cli_help(FILE *out, enum exit_code code)
{
	fprintf(out,
		"usage: ocpp-persister [--config FILE] [--SETTING=VALUE ...] COMMAND ...\n\n"
		"OCPP events from MQTT into PostgreSQL, losing nothing and doubling nothing.\n\n"
		"commands:\n");
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		fprintf(out, "  %-14s %s\n", cli_commands[i].name, cli_commands[i].summary);
	fprintf(out, "\n`ocpp-persister COMMAND --help` has more about one of them, "
		     "`ocpp-persister config reference` lists the settings.\n");
	return code;
}

void cli_command_help(FILE *out, const struct command *c)
{
	fprintf(out, "usage: ocpp-persister %s%s%s\n\n%s\n", c->name,
		c->arguments[0] != '\0' ? " " : "", c->arguments, c->summary);
	if (c->help != NULL)
		fprintf(out, "\n%s", c->help);
}

enum exit_code cli_usage(const char *command, const char *format, ...)
{
	const struct command *found = command == NULL ? NULL : cli_find(command, &(size_t){0});
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say_line("error", text);
	fprintf(stderr, "usage: ocpp-persister %s%s%s (--help has more)\n",
		found == NULL ? "[--config FILE] [--SETTING=VALUE ...]" : found->name,
		found == NULL || found->arguments[0] != '\0' ? " " : "",
		found == NULL ? "COMMAND ..." : found->arguments);
	return EXIT_CODE_USAGE;
}

/* Set once a command asks for the options of the database: nothing says which one it is. */
static bool cli_database_is_guessed;

const char *cli_guess_hint(void)
{
	return cli_database_is_guessed ? "no settings file was read; name it with --config or "
					 "OCPP_PERSISTER_CONFIG"
				       : NULL;
}

enum exit_code cli_fail(enum exit_code code, const struct error *err)
{
	const char *guess = code == EXIT_CODE_DATABASE ? cli_guess_hint() : NULL;

	say_line("error", err->message);
	if (err->hint[0] != '\0')
		say_line("hint", err->hint);
	if (guess != NULL)
		say_line("hint", guess);
	return code;
}

enum exit_code cli_exit_code(const struct error *err, enum exit_code otherwise)
{
	switch (error_about(err)) {
	case ABOUT_SETTINGS:
		return EXIT_CODE_CONFIG;
	case ABOUT_SCHEMA:
		return EXIT_CODE_SCHEMA;
	case ABOUT_LOG:
		return EXIT_CODE_SPOOL;
	case ABOUT_BROKER:
		return EXIT_CODE_BROKER;
	case ABOUT_DATABASE:
	case ABOUT_CONNECTION:
		return EXIT_CODE_DATABASE;
	case ABOUT_NOTHING:
		break;
	}
	return otherwise;
}

enum exit_code cli_database_code(struct error *err)
{
	enum exit_code code = cli_exit_code(err, EXIT_CODE_FAILED);

	if (code == EXIT_CODE_SCHEMA || code == EXIT_CODE_DATABASE)
		return code;
	if (pg_error_is_missing(err)) {
		error_hint(err, "`ocpp-persister migrate up` brings the schema up to date");
		return EXIT_CODE_SCHEMA;
	}
	return pg_error_is_access(err) ? EXIT_CODE_DATABASE : EXIT_CODE_FAILED;
}

enum exit_code cli_fail_database(struct error *err)
{
	enum exit_code code = cli_database_code(err);

	return cli_fail(code, err);
}

enum exit_code cli_fail_connect(const struct error *err)
{
	return cli_fail(cli_exit_code(err, EXIT_CODE_DATABASE), err);
}

struct pg_options cli_pg_options(const struct config *c)
{
	static char url[PG_CONNINFO_BYTES_MAX];

	cli_database_is_guessed = c->sources.file == NULL && !config_sets(c, "storage");
	return options_pg(c, url);
}

/* The folder sql/. */
extern const struct embedded_file cli_sql_files[];
extern const size_t cli_sql_count;

const char *cli_sql(const char *name)
{
	return embedded_text(cli_sql_files, cli_sql_count, name);
}
