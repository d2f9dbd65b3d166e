#include "pg/wait.h"

#include "base/clock.h"
#include "pg/hosts.h"
#include "pg/pg_error.h"
#include "pg/tls_verdict.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

enum wait_end { WAIT_READY, WAIT_LATE, WAIT_CANCELLED, WAIT_FAILED };

/* Whole milliseconds, rounded up: rounded down, the last one would be spent in a busy loop. */
static int wait_ms(int64_t deadline_us)
{
	int64_t left = deadline_us - clock_mono_us();

	if (left <= 0)
		return 0;
	left = (left + US_PER_MS - 1) / US_PER_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static enum wait_end wait_socket(PGconn *conn, short events, int64_t deadline_us, int cancel_fd)
{
	for (;;) {
		struct pollfd fds[2] = {{PQsocket(conn), events, 0}, {cancel_fd, POLLIN, 0}};
		int left_ms = wait_ms(deadline_us);
		int ready = poll(fds, 2, left_ms);

		if (ready < 0 && errno != EINTR)
			return WAIT_FAILED;
		if (ready > 0 && fds[1].revents != 0)
			return WAIT_CANCELLED;
		if (ready > 0)
			return WAIT_READY;
		if (ready == 0 && clock_mono_us() >= deadline_us)
			return WAIT_LATE;
	}
}

static bool wait_failed(PGconn *conn, enum wait_end end, const char *late, struct error *err)
{
	switch (end) {
	case WAIT_LATE:
		error_set(err, ERROR_TRANSIENT, REASON_timeout, "%s", late);
		return error_took_too_long(err);
	case WAIT_CANCELLED:
		return error_set(err, ERROR_TRANSIENT, REASON_connection, "closing");
	case WAIT_READY:
	case WAIT_FAILED:
		break;
	}
	return pg_error_from_connection(err, conn);
}

/* ---- connecting ---- */

static bool wait_poll_connect(PGconn *conn, int64_t deadline_us, int cancel_fd, struct error *err)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING; /* where libpq says to begin */

	while (status != PGRES_POLLING_OK) {
		enum wait_end end;

		if (status == PGRES_POLLING_FAILED)
			return pg_error_from_connecting(err, conn);
		end = wait_socket(conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			deadline_us, cancel_fd);
		if (end != WAIT_READY)
			return wait_failed(conn, end,
				"PostgreSQL did not accept the connection in time", err);
		status = PQconnectPoll(conn);
	}
	return true;
}

PGresult *pg_wait_query(PGconn *conn, const char *sql, int64_t deadline_us, struct error *err)
{
	bool broken = false;

	if (PQsendQuery(conn, sql) != 1) {
		pg_error_from_connection(err, conn);
		return NULL;
	}
	return pg_wait_result(conn, deadline_us, &broken, err);
}

static bool wait_setup(PGconn *conn, const char *sql, int64_t deadline_us, struct error *err)
{
	PGresult *result = pg_wait_query(conn, sql, deadline_us, err);

	PQclear(result);
	return result != NULL;
}

static PGconn *wait_connect_host(PGconn *conn, int64_t deadline_us, int cancel_fd,
	struct error *err)
{
	bool ok;

