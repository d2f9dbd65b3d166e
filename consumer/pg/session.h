#ifndef PG_SESSION_H
#define PG_SESSION_H

#include "base/error.h"
#include "pg/connect.h"
#include "pg/run.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One connection to PostgreSQL on the event loop: never waits. It is opened, is given one run of
 * requests (pg/run.h) at a time, and reports the outcome; when the connection is lost it reports
 * that once and closes, and the owner decides when to open it again. All on the loop's thread.
 */
struct pg_session;

struct pg_session_events {
	/* Connected and, unless the options say bare, set up. */
	void (*on_ready)(void *context);
	/* Connection lost or never made. A run in progress is over; err is UNCERTAIN if a COMMIT
	 * was on its way, unless a statement before it took too long. */
	void (*on_lost)(void *context, const struct error *err);
	void *context;
};

MUST_CHECK bool pg_session_new(struct pg_session **out, struct ev_loop *loop,
	const struct pg_options *options, struct pg_session_events events, struct error *err);
void pg_session_free(struct pg_session **session);

/* Takes effect with the next connection; an existing one stays. Not while connecting. The texts of
 * the previous options are no longer needed. FATAL; then nothing is changed. */
MUST_CHECK bool pg_session_reload(struct pg_session *s, const struct pg_options *options,
	struct error *err);

/* Begin to connect. The outcome is always an event, even after an immediate failure. */
void pg_session_open(struct pg_session *s);

/* Close without an event. */
void pg_session_close(struct pg_session *s);

bool pg_session_is_ready(const struct pg_session *s);

/*
 * Do requests[0 .. count) in order; adjacent statements share one round trip. Ends with one call of
 * on_done, with err == NULL if all succeeded; after a failure the rest is not done, and the caller
 * has to roll back an open transaction. Not called if the connection is lost: then on_lost is. The
 * requests must live until then.
 */
void pg_session_run(struct pg_session *s, const struct pg_request *requests, size_t count,
	void (*on_done)(void *context, const struct error *err), void *context);

/* After a failed run: which request failed, and for a COPY the row, from 1 (0 = unknown). If the
 * connection was lost: the request in progress, as far as answers came. */
size_t pg_session_failed_request(const struct pg_session *s);
int64_t pg_session_failed_row(const struct pg_session *s);

/* After a failed run: treats no statement as prepared. The caller has run PG_RECOVER_SQL, or does
 * next. */
void pg_session_forget_statements(struct pg_session *s);
#define PG_RECOVER_SQL "ROLLBACK; DEALLOCATE ALL"

/* If the server sends nothing for this long during a run, the connection counts as lost. */
void pg_session_set_timeout(struct pg_session *s, int64_t timeout_us);

/* The server process's id; 0 if not connected. */
int pg_session_backend_pid(const struct pg_session *s);

#endif
