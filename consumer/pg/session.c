#include "pg/session.h"

#include "base/clock.h"
#include "pg/hosts.h"
#include "pg/pg_error.h"
#include "pg/tls_verdict.h"

#include <stdlib.h>

enum { PG_SESSION_STATEMENTS_MAX = 64, PG_SESSION_REQUESTS_MAX = 64, PG_SESSION_PARAMS_MAX = 64 };

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
	const struct pg_statement *prepared[PG_SESSION_STATEMENTS_MAX];
	size_t prepared_count;

	/* The current run. */
	const struct pg_request *requests;
	size_t count;
	size_t at;       /* request that results belong to */
	size_t pipeline; /* requests sent as a pipeline */
	int result_number;
	uint64_t prepares; /* pipeline: bit i = request i was sent with its preparation before it */
	bool preparing;    /* the next result belongs to such a preparation */
	bool copying;
	bool commit_sent;
	size_t commit_at; /* the request that commits, once it is sent */
	bool failed;
	struct error failure;
	size_t failed_request;
	int64_t failed_row;
	void (*on_done)(void *context, const struct error *err);
	void *done_context;
};

static void session_start_next(struct pg_session *s);
static void session_progress(struct pg_session *s);

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
	return s->failed_request;
}

int64_t pg_session_failed_row(const struct pg_session *s)
{
	return s->failed_row;
}

