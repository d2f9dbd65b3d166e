#include "cli/cmd_replay.h"

#include "pg/wait.h"

static void replay_on_progress(void *context, const struct replay_reports *reports)
{
	cmd_replay_show_progress(context, reports);
}

/* An outage is waited for, at any time; but nobody waits for a wrong password or name, unless
 * another of several hosts may come back. */
static bool replay_is_let_in(const struct config *config, const struct pg_options *pg,
	struct error *err)
{
	PGconn *conn = pg_wait_connect(pg, NULL, pg->connect_timeout_us, -1, err);
	bool in = conn != NULL && pg_check_usage(conn, pg, err) &&
		  cli_check_schema(config, pg, conn, err);

	if (!in)
		in = conn == NULL ? err->kind != ERROR_REFUSED || !err->needs_person
				  : err->kind == ERROR_TRANSIENT;
	PQfinish(conn);
	return in;
}

static enum exit_code replay_store(const struct config *config, struct cmd_replay *options)
{
	static struct replay_reports reports;
	struct pg_options pg = cli_pg_options(config);
	struct replay_events events = {replay_on_progress, options};
	struct error err;

	if (!replay_is_let_in(config, &pg, &err))
		return cli_fail_connect(&err);
	if (!replay_run(config, &pg, &options->request, events, &reports, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	return cmd_replay_show_summary(options, &reports);
}

static enum exit_code replay_messages(const struct config *config, struct cmd_replay *options)
{
	if (options->publish.broker != NULL)
		return cmd_replay_publish(config, options);
	if (options->dry_run)
		return cmd_replay_dry_run(config, options);
	return replay_store(config, options);
}

enum exit_code cmd_replay(const struct config *config, int argc, char **argv)
{
	static struct cmd_replay options;
	struct replay_files files;
	struct error err;
	enum exit_code code = EXIT_CODE_OK;
	size_t parts;

	if (!cmd_replay_read(&options, argc, argv, &code))
		return code;
	if (!replay_files_find(&files, options.sources, options.sources_count, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	code = cmd_replay_parts(config, &options, &files, &parts);
	options.request.files = (struct replay_files){.paths = files.paths + parts,
		.count = files.count - parts,
		.bytes = files.bytes};
	if (code == EXIT_CODE_OK && (parts == 0 || parts < files.count))
		code = replay_messages(config, &options);
	replay_files_free(&files);
	return code;
}
