#include "pg/session.h"

#include "base/clock.h"
#include "pg/hosts.h"
#include "pg/pg_error.h"
#include "pg/tls_verdict.h"

#include <stdlib.h>

/*
 *	CLOSED -> CONNECTING -> SETUP -> READY <-> RUNNING
 *	any but CLOSED -> CLOSED, when the connection is lost
 */
enum session_state {
	SESSION_CLOSED,
	SESSION_CONNECTING,
	SESSION_SETUP,
	SESSION_READY,
	SESSION_RUNNING,
};

struct pg_session {
	struct ev_loop *loop;
	struct pg_options options;
	struct pg_session_events events;
	int64_t timeout_us;
	enum session_state state;
	PGconn *conn;
	struct pg_hosts *hosts;
	ev_io io;
	ev_timer timer;
	char setup_sql[PG_SETUP_BYTES];
	struct pg_request setup;  /* runs setup_sql */
	struct error unreachable; /* why there is no connection to wait for */
	struct pg_run run;
	void (*on_done)(void *context, const struct error *err);
	void *done_context;
};

void pg_session_free(struct pg_session **session)
{
	if (*session != NULL) {
		pg_session_close(*session);
		pg_hosts_free(&(*session)->hosts);
	}
	free(*session);
	*session = NULL;
}

void pg_session_set_timeout(struct pg_session *s, int64_t timeout_us)
{
	s->timeout_us = timeout_us;
}

size_t pg_session_failed_request(const struct pg_session *s)
{
	return s->run.failed_request;
}

int64_t pg_session_failed_row(const struct pg_session *s)
{
	return s->run.failed_row;
}

void pg_session_forget_statements(struct pg_session *s)
{
	pg_run_forget_statements(&s->run);
}

bool pg_session_is_ready(const struct pg_session *s)
{
	return s->state == SESSION_READY;
}

int pg_session_backend_pid(const struct pg_session *s)
{
	return s->conn == NULL ? 0 : PQbackendPID(s->conn);
}

void pg_session_close(struct pg_session *s)
{
	ev_io_stop(s->loop, &s->io);
	ev_timer_stop(s->loop, &s->timer);
	if (s->conn != NULL)
		PQfinish(s->conn);
	s->conn = NULL;
	pg_run_forget_statements(&s->run);
	s->state = SESSION_CLOSED;
}

/* ---- connecting ---- */

static void session_start_timer(struct pg_session *s, int64_t us)
{
	ev_timer_stop(s->loop, &s->timer);
	ev_timer_set(&s->timer, (double)us / (double)US_PER_SECOND, 0.);
	ev_timer_start(s->loop, &s->timer);
}

static void session_refused(const struct pg_session *s, struct error *err)
{
	pg_error_from_connecting(err, s->conn);
	pg_tls_note(err);
}

/* COMMIT is on its way, and may succeed. But if it has not begun by our timeout, a statement before
 * it is too slow; the next connection ends that process, or reads that it committed. */
static bool session_is_uncertain(const struct pg_session *s, const struct error *err)
{
	return s->state == SESSION_RUNNING && s->run.commit_sent &&
	       (!err->slow || s->run.at >= s->run.commit_at);
}

