#include "cli/arguments.h"
#include "cli/cli.h"

#include "base/escape.h"
#include "config/config_value.h"
#include "migrate/migrate.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MIGRATE_WORDS_MAX = 3 /* maeve goto V */ };

/* The arguments of a subcommand. */
struct migrate_call {
	struct migrate *migrate;
	const char *group; /* as in migrate_options */
	const char *path;
	bool all;
	int argc; /* after the subcommand */
	char **argv;
};

static enum exit_code migrate_exit(const struct error *err)
{
	return cli_fail(cli_exit_code(err, EXIT_CODE_DATABASE), err);
}

static void migrate_to_stderr(void *context, const char *text)
{
	(void)context;
	(void)escape_print(stderr, slice_from_cstr(text));
	fprintf(stderr, "\n");
}

static enum exit_code migrate_done(struct migrate_call *call, bool ok, struct error *err)
{
	struct migrate_state state;

	if (!ok || !migrate_read(call->migrate, &state, err) ||
		!migrate_say_rights(call->migrate, err))
		return migrate_exit(err);
	fprintf(stderr, "%s is at version %lld\n",
		call->group == NULL ? "the schema" : "schema maeve", (long long)state.version);
	return EXIT_CODE_OK;
}

/* The only argument, as a number of at least low; calls cli_usage() if it is not one. */
static bool migrate_number(struct migrate_call *call, int64_t low, int64_t *out)
{
	if (call->argc == 1 && config_parse_number(call->argv[0], out) && *out >= low)
		return true;
	if (call->argc == 1)
		(void)cli_usage("migrate", "\"%s\" is not a number of %lld or more", call->argv[0],
			(long long)low);
	else
		(void)cli_usage("migrate", "a number is missing");
	return false;
}

static enum exit_code migrate_do_up(struct migrate_call *call)
{
	int64_t steps = MIGRATE_ALL;
	struct error err;

	if (call->argc > 0 && !migrate_number(call, 1, &steps))
		return EXIT_CODE_USAGE;
	return migrate_done(call, migrate_up(call->migrate, steps, &err), &err);
}

static enum exit_code migrate_do_down(struct migrate_call *call)
{
	int64_t steps = MIGRATE_ALL;
	struct error err;

	if (call->argc == 0 && call->group != NULL) /* views: nothing is lost */
		return migrate_done(call, migrate_down(call->migrate, MIGRATE_ALL, &err), &err);
	if (call->argc == 0 && !call->all)
		return cli_usage("migrate", "down drops tables with what is in them: say how many "
					    "migrations, or --all");
	if (call->argc > 0 && !migrate_number(call, 1, &steps))
		return EXIT_CODE_USAGE;
	return migrate_done(call, migrate_down(call->migrate, steps, &err), &err);
}

static enum exit_code migrate_do_goto(struct migrate_call *call)
{
	struct error err;
	int64_t version;

	if (!migrate_number(call, 1, &version))
		return EXIT_CODE_USAGE;
	return migrate_done(call, migrate_goto(call->migrate, version, &err), &err);
}

static enum exit_code migrate_do_force(struct migrate_call *call)
{
	struct error err;
	int64_t version;

	if (!migrate_number(call, 0, &version))
		return EXIT_CODE_USAGE;
	return migrate_done(call, migrate_force(call->migrate, version, &err), &err);
}

static enum exit_code migrate_do_version(struct migrate_call *call)
{
	struct migrate_state state;
	struct error err;

	if (call->argc > 0)
		return cli_usage("migrate", "version takes no arguments");
	if (!migrate_read(call->migrate, &state, &err))
		return migrate_exit(&err);
	printf("%lld%s\n", (long long)state.version, state.dirty ? " dirty" : "");
	return EXIT_CODE_OK;
}

static void migrate_print(const char *name)
{
	(void)escape_print(stdout, slice_from_cstr(name));
	printf("\n");
}

static enum exit_code migrate_do_status(struct migrate_call *call)
{
	struct migrate_state state;
	struct error err;
	bool known = false;

	if (call->argc > 0)
		return cli_usage("migrate", "status takes no arguments");
	if (!migrate_read(call->migrate, &state, &err))
		return migrate_exit(&err);
	for (size_t i = 0; i < migrate_count(call->migrate); i++) {
		const char *name;
		int64_t version = migrate_entry(call->migrate, i, &name);

		known = known || version == state.version;
		printf("%-8s ", version == state.version && state.dirty ? "dirty"
				: version <= state.version              ? "applied"
									: "pending");
		migrate_print(name);
	}
	if (!known && state.version != 0)
		printf("%-8s %06lld (not among the migrations here)\n",
			state.dirty ? "dirty" : "applied", (long long)state.version);
	if (!migrate_say_rights(call->migrate, &err))
		return migrate_exit(&err);
	return EXIT_CODE_OK;
}

