#ifndef REPLAY_REPLAY_PRIVATE_H
#define REPLAY_REPLAY_PRIVATE_H

#include "base/sha256.h"
#include "replay/replay.h"
#include "replay/unreadable.h"

/* Shared by the files of replay/ only, not by readers/. */

/* The client_id of replays in ingest_progress. */
#define REPLAY_CLIENT_ID "replay"

/* One job: its share of the files. */
struct replay_job {
	const struct config *config;
	const struct pg_options *pg;
	struct replay_request request; /* with its share of the files */
	uint32_t number, of;
	struct replay_report report;
	struct replay_unreadable unreadable;
	struct replay_source *source;
	uint64_t seq; /* of the last record read */
	uint64_t furthest;
	char asked[2 * SHA256_BYTES + 1]; /* digest of filters and the like */

	/* The report has changed: show it, or send it to the process that does. */
	void (*send)(void *context, const struct replay_report *report);
	void *context;
};

/* job.c: stores the job's files; the report has the result. */
void replay_job_run(struct replay_job *job);

/* position.c: sets report.identity, the key of a row that says where to continue: at the beginning,
 * or where an earlier run that read the same messages stopped. */
MUST_CHECK bool replay_position_find(struct replay_job *job, struct error *err);

/* Did the database claim what was read? False with err (FATAL) if not; then the row says so. */
MUST_CHECK bool replay_position_settle(struct replay_job *job, struct error *err);

/* Once everything is stored and visible, the jobs' positions are useless: the next run starts over,
 * and finds duplicates. */
MUST_CHECK bool replay_position_forget(const struct pg_options *pg,
	const struct replay_reports *reports, struct error *err);

/*
 * attach.c: makes partitions of all loaded tables that nobody fills any more. Counts what was done
 * in loads. Waits for anybody who reads or alters a table, and some seconds for anybody who fills
 * one. False with err (the first) if tables could not be attached: their rows are stored, and the
 * next replay tries again.
 */
MUST_CHECK bool replay_attach(const struct pg_options *pg, struct loads *loads, struct error *err);

/* The same for tables that interrupted replays have left, before a replay begins. Waits for nobody.
 * Returns how many tables were attached. */
uint64_t replay_attach_left(const struct pg_options *pg);

#endif
