#ifndef REPLAY_REPLAY_PRIVATE_H
#define REPLAY_REPLAY_PRIVATE_H

#include "base/sha256.h"
#include "replay/replay.h"
#include "replay/unreadable.h"

/* Shared by the files of replay/ only, not by readers/. */

/* In ingest_progress, of replays. */
#define REPLAY_CLIENT_ID "replay"

/* One job: its part of the files. */
struct replay_job {
	const struct config *config;
	const struct pg_options *pg;
	struct replay_request request; /* with its share of the files */
	uint32_t number, of;
	struct replay_report report;
	struct replay_unreadable unreadable;
	struct replay_source *source;
	uint64_t seq; /* of the record read last */
	uint64_t furthest;
	char asked[2 * SHA256_BYTES + 1]; /* digest of filters and the like */

	/* The report is news: to be shown, or sent to who shows it. */
	void (*send)(void *context, const struct replay_report *report);
	void *context;
};

/* job.c: stores the job's files; the report says how it went. */
void replay_job_run(struct replay_job *job);

/* position.c: makes report.identity, under which there is a row that says where to go on: at the
 * beginning, or where an earlier run stopped that read the same messages. */
MUST_CHECK bool replay_position_find(struct replay_job *job, struct error *err);

/* Did the database claim what was read? False with err (FATAL) if not; the row says so then. */
MUST_CHECK bool replay_position_settle(struct replay_job *job, struct error *err);

/* Once all is stored and visible the jobs' positions are of no use: the next run begins anew, and
 * finds duplicates. */
MUST_CHECK bool replay_position_forget(const struct pg_options *pg,
	const struct replay_reports *reports, struct error *err);

/*
 * attach.c: makes partitions of all tables that were loaded and that nobody fills any more. What
 * was done is counted up in loads. Whoever reads a table, or works at it, is waited for; whoever
 * fills one, some seconds. False with err (the first) if tables could not be attached: their rows
 * are stored, and the next replay tries again.
 */
MUST_CHECK bool replay_attach(const struct pg_options *pg, struct loads *loads, struct error *err);

/* The same for what interrupted replays have left, before one begins. Nobody is waited for. Returns
 * how many tables were attached. */
uint64_t replay_attach_left(const struct pg_options *pg);

#endif
