#include "cli/cmd_replay.h"

static void replay_on_progress(void *context, const struct replay_reports *reports)
{
	cmd_replay_show_progress(context, reports);
}

static enum exit_code replay_store(const struct config *config, struct cmd_replay *options)
{
	static struct replay_reports reports;
	struct pg_options pg = cli_pg_options(config);
	struct replay_events events = {replay_on_progress, options};
	struct error err;

	if (!replay_run(config, &pg, &options->request, events, &reports, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	return cmd_replay_show_summary(options, &reports);
}

enum exit_code cmd_replay(const struct config *config, int argc, char **argv)
{
	static struct cmd_replay options;
	struct replay_files *files = &options.request.files;
	struct error err;
	enum exit_code code = EXIT_CODE_OK;

	if (!cmd_replay_read(&options, argc, argv, &code))
		return code;
	if (!replay_files_find(files, options.sources, options.sources_count, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	if (options.publish.broker != NULL)
		code = cmd_replay_publish(config, &options);
	else if (options.dry_run || files->count == 0)
		code = cmd_replay_dry_run(config, &options);
	else
		code = replay_store(config, &options);
	replay_files_free(files);
	return code;
}
