#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "config/config.h"
#include "decode/message_filter.h"
#include "pg/connect.h"
#include "replay/readers/source.h"
#include "replay/report.h"

/*
 * Feeds old messages from files into the database, through the pipeline of live ones: exactly once,
 * whatever happens, and continuing where an earlier run of the same messages stopped. With several
 * jobs, each is a process with its own share of the files, which has nothing in common with the
 * others but the pipe for reports. Blocking; one thread, in a program that has no other.
 */
struct replay_request {
	struct replay_files files;
	struct lines_pattern pattern; /* for lines; without one: known forms */
	const struct csv_map *csv;    /* NULL = the files are not CSV */
	struct message_filter filter;

	const char *sources; /* the arguments as given, for people */
	int64_t jobs;
	int64_t rate; /* records per second over all jobs; 0 = as fast as possible */
	bool no_bulk; /* rows go straight into partitions */
};

struct replay_events {
	/* The reports have news: now and then, and at the end of each job. */
	void (*on_progress)(void *context, const struct replay_reports *reports);
	void *context;
};

/* Returns once every job is over and what it stored is visible, or one failed: its report says why.
 * False with err if out of memory before the beginning. */
MUST_CHECK bool replay_run(const struct config *config, const struct pg_options *pg,
	const struct replay_request *request, struct replay_events events,
	struct replay_reports *out, struct error *err);

#endif