static enum exit_code migrate_do_roles(struct migrate_call *call)
{
	struct error err;

	if (call->argc > 0)
		return cli_usage("migrate", "roles takes no arguments");
	if (call->group != NULL)
		return cli_usage("migrate",
			"\"migrate roles\" grants the rights on schema maeve, too");
	if (!migrate_roles(call->migrate, &err) || !migrate_say_rights(call->migrate, &err))
		return migrate_exit(&err);
	return EXIT_CODE_OK;
}

static const struct {
	const char *name;
	enum exit_code (*run)(struct migrate_call *call);
} migrate_commands[] = {
	{"up", migrate_do_up},
	{"down", migrate_do_down},
	{"goto", migrate_do_goto},
	{"force", migrate_do_force},
	{"version", migrate_do_version},
	{"status", migrate_do_status},
	{"roles", migrate_do_roles},
};

/* Needs no database. */
static enum exit_code migrate_do_create(const struct migrate_call *call)
{
	const char *folder = call->group == NULL ? "migrations" : "migrations/maeve";
	char up[PATH_MAX], down[PATH_MAX];
	struct error err;

	if (call->argc != 1)
		return cli_usage("migrate", "create needs one name");
	if (*call->path != '\0')
		folder = call->path;
	if (!migrate_create(folder, call->argv[0], up, down, &err))
		return migrate_exit(&err);
	migrate_print(up);
	migrate_print(down);
	return EXIT_CODE_OK;
}

/* The views need our tables, in the schema that the files name. */
static bool migrate_group_fits(const struct config *config, const struct migrate_call *call,
	PGconn *conn, struct error *err)
{
	struct migrate_options ours = {.schema = config->storage_postgres_schema, .path = ""};

	if (call->group == NULL)
		return true;
	if (strcmp(ours.schema, "ocpp") != 0)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"schema maeve is made of schema ocpp; storage.postgres.schema is \"%s\"",
			ours.schema);
	return migrate_check(conn, &ours, err);
}

static enum exit_code migrate_connected(const struct config *config,
	enum exit_code (*run)(struct migrate_call *call), struct migrate_call *call)
{
	struct pg_options pg = cli_pg_options(config);
	struct migrate_options options = {
		.schema = call->group != NULL ? call->group : config->storage_postgres_schema,
		.group = call->group,
		.path = call->path,
		.say = migrate_to_stderr};
	struct error err;
	enum exit_code code;
	PGconn *conn = pg_connect(&pg, &err);

	if (conn == NULL)
		return cli_fail(EXIT_CODE_DATABASE, &err);
	if ((run != migrate_do_up || migrate_group_fits(config, call, conn, &err)) &&
		migrate_open(&call->migrate, conn, &options, &err)) {
		code = run(call);
		migrate_close(&call->migrate);
	} else {
		code = migrate_exit(&err);
	}
	PQfinish(conn);
	return code;
}

enum exit_code cmd_migrate(const struct config *config, int argc, char **argv)
{
	struct migrate_call call = {0};
	const struct argument arguments[] = {
		{.name = "--path", .text = &call.path},
		{.name = "--all", .given = &call.all},
	};

	if (!arguments_take("migrate", arguments, 2, MIGRATE_WORDS_MAX, &argc, argv))
		return EXIT_CODE_USAGE;
	if (argc > 0 && strcmp(argv[0], "maeve") == 0) {
		call.group = "maeve";
		call.path = call.path == NULL ? "" : call.path;
		argc--;
		argv++;
	}
	if (call.path == NULL)
		call.path = migrate_path_setting(config->storage_postgres_migrations_path);
	if (argc == 0)
		return cli_usage("migrate", "say what to do");
	if (call.all && (argc > 1 || strcmp(argv[0], "down") != 0))
		return cli_usage("migrate", "--all goes with down alone");
	call.argc = argc - 1;
	call.argv = argv + 1;
	if (strcmp(argv[0], "create") == 0)
		return migrate_do_create(&call);
	for (size_t i = 0; i < sizeof(migrate_commands) / sizeof(*migrate_commands); i++) {
		if (strcmp(argv[0], migrate_commands[i].name) == 0)
			return migrate_connected(config, migrate_commands[i].run, &call);
	}
	/* "did you mean migrate down" would be another schema's. */
	return call.group != NULL
		       ? cli_usage("migrate", "there is no \"migrate maeve %s\"", argv[0])
		       : arguments_unknown("migrate", argv[0], "say what to do");
}
