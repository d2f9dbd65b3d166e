#ifndef PG_RUN_H
#define PG_RUN_H

#include "base/error.h"
#include "base/slice.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One run of requests over a connection, without ever waiting: sends them in order, feeds COPY its
 * data, takes the answers, and finds out which request failed. Adjacent statements share one round
 * trip. After the first failure the rest is not done.
 *
 * A run knows neither loop nor time. Its owner (pg/session.h) watches the socket, calls
 * pg_run_go_on() whenever something can be read or written, and does what that returns. On the
 * owner's thread.
 */

/* A statement with parameters, prepared on each connection when first used. Static data. */
struct pg_statement {
	const char *name; /* of the prepared statement */
	const char *sql;
};

/* Binary parameter; data == NULL is SQL NULL. The SQL states the types ($1::text[]). */
struct pg_params {
	const char *const *values;
	const int *lengths;
	int count;
};

struct pg_request {
	/* Either SQL without parameters, which may be several statements and end in a COPY ...
	 * FROM STDIN; or a statement with binary parameters and binary results. */
	const char *sql;
	const struct pg_statement *statement;
	struct pg_params params;

	bool commits; /* if the connection is lost during this request, the outcome is uncertain */

	/*
	 * If the run stalls, we need to know whether this request has begun, so the server is made
	 * to send its answer, and those before it, without delay. The same goes for the answers
	 * before a commit.
	 */
	bool marked;

	/* COPY data: the next chunk, valid until the next call; false at the end. */
	bool (*copy_next)(void *copy_context, struct slice *chunk_out);
	void *copy_context;

	/*
	 * Called for each successful result; number counts from 0 within the request. The result is
	 * cleared afterwards. Returning false with err ends the run like an error from the server.
	 * May be NULL.
	 */
	bool (*on_result)(void *context, const PGresult *result, int number, struct error *err);
	void *context;
};

enum { PG_RUN_STATEMENTS_MAX = 64 };

/* In the owner's memory, zeroed before the first run; one run after another. The connection and the
 * requests are borrowed for the run. */
struct pg_run {
	PGconn *conn;
	const struct pg_request *requests;
	size_t count;
	size_t at; /* request that results belong to */
	bool commit_sent;
	size_t commit_at; /* the request that commits, once it is sent */
	bool failed;
	struct error failure;  /* if failed */
	size_t failed_request; /* if failed */
	int64_t failed_row;    /* of a COPY, from 1; 0 = unknown */

	/* Its own. */
	size_t pipeline; /* requests sent as a pipeline */
	int result_number;
	uint64_t prepares; /* pipeline: bit i = request i was sent with its preparation before it */
	bool preparing;    /* the next result belongs to such a preparation */
	bool copying;
	const struct pg_statement *prepared[PG_RUN_STATEMENTS_MAX]; /* on this connection */
	size_t prepared_count;
};

/* What the owner is to do next. */
enum pg_run_next {
	PG_RUN_WAIT_READ, /* go on once something can be read */
	PG_RUN_WAIT_BOTH, /* go on once something can be read or written */
	PG_RUN_ENDED,     /* failed says how */
	PG_RUN_LOST,      /* the connection is gone; libpq has its error */
};

/* Begins a run; count > 0. */
enum pg_run_next pg_run_start(struct pg_run *r, PGconn *conn, const struct pg_request *requests,
	size_t count);

/* After PQconsumeInput() if something could be read. */
enum pg_run_next pg_run_go_on(struct pg_run *r);

/* The connection has ended: answers that came before say how far a pipeline got. */
void pg_run_read_last(struct pg_run *r);

/* Treats no statement as prepared: the connection is another, or has none any more. */
void pg_run_forget_statements(struct pg_run *r);

#endif
