#include "cli/cli.h"
#include "cli/risks.h"

#include "base/escape.h"
#include "base/log.h"
#include "base/redact.h"
#include "pg/conninfo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char cli_migrate_help[] =
	"  up [N]         apply all pending migrations, or the next N\n"
	"  down N|--all   undo the last N, or all: drops tables with what is in them\n"
	"  goto V         up or down to version V\n"
	"  force V        say that the schema is at version V and clean (0 = empty); runs nothing\n"
	"  version        print the version of the schema: a number, \"dirty\" behind it if it is\n"
	"  status         list the migrations with applied, pending or dirty\n"
	"  create NAME    make the two files of a new migration (in --path, or ./migrations)\n"
	"  --path DIR     migrations of a folder instead of those compiled in\n"
	"  maeve ...      the same for schema maeve, which is optional: our tables as MaEVE's, as\n"
	"                 views. down without a number is all of it: no data is lost\n";

static const char cli_dead_letters_help[] =
	"  list           one line each: id, count, last time, reason, station, bytes, topic\n"
	"  show ID        all that is known of it, and the message itself\n"
	"  requeue        store what this version understands; the rest comes back\n"
	"  discard        remove for good\n"
	"Which ones: by ID, --reason, --station, or --all. list takes the same, or nothing.\n";

static const char cli_replay_help[] =
	"SOURCE: a file, a folder, or - for standard input; plain, gzip or zstd. What is in it is\n"
	"seen from its first bytes: segments of a log; lines of `mosquitto_sub -F '%j'`, '%J' or\n"
	"'%U %q %t %D %x'. Doing it again, or beside the live stream, changes nothing.\n"
	"  --from T, --to T   received in [T, T), RFC 3339\n"
	"  --station S, --action A   only these; may be given several times\n"
	"  --jobs N       so many processes, which share the files\n"
	"  --rate N       so many records a second at most\n"
	"  --lines P      the lines are frames of OCPP-J: text with {time} {station} and, last,\n"
	"                 {frame}; also {direction}, {version}, {skip}\n"
	"  --zone Z       where times without a zone were written: +01:00, Europe/Berlin\n"
	"  --csv MAP      meter values in CSV: station=COLUMN,time=COLUMN,value=COLUMN; also "
	"evse,\n"
	"                 transaction, measurand, phase, context, location, unit; a constant in\n"
	"                 single quotes (unit='kWh'); zone=Z, decimal=comma, version=2.0.1\n"
	"  --no-bulk      visible batch by batch, also days that have no partition yet\n"
	"  --dry-run      say what would be stored; no database is needed\n"
	"  --json         the summary as JSON\n"
	"  --publish URL  to a broker instead (mqtt.user and so on apply), as fast as they came, "
	"or\n"
	"  --speed N|max  so many times as fast\n"
	"  --after N      behind record N, as an interrupted one says\n"
	"Exit code 1 if something failed or could not be read; the same command goes on then.\n";

static const char cli_spool_help[] =
	"The log of spool.dir, whether it is in use or not.\n"
	"  ls [--json]    its files: records, times of receipt, sizes\n"
	"  verify         read all of it; say which bytes are damaged. Exits with 1 then\n"
	"  cat, export json\n"
	"                 a line of JSON for each message: received_at, topic, qos, trace,\n"
	"                 payload, or payload_hex where the payload is no JSON\n"
	"  export maeve   the same with payload in the JSON envelope of MaEVE, whatever it was\n"
	"  export msgpack the records as they are, one msgpack array each\n"
	"                 of all these: --from T, --to T (received in [T, T)), --station S\n"
	"  new-identity   make a copied log one of its own: all of it is fed again, what is\n"
	"                 stored already is found to be a duplicate. Stop the program first.\n";

static const char cli_store_help[] =
	"  ENTITY: token, charge-station, setting, runtime, install-certificate, trigger,\n"
	"          certificate, registration, party, location; transaction (get and list)\n\n"
	"  set            FIELD=VALUE ..., or one JSON object per line on stdin; may be repeated\n"
	"  get KEY...     exits with 1 if there is none\n"
	"  list           all, in the order of their keys; --after KEY, --limit N\n"
	"  delete KEY...  --at TIME: what was said later stays\n"
	"  export         everything as JSON lines, each with its \"entity\"; import reads that\n"
	"  check          does every query of the program fit the tables?\n"
	"  --json         a JSON object per line instead of a table\n";

