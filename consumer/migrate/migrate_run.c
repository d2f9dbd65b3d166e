#include "migrate/migrate_private.h"

#include "migrate/sql_split.h"
#include "pg/connect.h"
#include "pg/pg_error.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* How often a statement that takes its time looks whether it is to end. */
enum { RUN_LOOK_MS = 100 };

static const char NO_TRANSACTION[] = "-- no-transaction";

static bool run_has_transaction(const struct migration_file *file)
{
	size_t size = strlen(NO_TRANSACTION);

	return strncmp(file->text, NO_TRANSACTION, size) != 0 ||
	       strcspn(file->text + size, " \t\r\n") != 0;
}

/* A migration's RAISE WARNING is for the person who runs it. */
static void run_notice(void *context, const PGresult *result)
{
	const struct migrate *m = context;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity != NULL && strcmp(severity, "WARNING") == 0)
		migrate_say(m, "warning: %s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

/* PostgreSQL's own hint, to use CASCADE, would leave the other group's version as if its views
 * existed. */
static void run_hint_dependents(const struct migrate *m, const PGresult *result, struct error *err)
{
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

	if (m->options.group == NULL && err != NULL && pg_error_is_needed(err) && detail != NULL &&
		strstr(detail, " maeve.") != NULL)
		error_hint(err,
			"views of schema maeve are in the way: `ocpp-persister migrate maeve "
			"down`, then this, then `migrate maeve up`; nothing is lost by it");
}

/* PostgreSQL's error, with file and line in front. Returns false. */
static bool run_error(struct migrate *m, const struct migration_file *file,
	const struct sql_statement *statement, const PGresult *result, struct error *err)
{
	const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
	int line = statement->line;

	if (PQresultStatus(result) == PGRES_COPY_IN || PQresultStatus(result) == PGRES_COPY_OUT) {
		error_set(err, ERROR_FATAL, REASON_migration_failed,
			"COPY from or to the client has no data here");
		error_hint(err, "INSERT instead");
	} else {
		pg_error_from_result_or_connection(err, result, m->conn);
	}
	/* A lock is released at some time, a lost connection comes back: retrying may help. */
	if (err != NULL && PQstatus(m->conn) != CONNECTION_BAD)
		error_becomes(err,
			pg_error_is_lock(err) || pg_error_is_deadlock(err) ? ERROR_TRANSIENT
									   : ERROR_FATAL,
			REASON_migration_failed);
	if (position != NULL)
		line = sql_line_at(statement, strtol(position, NULL, 10));
	run_hint_dependents(m, result, err);
	return error_prefix(err, "%s:%d", file->path, line);
}

static void run_cancel(PGconn *conn)
{
	PGcancel *cancel = PQgetCancel(conn);
	char why[256];

	if (cancel != NULL)
		(void)PQcancel(cancel, why, sizeof(why)); /* if it failed: the next time */
	PQfreeCancel(cancel);
}

/* As PQexec(), but that it is cancelled if somebody asks for the end: again and again, since the
 * server drops a request that comes before the statement. */
static PGresult *run_exec(const struct migrate *m, const char *sql, bool may_stop)
{
	PGresult *last = NULL, *result;
	bool lost = PQsendQuery(m->conn, sql) != 1;

	while (!lost && PQisBusy(m->conn)) {
		struct pollfd fd = {PQsocket(m->conn), POLLIN, 0};

		if (poll(&fd, 1, RUN_LOOK_MS) > 0)
			lost = PQconsumeInput(m->conn) != 1;
		else if (may_stop && !migrate_goes_on(m, NULL))
			run_cancel(m->conn);
	}
	while ((result = PQgetResult(m->conn)) != NULL) {
		PQclear(last);
		last = result;
		if (PQresultStatus(last) == PGRES_COPY_IN || PQresultStatus(last) == PGRES_COPY_OUT)
			break;
	}
	return last;
}

static bool run_statement(struct migrate *m, const struct migration_file *file,
	const struct sql_statement *statement, bool may_stop, struct error *err)
{
	char *sql = strndup((const char *)statement->text.data, statement->text.size);
	PGresult *result;
	bool ok;

	if (sql == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory migrating");
	result = run_exec(m, sql, may_stop);
	ok = PQresultStatus(result) == PGRES_COMMAND_OK ||
	     PQresultStatus(result) == PGRES_TUPLES_OK;
	if (!ok && (!may_stop || migrate_goes_on(m, err)))
		run_error(m, file, statement, result, err);
	PQclear(result);
	free(sql);
	return ok;
}

static bool run_statements(struct migrate *m, const struct migration_file *file,
	bool in_transaction, struct error *err)
{
	struct sql_statement statement;
	struct sql_split split;

	sql_split_init(&split, slice_of(file->text, file->size));
	while (sql_split_next(&split, &statement)) {
		if (in_transaction && sql_is_transaction_control(statement.text)) {
			error_set(err, ERROR_FATAL, REASON_migration_failed,
				"%s:%d: a migration may not begin or end transactions", file->path,
				statement.line);
			return error_hint(err,
				"each file is one transaction already; where it must not be one, "
				"its first line is \"%s\"",
				NO_TRANSACTION);
		}
		if ((in_transaction && !migrate_goes_on(m, err)) ||
			!run_statement(m, file, &statement, in_transaction, err))
			return false;
	}
	return true;
}

static void run_rollback(struct migrate *m)
{
	/* The reply does not matter: if this fails, the connection is lost, and the transaction
	 * with it. */
	PQclear(PQexec(m->conn, "ROLLBACK"));
}

/* PostgreSQL's hints are about the statement; without one, say what to do next. */
static bool run_failed(struct error *err)
{
	if (err != NULL && err->hint[0] == '\0')
		error_hint(err, "nothing of this migration was kept, the version is as before; "
				"fix the cause and run the same command again");
	return false;
}

static bool run_in_transaction(struct migrate *m, const struct migration_file *file,
	const struct migrate_state *after, struct error *err)
{
	char begin[512];

	/* pg_temp last: otherwise it is searched first, and a temporary table could stand in for
	 * one of ours. */
	snprintf(begin, sizeof(begin), "BEGIN; SET LOCAL search_path = %s, pg_temp", m->schema);
	if (!pg_exec(m->conn, begin, err)) {
		run_rollback(m);
		return error_prefix(err, "%s", file->path);
	}
	if (!run_statements(m, file, true, err) || !migrate_write(m, after, err)) {
		run_rollback(m);
		return run_failed(err);
	}
	if (pg_exec(m->conn, "COMMIT", err))
		return true;
	error_prefix(err, "%s: could not commit", file->path);
	if (PQstatus(m->conn) != CONNECTION_BAD)
		return run_failed(err);
	return error_hint(err, "`ocpp-persister %s version` tells whether it was kept", m->command);
}

static bool run_without_transaction(struct migrate *m, const struct migration_file *file,
	const struct migrate_state *after, struct error *err)
{
	struct migrate_state during = {after->version, true};
	char setting[512];

	snprintf(setting, sizeof(setting), "SET search_path = %s, pg_temp", m->schema);
	if (!pg_exec(m->conn, setting, err) || !migrate_write(m, &during, err))
		return error_prefix(err, "%s", file->path);
	if (!run_statements(m, file, false, err)) {
		if (PQtransactionStatus(m->conn) != PQTRANS_IDLE)
			run_rollback(m);
		return error_hint(err,
			"the schema is dirty now: undo or finish by hand what the file began, then "
			"`ocpp-persister %s force VERSION` with the version that is true",
			m->command);
	}
	return migrate_write(m, after, err);
}

bool migrate_run_file(struct migrate *m, const struct migration_file *file, int64_t target,
	struct error *err)
{
	struct migrate_state after = {target, false};
	PQnoticeReceiver receiver = PQsetNoticeReceiver(m->conn, run_notice, m);
	bool ok;

	if (run_has_transaction(file))
		ok = run_in_transaction(m, file, &after, err);
	else
		ok = run_without_transaction(m, file, &after, err);
	PQsetNoticeReceiver(m->conn, receiver, NULL);
	return ok;
}