	if (conn == NULL)
		return NULL;
	PQsetNoticeProcessor(conn, pg_notice_ignored, NULL);
	(void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
	ok = wait_poll_connect(conn, deadline_us, cancel_fd, err);
	(void)PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
	if (!ok || !pg_check_encoding(conn, err)) {
		pg_tls_verdict(conn, err);
		PQfinish(conn);
		return NULL;
	}
	return conn;
}

/* The connection has been checked. */
static bool wait_set_up(PGconn *conn, const struct pg_options *options, const char *setup_sql,
	int64_t deadline_us, struct error *err)
{
	char setup[PG_SETUP_BYTES];

	pg_setup_sql(options, setup);
	return wait_setup(conn, setup, deadline_us, err) &&
	       (setup_sql == NULL || wait_setup(conn, setup_sql, deadline_us, err));
}

PGconn *pg_wait_connect(const struct pg_options *options, const char *setup_sql, int64_t timeout_us,
	int cancel_fd, struct error *err)
{
	struct pg_hosts *hosts;
	PGconn *conn;

	if (!pg_hosts_new(&hosts, options, err))
		return NULL;
	pg_hosts_begin_round(hosts);
	do {
		int64_t deadline_us = clock_mono_us() + timeout_us;

		conn = wait_connect_host(pg_hosts_start(hosts, err), deadline_us, cancel_fd, err);
		if (conn != NULL && !options->bare &&
			(!pg_wait_check_pooling(conn, options, timeout_us, cancel_fd, err) ||
				!wait_set_up(conn, options, setup_sql, deadline_us, err))) {
			PQfinish(conn);
			conn = NULL;
		}
	} while (conn == NULL && err->kind != ERROR_FATAL && pg_hosts_failed(hosts, err));
	pg_hosts_free(&hosts);
	return conn;
}

/* ---- poolers ---- */

/* The pooler may serve others between two of our questions, so one answer proves nothing. */
enum { POOLER_ROUNDS = 5 };

/* A pooler with a free process assigns it without delay. */
static const int64_t POOLER_CONNECT_US = 5 * US_PER_SECOND;

/* The server process that serves us now; 0 with err if it does not say. */
static long wait_process(PGconn *conn, int64_t deadline_us, struct error *err)
{
	PGresult *result = pg_wait_query(conn, "SELECT pg_backend_pid()", deadline_us, err);
	long pid = result == NULL ? 0 : strtol(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return pid;
}

/*
 * Asks both in turn. *second_out: the second's last answer, or 0 with why if it gave none. False
 * with err: another process answers on the first each time, or the process of the second does, or
 * the first is lost.
 */
static bool wait_compare(PGconn *conn, PGconn *second, long pid, int64_t timeout_us,
	long *second_out, struct error *why, struct error *err)
{
	for (int i = 0; i < POOLER_ROUNDS; i++) {
		long again;

		*second_out = wait_process(second, clock_mono_us() + timeout_us, why);
		if (*second_out == 0)
			return true;
		again = wait_process(conn, clock_mono_us() + timeout_us, err);
		if (again == 0)
			return false;
		if (again != pid || *second_out == pid)
			return pg_pooling_error(err);
	}
	return true;
}

bool pg_wait_check_pooling(PGconn *conn, const struct pg_options *options, int64_t timeout_us,
	int cancel_fd, struct error *err)
{
	int64_t second_us = timeout_us < POOLER_CONNECT_US ? timeout_us : POOLER_CONNECT_US;
	long pid = wait_process(conn, clock_mono_us() + timeout_us, err), other = 0;
	struct pg_options bare = *options;
	struct error why;
	PGconn *second;
	bool own;

	if (pid == 0)
		return false;
	if (pid == PQbackendPID(conn))
		return true;
	bare.bare = true;
	second = pg_wait_connect(&bare, NULL, second_us, cancel_fd, &why);
	own = second == NULL || wait_compare(conn, second, pid, second_us, &other, &why, err);
	PQfinish(second);
	if (!own)
		return false;
	/* No process in time: each is reserved for its client. */
	return other != 0 || why.slow || pg_pooling_unknown(err, &why);
}

/* ---- answers ---- */

/* Until the next result is available without waiting. */
static bool wait_answer(PGconn *conn, int64_t deadline_us, struct error *err)
{
	for (;;) {
		int unsent = PQflush(conn);
		enum wait_end end;

		if (unsent < 0)
			return pg_error_from_connection(err, conn);
		if (unsent == 0 && !PQisBusy(conn))
			return true;
		end = wait_socket(conn, unsent > 0 ? POLLIN | POLLOUT : POLLIN, deadline_us, -1);
		if (end != WAIT_READY)
			return wait_failed(conn, end, "PostgreSQL did not answer in time", err);
		if (PQconsumeInput(conn) != 1)
			return pg_error_from_connection(err, conn);
	}
}

PGresult *pg_wait_result(PGconn *conn, int64_t deadline_us, bool *broken_out, struct error *err)
{
	PGresult *last = NULL, *result;
	bool ok = true;

	for (;;) {
		ExecStatusType status;

		if (!wait_answer(conn, deadline_us, err)) {
			PQclear(last);
			*broken_out = true;
			return NULL;
		}
		result = PQgetResult(conn);
		if (result == NULL)
			break;
		status = PQresultStatus(result);
		if (ok && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
			ok = pg_error_from_result_or_connection(err, result, conn);
		PQclear(last);
		last = result;
	}
	if (PQstatus(conn) == CONNECTION_BAD)
		*broken_out = true;
	if (ok && last == NULL) {
		pg_error_from_connection(err, conn);
		ok = false;
	}
	if (!ok) {
		PQclear(last);
		return NULL;
	}
	return last;
}

bool pg_wait_is_alive(PGconn *conn)
{
	struct pollfd fd = {PQsocket(conn), POLLIN, 0};

	/* Nothing was asked for, so input is nearly always the last word of a server that is
	 * closing the connection, whose end may still be on its way. */
	return PQstatus(conn) == CONNECTION_OK && poll(&fd, 1, 0) == 0;
}
