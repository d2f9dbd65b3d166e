#ifndef CLI_CMD_REPLAY_H
#define CLI_CMD_REPLAY_H

#include "cli/cli.h"
#include "replay/publish.h"

/* Shared by cmd_replay*.c only: arguments and printing. What is done is in replay/. */

enum { REPLAY_SPEED_MAX = 1000000 };

struct cmd_replay {
	struct replay_request request;
	const char *lines;
	const char *csv;                       /* NULL = the files are not CSV */
	struct replay_publish_options publish; /* broker: NULL = into the database */
	const char *zone_name;
	struct zone zone;
	struct csv_map csv_map;
	bool dry_run;
	bool json;
	char **sources;
	size_t sources_count;
	char names[512]; /* of the sources */
};

/* cmd_replay_options.c: the arguments. False after reporting what is wrong with them. */
MUST_CHECK bool cmd_replay_read(struct cmd_replay *o, int argc, char **argv,
	enum exit_code *code_out);

/* Says what would be stored, without a database. */
enum exit_code cmd_replay_dry_run(const struct config *config, const struct cmd_replay *options);

/*
 * Puts back what is an archived partition among the files. Those are the first *count_out then; if
 * there are others, they are for whoever called. Not EXIT_CODE_OK: it was said why.
 */
enum exit_code cmd_replay_parts(const struct config *config, const struct cmd_replay *options,
	struct replay_files *files, size_t *count_out);

/* Publishes them again, without a database. */
enum exit_code cmd_replay_publish(const struct config *config, const struct cmd_replay *options);

/* Progress and the end, for people or programs. EXIT_CODE_OK, or of the first job that failed. */
void cmd_replay_show_progress(const struct cmd_replay *options,
	const struct replay_reports *reports);
enum exit_code cmd_replay_show_summary(const struct cmd_replay *options,
	const struct replay_reports *reports);

/* How often each was, as lines, and as a member of an object. */
void cmd_replay_show_reasons(const char *what, const struct replay_reasons *reasons);
void cmd_replay_show_json_reasons(const char *name, const struct replay_reasons *reasons);

#endif
