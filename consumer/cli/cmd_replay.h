#ifndef CLI_CMD_REPLAY_H
#define CLI_CMD_REPLAY_H

#include "cli/cli.h"
#include "replay/publish.h"

/* Shared by cmd_replay*.c only: arguments and printing. The work is done in replay/. */

enum { REPLAY_SPEED_MAX = 1000000 };

struct cmd_replay {
	struct replay_request request;
	const char *lines;
	const char *csv;                       /* NULL = the files are not CSV */
	struct replay_publish_options publish; /* broker: NULL = into the database */
	const char *zone_name;
	const char *ocpp_version; /* of frames in lines; NULL = not given */
	struct zone zone;
	struct csv_map csv_map;
	bool dry_run;
	bool json;
	char **sources;
	size_t sources_count;
	char names[512]; /* the sources, for people */
};

/* cmd_replay_options.c: reads the arguments. False after reporting what is wrong with them. */
MUST_CHECK bool cmd_replay_read(struct cmd_replay *o, int argc, char **argv,
	enum exit_code *code_out);

/* Reports what would be stored, without a database. */
enum exit_code cmd_replay_dry_run(const struct config *config, const struct cmd_replay *options);

/* Restores the archived partitions among the files. Those are moved to the front, *count_out of
 * them, and no longer count in files->bytes; the caller handles the others. If not EXIT_CODE_OK,
 * the reason has been reported. */
enum exit_code cmd_replay_parts(const struct config *config, const struct cmd_replay *options,
	struct replay_files *files, size_t *count_out);

/* Publishes messages again, without a database. */
enum exit_code cmd_replay_publish(const struct config *config, const struct cmd_replay *options);

/* Prints progress and the result, for people or programs. Returns EXIT_CODE_OK, or the code of the
 * first job that failed. */
void cmd_replay_show_progress(const struct cmd_replay *options,
	const struct replay_reports *reports);
enum exit_code cmd_replay_show_summary(const struct cmd_replay *options,
	const struct replay_reports *reports);

/* Counts per reason, as lines or as a member of an object. */
void cmd_replay_show_reasons(const char *what, const struct replay_reasons *reasons);
void cmd_replay_show_json_reasons(const char *name, const struct replay_reasons *reasons);

#endif
