#ifndef COPY_COLLECTOR_H
#define COPY_COLLECTOR_H

#include "base/error.h"
#include "pg/session.h"

#include <ev.h>
#include <stdbool.h>

/*
 * Merges what batches have added to station_changes into station_activity (writer_stations.c), and
 * then computes the energy of hours that have new meter values, on a connection of its own: with
 * many stations it takes seconds, and no batch should wait for that.
 * The connection is open only while it works. Of several workers one does it, and the others find
 * nothing to do. What fails is left for the next time. All on the loop's thread.
 */
struct collector;

/* energy_after_us: an hour is computed that long after its first new meter value; 0 = never. */
MUST_CHECK bool collector_new(struct collector **out, struct ev_loop *loop,
	const struct pg_options *pg, int64_t energy_after_us, struct error *err);
void collector_free(struct collector **collector);

/* A new way to the database, from the next time on. Work in progress is given up. FATAL. */
MUST_CHECK bool collector_reload(struct collector *c, const struct pg_options *pg,
	int64_t energy_after_us, struct error *err);

/* Do it, unless it is in progress. */
void collector_wake(struct collector *c);

#endif
