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
 * retired, which fails rather than makes writers wait, and then dropped, one at a time
 * (retention/retire.h); a table that somebody else is using is retried seconds later. Of several
 * workers, and of commands that do the same, only one works at a time. All on the loop's thread.
 */
struct dropper;

/* retention_us: by table; 0 = rows are kept forever. */
MUST_CHECK bool dropper_new(struct dropper **out, struct ev_loop *loop, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err);
/* New ages, or a new way to the database: checks again immediately, on a new connection. What the
 * server is doing for the previous connection ends by itself. FATAL. */
MUST_CHECK bool dropper_reload(struct dropper *d, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err);
/* While held, it leaves the database alone; after that it checks immediately. */
void dropper_hold(struct dropper *d, bool held);
void dropper_free(struct dropper **dropper);

#endif
