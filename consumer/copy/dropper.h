#ifndef COPY_DROPPER_H
#define COPY_DROPPER_H

#include "base/error.h"
#include "pg/connect.h"
#include "rows/table.h"

#include <ev.h>
#include <stdint.h>

/*
 * Drops partitions that are older than their table keeps rows, on a connection of its own, which it
 * has only while there is something to look after: at the start and then each hour. One partition
 * after the other is retired, which fails rather than keep writers waiting, and dropped
 * (migrations/000036_retention.up.sql); a table that somebody else has at the moment is left for
 * another try, seconds later. Of several workers, and of commands that do the same, one at a time
 * does it. All on the loop's thread.
 */
struct dropper;

/* retention_us: of partitioned tables, by their id; 0 = rows are kept. *out is NULL if all are. */
MUST_CHECK bool dropper_new(struct dropper **out, struct ev_loop *loop, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err);
void dropper_free(struct dropper **dropper);

#endif
