#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "cli/cli.h"
#include "replay/replay.h"

/* Shared by cmd_replay*.c only: arguments and printing. What is done is in replay/. */

enum { REPLAY_SPEED_MAX = 1000000 };

struct replay_options {
	struct replay_request request;
	const char *lines;
	const char *csv; /* NULL = the files are no CSV */
	char *publish;   /* address of a broker; NULL = into the database */
	int64_t after;   /* with publish: records up to this number are left out */
	double speed;    /* with publish: as fast as it was = 1; 0 = as fast as it goes */
	const char *zone_name;
	struct zone zone;
	struct csv_map csv_map;
	bool dry_run;
	bool json;
	char **sources;
	size_t sources_count;
	char names[512]; /* of the sources */
};

/* cmd_replay_options.c: the arguments. False once it was said what is wrong with them. */
MUST_CHECK bool replay_options_read(struct replay_options *o, int argc, char **argv,
	enum exit_code *code_out);

/* Says what would be stored, without a database. */
enum exit_code replay_dry_run(const struct config *config, const struct replay_options *options);

/* Publishes them again, without a database. */
enum exit_code replay_publish(const struct config *config, const struct replay_options *options);

/* Progress and the end, for people or programs. EXIT_CODE_OK, or of the first job that failed. */
void replay_show_progress(const struct replay_options *options,
	const struct replay_reports *reports);
enum exit_code replay_show_summary(const struct replay_options *options,
	const struct replay_reports *reports);

/* How often each was, as lines, and as a member of an object. */
void replay_show_reasons(const char *what, const struct replay_reasons *reasons);
void replay_show_json_reasons(const char *name, const struct replay_reasons *reasons);

#endif
