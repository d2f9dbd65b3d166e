#ifndef REPLAY_DRY_RUN_H
#define REPLAY_DRY_RUN_H

#include "replay/replay.h"
#include "rows/table.h"

/* What a replay would store, and why it would not store the rest, without a database. Blocking. */
struct replay_dry_run {
	uint64_t records, messages, unwanted, unreadable;
	uint64_t rows[TABLE_COUNT];
	struct replay_reasons dead_reasons, skip_reasons;
};

MUST_CHECK bool replay_dry_run(const struct config *config, const struct replay_request *request,
	struct replay_dry_run *out, struct error *err);

#endif