void pg_session_forget_statements(struct pg_session *s)
{
	s->prepared_count = 0;
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
	s->prepared_count = 0;
	s->pipeline = 0;
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
	return s->state == SESSION_RUNNING && s->commit_sent &&
	       (!err->slow || s->at >= s->commit_at);
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
	s->conn = pg_hosts_start(s->hosts, &s->failure);
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
	else if (s->conn == NULL || (s->failed && s->state == SESSION_SETUP))
		err = s->failure;
	else if (s->state == SESSION_CONNECTING)
		session_refused(s, &err);
	else
		pg_error_from_connection(&err, s->conn);
	if (session_is_uncertain(s, &err)) {
		err.kind = ERROR_UNCERTAIN;
		if (err.slow)
			error_hint(&err,
				"COMMIT does not end: where synchronous_standby_names is set, see "
				"whether a standby is there");
	}
	if (s->state == SESSION_RUNNING && !s->failed)
		s->failed_request = s->at;
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

static void session_finish(struct pg_session *s)
{
	void (*on_done)(void *, const struct error *) = s->on_done;
	bool setup = s->state == SESSION_SETUP;

	if (setup && s->failed) {
		session_lost(s, NULL);
		return;
	}
	s->state = SESSION_READY;
	ev_timer_stop(s->loop, &s->timer);
	session_watch(s, EV_READ);
	if (setup) {
		pg_hosts_taken(s->hosts);
		s->events.on_ready(s->events.context);
	} else {
		on_done(s->done_context, s->failed ? &s->failure : NULL);
	}
}

static void session_poll_connect(struct pg_session *s)
{
	static const struct pg_request none;
	PostgresPollingStatusType status = PQconnectPoll(s->conn);

	switch (status) {
	case PGRES_POLLING_READING:
		session_watch(s, EV_READ);
		return;
	case PGRES_POLLING_WRITING:
		session_watch(s, EV_WRITE);
		return;
	case PGRES_POLLING_OK:
		(void)PQsetErrorVerbosity(s->conn, PQERRORS_DEFAULT);
		s->state = SESSION_SETUP;
		s->failed = !pg_check_encoding(s->conn, &s->failure);
		if (s->failed) {
			session_lost(s, NULL);
			return;
		}
		if (PQsetnonblocking(s->conn, 1) != 0) {
			session_lost(s, NULL);
			return;
		}
		if (s->options.bare) {
			session_finish(s);
			return;
		}
		if (PQsendQuery(s->conn, s->setup_sql) != 1) {
			session_lost(s, NULL);
			return;
		}
		s->requests = &none;
		s->count = 1;
		s->at = 0;
		s->pipeline = 0;
		s->failed = s->copying = s->commit_sent = false;
		session_progress(s);
		return;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	session_lost(s, NULL);
}

/* ---- running ---- */

void pg_session_run(struct pg_session *s, const struct pg_request *requests, size_t count,
	void (*on_done)(void *context, const struct error *err), void *context)
{
	CHECK(s->state == SESSION_READY && count > 0);
	s->prepares = 0;
	s->state = SESSION_RUNNING;
	s->requests = requests;
	s->count = count;
	s->at = 0;
	s->pipeline = 0;
	s->failed = s->copying = s->commit_sent = false;
	s->failed_request = 0;
	s->failed_row = 0;
	s->on_done = on_done;
	s->done_context = context;
	session_start_timer(s, s->timeout_us);
	session_start_next(s);
}

static bool session_is_prepared(const struct pg_session *s, const struct pg_statement *statement)
{
	for (size_t i = 0; i < s->prepared_count; i++) {
		if (s->prepared[i] == statement)
			return true;
	}
	return false;
}

static void session_note_commit(struct pg_session *s, const struct pg_request *r, size_t index)
{
	if (!r->commits)
		return;
	s->commit_sent = true;
	s->commit_at = index;
}

/* Adds one statement to the pipeline, and before it its preparation if this connection lacks it. */
static bool session_send_statement(struct pg_session *s, const struct pg_request *r, size_t index)
{
	int formats[PG_SESSION_PARAMS_MAX];

	CHECK(r->params.count <= PG_SESSION_PARAMS_MAX && index < PG_SESSION_REQUESTS_MAX);
	for (int i = 0; i < r->params.count; i++)
		formats[i] = 1;
	/* Otherwise the server holds back answers until the end of the pipeline. */
	if (s->pipeline > 0 && (r->marked || r->commits || s->requests[index - 1].marked) &&
		PQsendFlushRequest(s->conn) != 1)
		return false;
	if (!session_is_prepared(s, r->statement)) {
		CHECK(s->prepared_count < PG_SESSION_STATEMENTS_MAX);
		if (PQsendPrepare(s->conn, r->statement->name, r->statement->sql, 0, NULL) != 1)
			return false;
		s->prepares |= UINT64_C(1) << index;
		s->prepared[s->prepared_count++] = r->statement;
	}
	session_note_commit(s, r, index);
	return PQsendQueryPrepared(s->conn, r->statement->name, r->params.count, r->params.values,
		       r->params.lengths, formats, 1) == 1;
}

/* The next result is that of preparing the request, or of the request itself. */
static void session_expect(struct pg_session *s)
{
	s->preparing = (s->prepares >> s->at & 1) != 0;
	s->result_number = 0;
}

/* All requests from here on that are statements, together. */
static bool session_send_pipeline(struct pg_session *s)
{
	if (PQenterPipelineMode(s->conn) != 1)
		return false;
	for (; s->at + s->pipeline < s->count; s->pipeline++) {
		const struct pg_request *r = &s->requests[s->at + s->pipeline];

		if (r->statement == NULL)
			break;
		if (!session_send_statement(s, r, s->at + s->pipeline))
			return false;
	}
	session_expect(s);
	return PQpipelineSync(s->conn) == 1;
}

static void session_start_next(struct pg_session *s)
{
	const struct pg_request *r;
	bool sent;

	if (s->at == s->count || s->failed) {
		session_finish(s);
		return;
	}
	r = &s->requests[s->at];
	s->preparing = false; /* a lost connection may have left it set */
	s->result_number = 0;
	s->pipeline = 0;
	if (r->statement != NULL) {
		sent = session_send_pipeline(s);
	} else {
		sent = PQsendQuery(s->conn, r->sql) == 1;
		session_note_commit(s, r, s->at);
	}
	if (sent)
		session_progress(s);
	else
		session_lost(s, NULL);
}

enum session_copy { COPY_BLOCKED, COPY_ENDED, COPY_LOST };

/* Feed COPY data until the socket is full or the data ends. */
static enum session_copy session_copy(struct pg_session *s)
{
	const struct pg_request *r = &s->requests[s->at];
	struct slice chunk;

	for (;;) {
		int unsent = PQflush(s->conn);

		if (unsent != 0)
			return unsent > 0 ? COPY_BLOCKED : COPY_LOST;
		if (!r->copy_next(r->copy_context, &chunk)) {
			s->copying = false;
			return PQputCopyEnd(s->conn, NULL) == 1 ? COPY_ENDED : COPY_LOST;
		}
		if (PQputCopyData(s->conn, (const char *)chunk.data, (int)chunk.size) != 1)
			return COPY_LOST;
	}
}

static void session_fail(struct pg_session *s, const PGresult *result)
{
	if (s->failed)
		return; /* the first failure counts */
	s->failed = true;
	pg_error_from_result(&s->failure, result);
	s->failed_request = s->at;
	s->failed_row = pg_error_copy_row(result);
}

static void session_take_result(struct pg_session *s, PGresult *result)
{
	const struct pg_request *r = &s->requests[s->at];

	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
		if (!s->preparing && r->on_result != NULL && !s->failed &&
			!r->on_result(r->context, result, s->result_number, &s->failure)) {
			s->failed = true;
			s->failed_request = s->at;
		}
		s->result_number++;
		break;
	case PGRES_COPY_IN:
		CHECK(r->copy_next != NULL);
		/* on_result() may have refused an earlier result. */
		if (s->failed)
			(void)PQputCopyEnd(s->conn, "cancelled");
		else
			s->copying = true;
		break;
	case PGRES_PIPELINE_ABORTED:
		break; /* after a failure */
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_FATAL_ERROR:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_PIPELINE_SYNC:
		session_fail(s, result);
		break;
	}
}

/* The end of one command's results. */
static void session_end_command(struct pg_session *s)
{
	if (s->preparing) {
		s->preparing = false;
		s->result_number = 0;
		return;
	}
	s->at++;
	session_expect(s);
}

/* True when the current query or pipeline is over. */
static bool session_read(struct pg_session *s)
{
	while (!s->copying && !PQisBusy(s->conn)) {
		PGresult *result = PQgetResult(s->conn);

		if (result == NULL && PQpipelineStatus(s->conn) == PQ_PIPELINE_OFF) {
			s->at++;
			return true;
		}
		if (result == NULL) {
			session_end_command(s);
			continue;
		}
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
			PQclear(result);
			(void)PQexitPipelineMode(s->conn);
			return true;
		}
		session_take_result(s, result);
		PQclear(result);
	}
	return false;
}

