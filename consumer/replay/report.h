#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "base/error.h"
#include "base/uuid.h"
#include "copy/attacher.h"

#include <stddef.h>

/* What a replay has done so far, per job. */
enum { REPLAY_JOBS_MAX = 64 };

/* Only counts. */
enum replay_reason {
#define DEAD_LETTERED(name) REPLAY_REASON_##name,
#define SKIPPED(name) REPLAY_REASON_##name,
#define REASON(name, about)
#include "base/reasons.def"
#undef DEAD_LETTERED
#undef SKIPPED
#undef REASON
	REPLAY_REASONS_MAX
};

/* How often each reason occurred. */
struct replay_reasons {
	struct {
		char label[32];
		uint64_t count;
	} items[REPLAY_REASONS_MAX];
	uint32_t count;
};

void replay_reasons_add(struct replay_reasons *reasons, const char *label, uint64_t count);

/* One job's report. Sent over a pipe as it is, since the sender is a fork of the reader. */
struct replay_report {
	uint32_t job;
	bool over, ok;
	bool resumed;
	uint64_t records; /* read in this run */
	int64_t bytes;
	uint64_t unreadable; /* places, or records if they can be counted */
	uint64_t stored, duplicate, dead_lettered, skipped;
	struct replay_reasons dead_reasons, skip_reasons;
	struct loads loads;
	struct uuid identity; /* the key of its progress */
	struct error failure; /* valid unless ok */
};

struct replay_reports {
	struct replay_report jobs[REPLAY_JOBS_MAX];
	size_t count;
	int64_t bytes;    /* size of all files */
	int64_t begun_us; /* monotonic */
};

/* The sum over all jobs; without a failure. */
struct replay_report replay_reports_sum(const struct replay_reports *reports);

#endif
