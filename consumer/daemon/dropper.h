#ifndef DAEMON_DROPPER_H
#define DAEMON_DROPPER_H

#include "base/error.h"
#include "pg/connect.h"
#include "rows/table.h"

#include <ev.h>
#include <stdint.h>

/*
 * Drops partitions that are older than their table keeps rows, on a connection of its own, which is
 * open only while there is something to do: at the start and then every hour. Partitions are
 * retired, which fails rather than keep writers waiting, and dropped, one after the other
 * (retention/retire.h); a table that somebody else is using is tried again seconds
 * later. Of several workers, and of commands that do the same, only one does it at a time. All on
 * the loop's thread.
 */
struct dropper;

/* retention_us: by table; 0 = rows are kept for ever. */
MUST_CHECK bool dropper_new(struct dropper **out, struct ev_loop *loop, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err);
/* Other ages, or another way to the database: it looks again at once, on another connection. What
 * the server is at for the one before it ends by itself. FATAL. */
MUST_CHECK bool dropper_reload(struct dropper *d, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err);
/* It leaves the database alone while it is held; after that it looks again at once. */
void dropper_hold(struct dropper *d, bool held);
void dropper_free(struct dropper **dropper);

#endif