/* Answers that came before the connection ended say how far the pipeline got. */
static void session_read_last(struct pg_session *s)
{
	bool answered = false;

	while (s->pipeline > 0 && s->at < s->count && !PQisBusy(s->conn)) {
		PGresult *result = PQgetResult(s->conn);
		ExecStatusType status = PQresultStatus(result);
		bool none = result == NULL;

		PQclear(result);
		if (none && answered)
			session_end_command(s);
		else if (none || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK))
			return;
		answered = !none;
	}
}

static void session_progress(struct pg_session *s)
{
	bool over = false;
	int unsent;

	for (;;) {
		enum session_copy copy = s->copying ? session_copy(s) : COPY_ENDED;

		if (copy == COPY_LOST) {
			session_lost(s, NULL);
			return;
		}
		if (copy == COPY_BLOCKED)
			break;
		over = session_read(s);
		if (over || !s->copying)
			break;
	}
	if (PQstatus(s->conn) == CONNECTION_BAD) {
		session_lost(s, NULL);
		return;
	}
	if (over) {
		session_start_next(s);
		return;
	}
	unsent = PQflush(s->conn);
	if (unsent < 0)
		session_lost(s, NULL);
	else
		session_watch(s, EV_READ | (unsent > 0 || s->copying ? EV_WRITE : 0));
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
			session_read_last(s);
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
	session_progress(s);
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