static const struct command cli_commands[] = {
	{"run", "[--migrate] [--drain]", "take OCPP events from the broker and store them",
		"  --migrate      bring the schema up to date first if it is behind\n"
		"  --drain        take this worker out: unsubscribe, store what the broker has "
		"queued "
		"for\n"
		"                 it, end its session, and exit with 0\n",
		cmd_run},
	{"migrate",
		"[maeve] [--path DIR] up [N] | down N|--all | goto V | force V | version | status "
		"| "
		"create NAME",
		"bring the schema up to date, or back", cli_migrate_help, cmd_migrate},
	{"config", "check|print|reference", "check, show or explain the settings", NULL,
		cmd_config},
	{"dead-letters",
		"list | show ID | requeue | discard [ID...] [--reason R] [--station S] [--all]",
		"look after the messages that could not be stored", cli_dead_letters_help,
		cmd_dead_letters},
	{"decode", "[--topic TOPIC] [--received TIME] FILE", "show what is made of a message",
		"The file holds the payload of one MQTT message.\n", cmd_decode},
	{"verify", "[--ledger FILE]", "does the database hold what was sent?",
		"  --ledger FILE  compare with what a publisher wrote down, row by row\n"
		"Exits with 0 only if everything is there, once, unaltered.\n",
		cmd_verify},
	{"manual", "1|5", "print the manual page of the program, or of its settings", NULL,
		cmd_manual},
	{"metrics", "reference", "explain the metrics", NULL, cmd_metrics},
	{"replay",
		"[--from T] [--to T] [--station S] [--action A] [--jobs N] [--rate N] [--lines P] "
		"[--zone Z] [--csv MAP] [--no-bulk] [--dry-run] [--json] [--publish URL [--speed "
		"N|max] "
		"[--after N]] "
		"SOURCE...",
		"store old messages: segments of a log, captures of mosquitto_sub, logs of frames, "
		"CSV",
		cli_replay_help, cmd_replay},
	{"spool",
		"ls [--json] | verify | cat | export json|maeve|msgpack [--from T] [--to T] "
		"[--station S] | new-identity",
		"look after the log on disk", cli_spool_help, cmd_spool},
	{"store", "ENTITY set|get|list|delete ... | export | import | check",
		"tokens, charge stations, certificates, OCPI and locations", cli_store_help,
		cmd_store},
	{"version", "", "print the version of this program", NULL, cmd_version},
};

enum { CLI_COMMANDS = sizeof(cli_commands) / sizeof(cli_commands[0]) };

const struct command *cli_command(size_t index)
{
	return index < CLI_COMMANDS ? &cli_commands[index] : NULL;
}

static const struct command *cli_find(const char *name)
{
	for (size_t i = 0; i < CLI_COMMANDS; i++) {
		if (strcmp(cli_commands[i].name, name) == 0)
			return &cli_commands[i];
	}
	return NULL;
}

static enum exit_code cli_help(FILE *out, enum exit_code code)
{
	fprintf(out,
		"usage: ocpp-persister [--config FILE] [--SETTING=VALUE ...] COMMAND ...\n\n"
		"OCPP events from MQTT into PostgreSQL, losing nothing and doubling nothing.\n\n"
		"commands:\n");
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		fprintf(out, "  %-14s %s\n", cli_commands[i].name, cli_commands[i].summary);
	fprintf(out, "\n`ocpp-persister COMMAND --help` tells more about one of them, "
		     "`ocpp-persister config reference` lists the settings.\n");
	return code;
}

static void cli_command_help(FILE *out, const struct command *c)
{
	fprintf(out, "usage: ocpp-persister %s %s\n\n%s\n", c->name, c->arguments, c->summary);
	if (c->help != NULL)
		fprintf(out, "\n%s", c->help);
}

/* Foreign text may be in it, and what looks like a password. */
static void cli_say(const char *what, const char *text)
{
	char hidden[1024], escaped[4 * sizeof(hidden)];

	snprintf(hidden, sizeof(hidden), "%s", text);
	redact_passwords(hidden);
	fprintf(stderr, "%s: %s\n", what, escape_into(escaped, sizeof(escaped), hidden));
}

enum exit_code cli_usage(const char *command, const char *format, ...)
{
	const struct command *found = command == NULL ? NULL : cli_find(command);
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	cli_say("error", text);
	if (found == NULL)
		return cli_help(stderr, EXIT_CODE_USAGE);
	cli_command_help(stderr, found);
	return EXIT_CODE_USAGE;
}

enum exit_code cli_fail(enum exit_code code, const struct error *err)
{
	cli_say("error", err->message);
	if (err->hint[0] != '\0')
		cli_say("hint", err->hint);
	return code;
}

