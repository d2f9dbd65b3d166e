#ifndef DAEMON_MIGRATION_H
#define DAEMON_MIGRATION_H

#include "daemon/settings.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * Brings the schema up to date on a thread of its own, however long that takes: a migration may
 * rewrite large tables, and waits for locks. Meanwhile the loop serves everything else. The thread
 * has its own connection, and shares with the loop only `stop` and, once it has ended, its result.
 *
 * Embedded in the caller's memory; all calls on the loop. If migration_is_running() when the
 * program ends, the settings must not be freed.
 */
struct migration_events {
	/* It has ended; err == NULL: the schema is up to date. STOPPED: it was asked to end. */
	void (*on_end)(void *context, const struct error *err);
	void *context;
};

struct migration {
	struct ev_loop *loop;
	struct migration_events events;
	ev_async ended;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	struct settings *settings; /* in use by the thread; held while it runs */
	bool ok;
	struct error err;
};

void migration_init(struct migration *m, struct ev_loop *loop, struct migration_events events);

/* One at a time. False with err (TRANSIENT) if no thread can be started: then on_end is not
 * called. */
MUST_CHECK bool migration_start(struct migration *m, struct settings *settings, struct error *err);

bool migration_is_running(const struct migration *m);

/* Rolls back the migration in progress; earlier ones stay. on_end follows: within moments, if the
 * server answers. A file without a transaction is completed first. */
void migration_stop(struct migration *m);

#endif
