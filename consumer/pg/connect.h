#ifndef PG_CONNECT_H
#define PG_CONNECT_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * How to reach the database. Text is borrowed and must outlive the connections made with it.
 * Whatever url says goes before the single fields.
 */
struct pg_options {
	const char *url; /* connection string or URL, or "" */
	const char *host;
	const char *database;
	const char *user;
	const char *password; /* "" = as libpq finds it */
	const char *ssl_mode;
	const char *ssl_root_cert;
	const char *ssl_cert;
	const char *ssl_key;
	const char *schema;
	int64_t port;
	int64_t connect_timeout_us;
	const char *application; /* shown in pg_stat_activity */
	bool bare; /* a new connection sets nothing (pg_setup_sql()); that is for its owner */
};

/* Start connecting without waiting. NULL with err if that is impossible (bad string, no memory). */
PGconn *pg_connect_start(const struct pg_options *options, struct error *err);

/*
 * Connect and set the session up, waiting; for the command line. NULL with err on failure.
 * The caller ends it with PQfinish().
 */
PGconn *pg_connect(const struct pg_options *options, struct error *err);

/*
 * False with err (REFUSED) if the schema is there and our role lacks USAGE on it. PostgreSQL leaves
 * such a schema out of the search_path, so that the first statement would fail for a table that
 * "does not exist". pg_connect() asks it itself.
 */
MUST_CHECK bool pg_check_usage(PGconn *conn, const struct pg_options *options, struct error *err);

/*
 * What every connection runs before anything else of ours: search_path (quoted), UTC, and standard
 * settings that our SQL counts on whatever the role's defaults are. It outlives transactions, so
 * only once the connection is known to be a session of the server (pooler.h).
 */
enum { PG_SETUP_BYTES = 512, PG_SCHEMA_BYTES = PG_SETUP_BYTES / 2 };
void pg_setup_sql(const struct pg_options *options, char out[static PG_SETUP_BYTES]);

/* The schema's name, quoted, for a connection without that. Returns out. */
const char *pg_schema_quoted(const struct pg_options *options, char out[static PG_SCHEMA_BYTES]);

/*
 * False with err (FATAL, "database_encoding") for a database that cannot hold every character: what
 * stations send is UTF-8. Every connection asks it once.
 */
MUST_CHECK bool pg_check_encoding(const PGconn *conn, struct error *err);

/*
 * Fills err (FATAL, "database_pooling"): the connection is not a session of its own on
 * the server. pg_connect() looks for that itself; see pooler.h for how it is seen. Returns false.
 */
bool pg_pooling_error(struct error *err);

/*
 * It cannot be seen whether it does, why: a second connection was refused, which a person has to
 * end; or it was cut, which ends by itself. TRANSIENT; false.
 */
bool pg_pooling_unknown(struct error *err, const struct error *why);

/*
 * A standby (a replica, or a primary that was demoted) takes the connection, but no row, and it may
 * not have yet what its primary has: progress that is read there is wrong. So whoever reads
 * progress asks pg_primary_sql first. False with err (TRANSIENT, "read_only"): another server is
 * the primary by now, or this one will be again.
 */
extern const char pg_primary_sql[];
MUST_CHECK bool pg_judge_primary(const PGresult *result, struct error *err);
MUST_CHECK bool pg_check_primary(PGconn *conn, struct error *err); /* waiting */

/* A notice processor that keeps libpq from writing to stderr. */
void pg_notice_ignored(void *context, const char *message);

/* Run SQL and wait; false with err unless every statement succeeds. */
MUST_CHECK bool pg_exec(PGconn *conn, const char *sql, struct error *err);

/* The same with text parameters, for one statement with rows. NULL with err on failure. */
PGresult *pg_query(PGconn *conn, const char *sql, int count, const char *const *params,
	struct error *err);

#endif
