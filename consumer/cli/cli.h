#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"
#include "config/config.h"
#include "pg/connect.h"

#include <stdio.h>

/*
 * The command line. stdout is for data, stderr for messages. Commands are the rows of commands.def;
 * one file per command group. cli_main() loads the settings and calls the command with the
 * remaining arguments. Commands use the functions below, from command.c, and never cli.c.
 */
enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,    /* it failed, or the answer is no: verify found a loss */
	EXIT_CODE_USAGE = 2,     /* wrong arguments */
	EXIT_CODE_CONFIG = 3,    /* wrong settings */
	EXIT_CODE_DATABASE = 4,  /* PostgreSQL is unreachable or refused us */
	EXIT_CODE_SCHEMA = 5,    /* the schema is behind, ahead or dirty */
	EXIT_CODE_SPOOL = 6,     /* the log on disk */
	EXIT_CODE_BROKER = 7,    /* the broker refuses us for good */
	EXIT_CODE_INTERNAL = 70, /* an internal error */
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;
	const char *help; /* the command's options, or NULL */
};

/* The commands, from 0; NULL after the last. */
const struct command *cli_command(size_t index);

/* The command with that name, and its index, or NULL. */
const struct command *cli_find(const char *name, size_t *index_out);

/* Print --help: for all commands (returns code), or for one. */
enum exit_code cli_help(FILE *out, enum exit_code code);
void cli_command_help(FILE *out, const struct command *c);

/* For commands: report what is wrong with the arguments, with the usage. EXIT_CODE_USAGE. */
enum exit_code cli_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Print an error for a person ("error: ...", "hint: ..."); returns code. */
enum exit_code cli_fail(enum exit_code code, const struct error *err);

/* What to say if the database cannot be used, no settings file was read, and nothing else says
 * which database is meant; otherwise NULL. cli_fail() says it by itself. */
const char *cli_guess_hint(void);

/* The exit code for what the error is about; otherwise: for errors without a code of their own. */
enum exit_code cli_exit_code(const struct error *err, enum exit_code otherwise);

/*
 * The same for a command that used the database: EXIT_CODE_SCHEMA if the schema or something in it
 * is missing or has another version, EXIT_CODE_DATABASE if the server went away or refused us,
 * otherwise EXIT_CODE_FAILED. If the schema is missing, the error gets a hint.
 */
enum exit_code cli_database_code(struct error *err);
enum exit_code cli_fail_database(struct error *err);

/* The database settings as connection options. */
struct pg_options cli_pg_options(const struct config *config);

/* A connection as from pg_connect(), to a schema of the version that this program is made for; NULL
 * with err otherwise, for cli_fail_connect(). */
PGconn *cli_connect(const struct config *config, const struct pg_options *options,
	struct error *err);

/* The same for an existing connection. False with err. */
bool cli_check_schema(const struct config *config, const struct pg_options *options, PGconn *conn,
	struct error *err);

/* Print it; EXIT_CODE_DATABASE, unless it is about something that has a code of its own. */
enum exit_code cli_fail_connect(const struct error *err);

/* The text of an embedded file of cli/sql/. */
const char *cli_sql(const char *name);

/* The commands; argv[0] is the first word after the command's name, and
 * NULL follows the last. */
#define COMMAND(function, name, arguments, summary, help)                                          \
	enum exit_code cmd_##function(const struct config *config, int argc, char **argv);
#include "cli/commands.def"
#undef COMMAND

/* cli.c, the whole program: argv from main(). */
enum exit_code cli_main(int argc, char **argv);

#endif
