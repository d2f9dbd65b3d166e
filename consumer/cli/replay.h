#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "cli/cli.h"
#include "daemon/log_reader.h"
#include "replay/source.h"

#include <sys/types.h>

/* Shared by cmd_replay*.c only. */

enum {
	REPLAY_FILTER_MAX = 256,
	REPLAY_JOBS_MAX = 64,
	REPLAY_REASONS_MAX = 12,
	REPLAY_SPEED_MAX = 1000000
};

struct replay_options {
	int64_t from_us, to_us; /* of receipt, [from, to) */
	const char *stations[REPLAY_FILTER_MAX];
	size_t stations_count; /* 0 = all */
	const char *actions[REPLAY_FILTER_MAX];
	size_t actions_count;
	int64_t jobs;
	int64_t rate; /* records a second, of all jobs; 0 = as fast as it goes */
	const char *lines;
	const char *csv; /* NULL = the files are no CSV */
	char *publish;   /* address of a broker; NULL = into the database */
	int64_t after;   /* with publish: records up to this number are left out */
	double speed;    /* with publish: as fast as it was = 1; 0 = as fast as it goes */
	const char *zone_name;
	struct zone zone;
	struct lines_pattern pattern;
	struct csv_map csv_map;
	bool dry_run;
	bool no_bulk; /* rows go straight into partitions */
	bool json;
	char **sources;
	size_t sources_count;
};

/* How often something happened, by its reason. */
struct replay_reasons {
	struct {
		char label[32];
		uint64_t count;
	} items[REPLAY_REASONS_MAX];
	uint32_t count;
};

void replay_reasons_add(struct replay_reasons *reasons, const char *label, uint64_t count);

/* What a job has done so far. Sent over a pipe as it is. */
struct replay_report {
	uint32_t job;
	bool over, ok;
	bool resumed;
	uint64_t records; /* read by this run */
	int64_t bytes;
	uint64_t unreadable; /* places, or records where they can be counted */
	uint64_t stored, duplicate, dead_lettered, skipped;
	struct replay_reasons dead_reasons, skip_reasons;
	struct loads loads;
	struct uuid identity; /* that its progress is kept under */
	char identity_text[UUID_TEXT_BYTES];
	char failure[512];
	char hint[256];
	enum exit_code code; /* unless ok */
};

/* What a source could not read: some places of each reason are logged, and in the end how many
 * there were. Zeros at first. */
enum { UNREADABLE_SHOWN = 10, UNREADABLE_REASONS = 16, UNREADABLE_WHY_BYTES = 128 };

struct replay_unreadable {
	uint64_t count; /* places, or records where they can be counted */
	struct {
		char why[UNREADABLE_WHY_BYTES];
		uint64_t places;
	} reasons[UNREADABLE_REASONS]; /* the last one: all others */
};

/* One job: its part of the files. */
struct replay_job {
	const struct config *config;
	const struct replay_options *options;
	struct replay_files files;
	uint32_t number, of;
	struct replay_report report;
	struct replay_unreadable unreadable;
	struct replay_source *source;
	uint64_t seq; /* of the record read last */
	uint64_t furthest;
	PGconn *look; /* beside the pipeline's: where to go on, who else stores messages; or NULL */
	void (*send)(struct replay_job *job); /* the report is news */
	int pipe_fd;                          /* -1 = the only job */
	char asked[2 * SHA256_BYTES + 1];     /* digest of filters and the like */
};

/*
 * cmd_replay_attach.c: makes partitions of all tables that were loaded and that nobody fills any
 * more. What was done is counted up in loads. Whoever reads a table, or works at it, is waited for;
 * whoever fills one, some seconds. False with err (the first) if tables could not be attached:
 * their rows are stored, and the next replay tries again.
 */
MUST_CHECK bool replay_attach(const struct config *config, struct loads *loads, struct error *err);

/* The same for what interrupted replays have left, before one begins. Nobody is waited for. Returns
 * how many tables were attached. */
uint64_t replay_attach_left(const struct config *config);

/* In ingest_progress, of replays. */
#define REPLAY_CLIENT_ID "replay"

/* cmd_replay_position.c: makes report.identity, under which there is a row that says where to go
 * on: at the beginning, or where an earlier run stopped that read the same messages. */
MUST_CHECK bool replay_position_find(struct replay_job *job, struct error *err);

/* Did the database claim what was read? False with err (FATAL) if not; the row says so then. */
MUST_CHECK bool replay_position_settle(struct replay_job *job, struct error *err);

/* cmd_replay_options.c: the arguments. False once it was said what is wrong with them. */
MUST_CHECK bool replay_options_read(struct replay_options *o, int argc, char **argv,
	enum exit_code *code_out);

/* What ended a job, for its report; err gets a hint where it lacks one. */
void replay_report_failure(struct replay_report *report, struct error *err);

/* Stores the job's files; the report says how it went. */
void replay_job_run(struct replay_job *job);

/* Says what would be stored, without a database. */
enum exit_code replay_dry_run(const struct config *config, const struct replay_options *options,
	const struct replay_files *files);

/* Publishes them again, without a database. */
enum exit_code replay_publish(const struct config *config, const struct replay_options *options,
	const struct replay_files *files);

/* The files, read as the options say. */
MUST_CHECK bool replay_open(struct replay_source **out, const struct replay_files *files,
	const struct replay_options *options, struct replay_source_events events,
	struct error *err);

/* Whether a message is among those asked for. */
bool replay_wants(const struct replay_options *options, const struct message *m);

/* Progress and the end, for people or programs. bytes: of all files. */
void replay_show_progress(const struct replay_options *options, const struct replay_report *jobs,
	size_t count, int64_t bytes, int64_t elapsed_us);
void replay_show_summary(const struct replay_options *options, const struct replay_report *jobs,
	size_t count, int64_t elapsed_us);

/* For struct replay_source_events; context: a struct replay_unreadable. */
void replay_on_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why);

/* At the end: the reasons of which not every place was logged. */
void replay_unreadable_end(const struct replay_unreadable *unreadable);

#endif
