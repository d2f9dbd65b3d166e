#ifndef COPY_METERED_H
#define COPY_METERED_H

#include "copy/batch.h"

/*
 * Which hours of which stations a batch has meter values for, as rows of TABLE_station_hours: what
 * energy_hours has for them is to be computed again. One row for each run of a station's rows on
 * one day, so that one station and day may be there several times. Any thread.
 */
enum {
	/* Beside the hours' bits: an event names the EVSE of a transaction, which meter values of
	 * other hours may lack. */
	METERED_EVSE_NAMED = 1 << 24,
	/* The EVSE of a transaction is no longer known: its meter values may have it. */
	METERED_EVSE_LOST = 1 << 25,
};

struct metered_pairs {
	struct row *const *rows;
	size_t count;
};

struct metered {
	struct row **rows;
	size_t count;
};

/* starts: pairs (TABLE_exchange_pairs) of starts with the results that have their transaction ids;
 * lost_starts: those of which it turns out that the results belong to others.
 * The rows are from the batch's arena; false if it is full. */
MUST_CHECK bool metered_of_batch(struct batch *b, const struct metered_pairs *starts,
	const struct metered_pairs *lost_starts, struct metered *out);

#endif
