#include "pg/connect.h"

#include "base/clock.h"
#include "pg/connect_private.h"
#include "pg/libpq_options.h"
#include "pg/pg_error.h"
#include "pg/tls_verdict.h"

#include <stdio.h>
#include <string.h>

void pg_keyword(struct pg_keywords *k, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	CHECK(k->count < PG_KEYWORDS_MAX);
	k->names[k->count] = name;
	k->values[k->count++] = value;
	k->names[k->count] = k->values[k->count] = NULL;
}

static void pg_target_parsed(struct pg_keywords *k, const PQconninfoOption *parsed)
{
	for (const PQconninfoOption *o = parsed; o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "host") != 0 && strcmp(o->keyword, "hostaddr") != 0 &&
			strcmp(o->keyword, "port") != 0)
			pg_keyword(k, o->keyword, o->val);
	}
}

/* Several hosts, and nothing says which kind is wanted: libpq is to find the right one. */
static bool target_is_any_of_several(const struct pg_options *o)
{
	bool has_url = o->url != NULL && o->url[0] != '\0';
	PQconninfoOption *url = has_url ? PQconninfoParse(o->url, NULL) : NULL;
	PQconninfoOption *defaults = PQconndefaults();
	const char *host = has_url ? libpq_option(url, "host") : o->host;
	const char *hostaddr = libpq_option(url, "hostaddr");
	bool several;

	if (host[0] == '\0' && hostaddr[0] == '\0')
		host = libpq_option(defaults, "host");
	several = (strchr(host, ',') != NULL || strchr(hostaddr, ',') != NULL) &&
		  libpq_option(url, "target_session_attrs")[0] == '\0' &&
		  strcmp(libpq_option(defaults, "target_session_attrs"), PG_DEFAULT_ATTRS) == 0;
	PQconninfoFree(url);
	PQconninfoFree(defaults);
	return several;
}

void pg_target_init(struct pg_target *t, const struct pg_options *o, const PQconninfoOption *parsed)
{
	struct pg_keywords *k = &t->keywords;

	k->count = 0;
	snprintf(t->port, sizeof(t->port), "%lld", (long long)o->port);
	snprintf(t->timeout, sizeof(t->timeout), "%lld",
		(long long)(o->connect_timeout_us / US_PER_SECOND));
	pg_keyword(k, "fallback_application_name", o->application);
	pg_keyword(k, "connect_timeout", t->timeout);
	/* Notices within a minute that the peer is gone, even in the middle of a batch. */
	pg_keyword(k, "keepalives_idle", "10");
	pg_keyword(k, "keepalives_interval", "5");
	pg_keyword(k, "keepalives_count", "3");
	pg_keyword(k, "tcp_user_timeout", "30000");
	pg_keyword(k, "client_encoding", "UTF8");
	if (parsed != NULL) {
		pg_target_parsed(k, parsed);
		return;
	}
	if (target_is_any_of_several(o))
		pg_keyword(k, "target_session_attrs", PG_SEVERAL_ATTRS);
	if (o->url != NULL && o->url[0] != '\0') {
		pg_keyword(k, "dbname", o->url); /* expanded; overrides what is above */
		return;
	}
	pg_keyword(k, "host", o->host);
	pg_keyword(k, "port", t->port);
	pg_keyword(k, "dbname", o->database);
	pg_keyword(k, "user", o->user);
	pg_keyword(k, "password", o->password);
	pg_keyword(k, "sslmode", o->ssl_mode);
	pg_keyword(k, "sslrootcert", o->ssl_root_cert);
	pg_keyword(k, "sslcert", o->ssl_cert);
	pg_keyword(k, "sslkey", o->ssl_key);
}

PGconn *pg_connect_checked(PGconn *conn, struct error *err)
{
	if (conn == NULL) {
		error_set(err, ERROR_TRANSIENT, REASON_memory,
			"out of memory connecting to PostgreSQL");
	} else if (PQstatus(conn) == CONNECTION_BAD) {
		pg_error_from_connection(err, conn);
		pg_tls_verdict(conn, err);
		PQfinish(conn);
		conn = NULL;
	}
	return conn;
}