enum exit_code cli_database_code(struct error *err)
{
	/* Tables, schemas, columns and functions that are not there. */
	static const char *const missing[] = {"42P01", "3F000", "42703", "42883"};

	if (strncmp(err->reason, "schema_", 7) == 0)
		return EXIT_CODE_SCHEMA;
	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++) {
		if (strcmp(err->sqlstate, missing[i]) != 0)
			continue;
		error_hint(err, "`ocpp-persister migrate up` brings the schema up to date");
		return EXIT_CODE_SCHEMA;
	}
	if (strcmp(err->reason, "connection") == 0 || strcmp(err->sqlstate, "42501") == 0 ||
		strncmp(err->sqlstate, "08", 2) == 0 || strncmp(err->sqlstate, "57", 2) == 0)
		return EXIT_CODE_DATABASE;
	return EXIT_CODE_FAILED;
}

enum exit_code cli_fail_database(struct error *err)
{
	enum exit_code code = cli_database_code(err);

	return cli_fail(code, err);
}

/* Settings of a pool are no business of libpq, which would refuse the whole string. Of a string
 * that cannot be split it says itself what is wrong. */
static const char *cli_url(const char *url)
{
	static char rest[PG_CONNINFO_BYTES_MAX];
	struct pg_pool_settings settings = pg_pool_settings_default();

	return url != NULL && pg_conninfo_split(url, rest, &settings, NULL) ? rest : url;
}

struct pg_options cli_pg_options(const struct config *c)
{
	return (struct pg_options){
		.url = cli_url(c->storage_url),
		.host = c->storage_postgres_host,
		.database = c->storage_postgres_database,
		.user = c->storage_postgres_user,
		.password = c->storage_postgres_password,
		.ssl_mode = c->storage_postgres_ssl_mode,
		.ssl_root_cert = c->storage_postgres_ssl_root_cert,
		.ssl_cert = c->storage_postgres_ssl_cert,
		.ssl_key = c->storage_postgres_ssl_key,
		.schema = c->storage_postgres_schema,
		.port = c->storage_postgres_port,
		.connect_timeout_us = c->storage_postgres_connect_timeout,
		.application = "ocpp-persister",
	};
}

/* --section.name=value: where the name ends, else NULL. */
static const char *cli_setting_end(const char *argument)
{
	const char *equals = strchr(argument, '='), *dot = strchr(argument, '.');

	return strncmp(argument, "--", 2) == 0 && equals != NULL && dot != NULL && dot < equals
		       ? equals
		       : NULL;
}

/*
 * --config FILE and --section.name=value, anywhere, are taken out of the arguments. False with err.
 * The list of options lives as long as the process.
 */
static bool cli_take_settings(struct config_sources *out, int *argc, char **argv, struct error *err)
{
	const char **options = calloc((size_t)*argc + 1, sizeof(*options));
	int left = 1;

	if (options == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	*out = (struct config_sources){.options = options};
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--config") == 0 && i + 1 == *argc)
			return error_set(err, ERROR_FATAL, "bad_setting", "--config needs a file");
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

static enum exit_code cli_run(const struct config *config, int argc, char **argv)
{
	const struct command *command;
	enum log_level level;

	if (log_level_parse(config->log_level, &level))
		log_set_level(level);
	command = cli_find(argv[1]);
	if (command == NULL)
		return cli_usage(NULL, "there is no command \"%s\"", argv[1]);
	if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		cli_command_help(stdout, command);
		return EXIT_CODE_OK;
	}
	return command->run(config, argc - 2, argv + 2);
}

/*
 * What we were called with is shown to everybody in the list of processes: we work with a copy, and
 * passwords are struck out of the original. NULL: out of memory.
 */
static char **cli_hide_arguments(int argc, char **argv)
{
	/* All texts in one piece, and the list of them before it. */
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
	if (arguments == NULL)
		return EXIT_CODE_INTERNAL;
	if (argc == 2 && strcmp(arguments[1], "--version") == 0)
		return cmd_version(NULL, 0, NULL);
	if (!cli_take_settings(&sources, &argc, arguments, &err) ||
		!config_load(&config, &sources, &err) || !risks_check_database_url(&config, &err))
		return cli_fail(EXIT_CODE_CONFIG, &err);
	if (argc < 2)
		code = cli_help(stderr, EXIT_CODE_USAGE);
	else if (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0)
		code = cli_help(stdout, EXIT_CODE_OK);
	else
		code = cli_run(&config, argc, arguments);
	config_fini(&config);
	return code;
}
