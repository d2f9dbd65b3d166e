#ifndef PG_CONNECT_H
#define PG_CONNECT_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * How to reach the database. Text is borrowed and must outlive the connections made with it. What
 * url says takes precedence over the other fields.
 */
struct pg_options {
	const char *url; /* connection string or URL, or "" */
	const char *host;
	const char *database;
	const char *user;
	const char *password; /* "" = wherever libpq finds it */
	const char *ssl_mode;
	const char *ssl_root_cert;
	const char *ssl_cert;
	const char *ssl_key;
	const char *schema;
	int64_t port;
	int64_t connect_timeout_us;
	const char *application; /* shown in pg_stat_activity */
	bool bare;               /* do not run pg_setup_sql() on a new connection; its owner does */
	bool addresses_alike;    /* those of one name are one server: a standby is as good, too */
};

/* Start connecting without waiting. NULL with err if that is impossible (bad string, no memory). */
PGconn *pg_connect_start(const struct pg_options *options, struct error *err);

/* Connect and set up the session, waiting; for the command line. NULL with err on failure. The
 * caller ends it with PQfinish(). */
PGconn *pg_connect(const struct pg_options *options, struct error *err);

/*
 * False with err (REFUSED) if the schema exists and our role lacks USAGE on it. PostgreSQL leaves
 * such a schema out of the search_path, so the first statement would fail because a table "does not
 * exist". pg_connect() checks this itself.
 */
MUST_CHECK bool pg_check_usage(PGconn *conn, const struct pg_options *options, struct error *err);

/*
 * What every connection runs before anything else of ours: search_path (quoted), UTC, and standard
 * settings that our SQL relies on whatever the role's defaults are. The settings outlive
 * transactions, so run it only once the connection is known to be a session of the server
 * (pooler.h).
 */
enum { PG_SETUP_BYTES = 512, PG_SCHEMA_BYTES = PG_SETUP_BYTES / 2 };
void pg_setup_sql(const struct pg_options *options, char out[static PG_SETUP_BYTES]);

/* The schema's name, quoted, for a connection that did not run it. Returns out. */
const char *pg_schema_quoted(const struct pg_options *options, char out[static PG_SCHEMA_BYTES]);

/* False with err (FATAL, "database_encoding") for a database that cannot hold every character:
 * stations send UTF-8. Every connection checks this once. */
MUST_CHECK bool pg_check_encoding(const PGconn *conn, struct error *err);

/* Fills err (FATAL, "database_pooling"): the connection is not a server session of its own.
 * pg_connect() checks this itself; pooler.h explains how. Returns false. */
bool pg_pooling_error(struct error *err);

/*
 * Fills err (TRANSIENT): it cannot be found out whether the connection is a session of its own.
 * why: a second connection was refused, which a person has to resolve, or it was cut off, which
 * passes. Returns false.
 */
bool pg_pooling_unknown(struct error *err, const struct error *why);

/*
 * A standby (a replica, or a demoted primary) accepts the connection, but no rows, and it may lack
 * some of its primary's: progress read there is wrong. So run pg_primary_sql before reading
 * progress. False with err (TRANSIENT, "read_only"): by now another server is the primary, or this
 * one will be again.
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