PGconn *pg_connect_start(const struct pg_options *o, struct error *err)
{
	struct pg_target t;

	pg_target_init(&t, o, NULL);
	return pg_connect_checked(PQconnectStartParams(t.keywords.names, t.keywords.values, 1),
		err);
}

bool pg_pooling_error(struct error *err)
{
	error_set(err, ERROR_FATAL, REASON_database_pooling,
		"transaction pooling cannot be used: the pooler gives each transaction to another "
		"session of the server");
	return error_hint(err, "use session pooling or a direct connection");
}

bool pg_pooling_unknown(struct error *err, const struct error *why)
{
	if (!pg_error_is_refusal(why)) {
		*err = *why;
		return error_prefix(err, "looking for a pooler, with a second connection");
	}
	error_set(err, ERROR_TRANSIENT, REASON_connection,
		"the pooler refuses a second connection, which is needed for a moment to see "
		"whether it pools transactions: %s",
		why->message);
	error_needs_person(err);
	return error_hint(err,
		"leave room for one more client (PgBouncer: max_client_conn), or connect "
		"directly");
}

const char *pg_schema_quoted(const struct pg_options *o, char out[static PG_SCHEMA_BYTES])
{
	char *at = out;

	*at++ = '"';
	for (const char *p = o->schema; *p != '\0' && at < out + PG_SCHEMA_BYTES - 3; p++) {
		if (*p == '"')
			*at++ = '"';
		*at++ = *p;
	}
	*at++ = '"';
	*at = '\0';
	return out;
}

void pg_setup_sql(const struct pg_options *o, char out[static PG_SETUP_BYTES])
{
	char quoted[PG_SCHEMA_BYTES];

	/* Our commits need read committed whatever the role's default is: the claim waits for
	 * another transaction's row lock, and must then see what that one committed. */
	snprintf(out, PG_SETUP_BYTES,
		"SET search_path = %s; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; "
		"SET client_min_messages = warning; "
		"SET default_transaction_isolation = 'read committed'",
		pg_schema_quoted(o, quoted));
}

bool pg_check_encoding(const PGconn *conn, struct error *err)
{
	const char *encoding = PQparameterStatus(conn, "server_encoding");
	const char *name = PQdb(conn);

	if (encoding == NULL || strcmp(encoding, "UTF8") == 0)
		return true;
	error_set(err, ERROR_FATAL, REASON_database_encoding,
		"database \"%.64s\" has the encoding %s, which cannot hold all that stations send; "
		"UTF8 is needed",
		name == NULL ? "" : name, encoding);
	return error_hint(err,
		"CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0; move what is in this one "
		"there with pg_dump --encoding=UTF8");
}

const char pg_primary_sql[] = "SELECT pg_is_in_recovery()";

bool pg_judge_primary(const PGresult *result, struct error *err)
{
	if (*PQgetvalue(result, 0, 0) != 't')
		return true;
	error_set(err, ERROR_TRANSIENT, REASON_read_only,
		"this server is a standby: it accepts no rows, and may not have all of its "
		"primary's");
	return error_hint(err, "connect to the primary; if storage.url names several hosts, it "
			       "is found, unless target_session_attrs says otherwise");
}

void pg_notice_ignored(void *context, const char *message)
{
	(void)context;
	(void)message;
}

bool pg_exec(PGconn *conn, const char *sql, struct error *err)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		pg_error_from_result_or_connection(err, result, conn);
	PQclear(result);
	return ok;
}

PGresult *pg_query(PGconn *conn, const char *sql, int count, const char *const *params,
	struct error *err)
{
	PGresult *result = PQexecParams(conn, sql, count, NULL, params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	pg_error_from_result_or_connection(err, result, conn);
	PQclear(result);
	return NULL;
}

bool pg_check_primary(PGconn *conn, struct error *err)
{
	PGresult *result = pg_query(conn, pg_primary_sql, 0, NULL, err);
	bool ok = result != NULL && pg_judge_primary(result, err);

	PQclear(result);
	return ok;
}