static void session_watch(struct pg_session *s, int events)
{
	int fd = PQsocket(s->conn);

	if (ev_is_active(&s->io) && s->io.fd == fd &&
		(s->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(s->loop, &s->io);
	ev_io_set(&s->io, fd, events);
	ev_io_start(s->loop, &s->io);
}

/* The next host, each with its own timeout. */
static void session_try_host(struct pg_session *s)
{
	s->state = SESSION_CONNECTING;
	s->conn = pg_hosts_start(s->hosts, &s->unreachable);
	if (s->conn == NULL) {
		session_start_timer(s, 0);
		return;
	}
	PQsetNoticeProcessor(s->conn, pg_notice_ignored, NULL);
	(void)PQsetErrorVerbosity(s->conn, PQERRORS_VERBOSE); /* pg_error_from_connecting() */
	session_start_timer(s, s->options.connect_timeout_us);
	session_watch(s, EV_WRITE); /* libpq: as if PQconnectPoll() had returned WRITING */
}

/* why: NULL = libpq's error. */
static void session_lost(struct pg_session *s, const struct error *why)
{
	bool connecting = s->state == SESSION_CONNECTING || s->state == SESSION_SETUP;
	struct error err;

	if (why != NULL)
		err = *why;
	else if (s->conn == NULL)
		err = s->unreachable;
	else if (s->state == SESSION_CONNECTING)
		session_refused(s, &err);
	else if (s->state == SESSION_SETUP && s->run.failed)
		err = s->run.failure; /* it says more than that the connection ended then */
	else
		pg_error_from_connection(&err, s->conn);
	if (session_is_uncertain(s, &err)) {
		err.kind = ERROR_UNCERTAIN;
		if (err.slow)
			error_hint(&err,
				"COMMIT does not end: where synchronous_standby_names is set, see "
				"whether a standby is there");
	}
	if (s->state == SESSION_RUNNING && !s->run.failed)
		s->run.failed_request = s->run.at;
	pg_session_close(s);
	if (connecting && pg_hosts_failed(s->hosts, &err)) {
		session_try_host(s);
		return;
	}
	s->events.on_lost(s->events.context, &err);
}

static void session_on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct pg_session *s = w->data;
	struct error err;

	(void)loop;
	(void)events;
	error_set(&err, ERROR_TRANSIENT,
		s->state == SESSION_RUNNING ? REASON_timeout : REASON_connection,
		"no answer from PostgreSQL in time");
	err.slow = true;
	session_lost(s, s->conn == NULL ? NULL : &err);
}

/* Events come from the loop, never from within the caller's own call. */
void pg_session_open(struct pg_session *s)
{
	CHECK(s->state == SESSION_CLOSED);
	pg_hosts_begin_round(s->hosts);
	session_try_host(s);
}

static void session_rest(struct pg_session *s)
{
	s->state = SESSION_READY;
	ev_timer_stop(s->loop, &s->timer);
	session_watch(s, EV_READ);
}

static void session_ready(struct pg_session *s)
{
	session_rest(s);
	pg_hosts_taken(s->hosts);
	s->events.on_ready(s->events.context);
}

static void session_run_ended(struct pg_session *s)
{
	const struct error *failure = s->run.failed ? &s->run.failure : NULL;

	if (s->state == SESSION_RUNNING) {
		session_rest(s);
		s->on_done(s->done_context, failure);
	} else if (failure != NULL) {
		session_lost(s, failure);
	} else {
		session_ready(s);
	}
}

static void session_go_on(struct pg_session *s, enum pg_run_next next)
{
	switch (next) {
	case PG_RUN_WAIT_READ:
		session_watch(s, EV_READ);
		break;
	case PG_RUN_WAIT_BOTH:
		session_watch(s, EV_READ | EV_WRITE);
		break;
	case PG_RUN_ENDED:
		session_run_ended(s);
		break;
	case PG_RUN_LOST:
		session_lost(s, NULL);
		break;
	}
}

static void session_connected(struct pg_session *s)
{
	struct error err;

	(void)PQsetErrorVerbosity(s->conn, PQERRORS_DEFAULT);
	s->state = SESSION_SETUP;
	if (!pg_check_encoding(s->conn, &err))
		session_lost(s, &err);
	else if (PQsetnonblocking(s->conn, 1) != 0)
		session_lost(s, NULL);
	else if (s->options.bare)
		session_ready(s);
	else
		session_go_on(s, pg_run_start(&s->run, s->conn, &s->setup, 1));
}

static void session_poll_connect(struct pg_session *s)
{
	switch (PQconnectPoll(s->conn)) {
	case PGRES_POLLING_READING:
		session_watch(s, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		session_watch(s, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		session_connected(s);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		session_lost(s, NULL);
		break;
	}
}

/* ---- running ---- */

void pg_session_run(struct pg_session *s, const struct pg_request *requests, size_t count,
	void (*on_done)(void *context, const struct error *err), void *context)
{
	CHECK(s->state == SESSION_READY);
	s->state = SESSION_RUNNING;
	s->on_done = on_done;
	s->done_context = context;
	session_start_timer(s, s->timeout_us);
	session_go_on(s, pg_run_start(&s->run, s->conn, requests, count));
}

/* ---- events ---- */

static void session_on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct pg_session *s = w->data;

	(void)loop;
	if (s->state == SESSION_CONNECTING) {
		session_poll_connect(s);
		return;
	}
	if ((events & EV_READ) && PQconsumeInput(s->conn) != 1) {
		if (s->state == SESSION_RUNNING)
			pg_run_read_last(&s->run);
		session_lost(s, NULL);
		return;
	}
	if ((events & EV_READ) && s->state == SESSION_RUNNING)
		session_start_timer(s, s->timeout_us);
	if (s->state == SESSION_READY) {
		/* Not an answer: a notice, or the end of the connection. */
		PGresult *result = PQisBusy(s->conn) ? NULL : PQgetResult(s->conn);

		PQclear(result);
		if (PQstatus(s->conn) == CONNECTION_BAD)
			session_lost(s, NULL);
		return;
	}
	session_go_on(s, pg_run_go_on(&s->run));
}

bool pg_session_reload(struct pg_session *s, const struct pg_options *options, struct error *err)
{
	struct pg_hosts *hosts;

	CHECK(s->state != SESSION_CONNECTING && s->state != SESSION_SETUP);
	if (!pg_hosts_new(&hosts, options, err))
		return false;
	pg_hosts_free(&s->hosts);
	s->hosts = hosts;
	s->options = *options;
	pg_setup_sql(options, s->setup_sql);
	return true;
}

bool pg_session_new(struct pg_session **out, struct ev_loop *loop, const struct pg_options *options,
	struct pg_session_events events, struct error *err)
{
	struct pg_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	s->loop = loop;
	s->options = *options;
	s->events = events;
	s->timeout_us = 60 * US_PER_SECOND;
	s->setup.sql = s->setup_sql;
	pg_setup_sql(options, s->setup_sql);
	ev_init(&s->io, session_on_io);
	ev_init(&s->timer, session_on_timer);
	s->io.data = s->timer.data = s;
	if (!pg_hosts_new(&s->hosts, options, err)) {
		free(s);
		return false;
	}
	*out = s;
	return true;
}
