#include "pg/pg_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What else is known about a class. */
enum pg_trait {
	PG_PLAIN,
	PG_PASSES, /* repeating the call may succeed a moment later */
	PG_MUCH,   /* too much at once */
	PG_SLOW,   /* it took too long */
	PG_OTHER,  /* not in the table: may pass, too */
};

struct pg_class {
	const char *prefix; /* of the SQLSTATE; the first line that matches counts */
	enum error_kind kind;
	enum pg_trait trait;
	enum error_reason code;
};

/*
 * https://www.postgresql.org/docs/15/errcodes-appendix.html. Codes that are not listed are
 * transient: retrying a batch later costs nothing, discarding it does.
 */
static const struct pg_class pg_classes[] = {
	{"08", ERROR_TRANSIENT, PG_PASSES, REASON_connection},
	{"22", ERROR_POISON, PG_PLAIN, REASON_data_refused},
	{"23505", ERROR_TRANSIENT, PG_PLAIN, REASON_duplicate},
	{"23", ERROR_POISON, PG_PLAIN, REASON_constraint},
	{"21", ERROR_POISON, PG_PLAIN, REASON_data_refused}, /* a batch changes one row twice */
	{"25006", ERROR_TRANSIENT, PG_PASSES,
		REASON_read_only},                           /* an old primary, after a failover */
	{"28", ERROR_REFUSED, PG_PLAIN, REASON_refused},     /* password rotated, pg_hba.conf */
	{"3D", ERROR_REFUSED, PG_PLAIN, REASON_refused},     /* no such database */
	{"40", ERROR_TRANSIENT, PG_PASSES, REASON_conflict}, /* deadlock, serialization */
	{"42P01", ERROR_ROUTE, PG_PLAIN,
		REASON_no_table}, /* a partition that was dropped or detached */
	{"42", ERROR_REFUSED, PG_PLAIN,
		REASON_refused}, /* a missing privilege, an unexpected schema */
	{"53200", ERROR_TRANSIENT, PG_MUCH, REASON_too_much}, /* out of memory */
	{"53400", ERROR_TRANSIENT, PG_MUCH, REASON_too_much}, /* temp_file_limit */
	{"53", ERROR_TRANSIENT, PG_PLAIN, REASON_resources},  /* disk full, too many connections */
	{"54", ERROR_POISON, PG_PLAIN, REASON_limit},         /* too long for an index */
	{"55P03", ERROR_TRANSIENT, PG_PASSES, REASON_locked}, /* lock_timeout */
	{"57014", ERROR_TRANSIENT, PG_SLOW,
		REASON_timeout}, /* statement_timeout, or somebody cancelled it */
	{"57", ERROR_TRANSIENT, PG_PASSES, REASON_shutdown}, /* stopped, restarted, cancelled */
	{"58", ERROR_TRANSIENT, PG_PLAIN, REASON_server_io},
	{"P0", ERROR_POISON, PG_PLAIN, REASON_constraint},            /* RAISE in a trigger */
	{"OC001", ERROR_POISON, PG_PLAIN, REASON_partition_detached}, /* ensure_partition() */
	{"OC002", ERROR_ROUTE, PG_PLAIN, REASON_partition_detached},  /* check_attached() */
	{"OC003", ERROR_TRANSIENT, PG_PLAIN, REASON_rows_wait},       /* forbid_loading() */
	{"", ERROR_TRANSIENT, PG_OTHER, REASON_unexpected},
};

/* The class of errors that our own functions raise. */
static const char PG_OURS[] = "OC";

/* What the server keeps answering until a person has acted. Everything else passes: a server that
 * is starting, a lock, a failover. */
static const struct {
	const char *prefix;
	const char *hint; /* if the server has none */
} pg_remedies[] = {
	{"28", "see storage.postgres.user, storage.postgres.password and the server's pg_hba.conf"},
	{"3D", "see storage.postgres.database: there is no such database"},
	{"42", "see the rights of storage.postgres.user, and `ocpp-persister migrate status`"},
	{"53100", "free space on the disk of the database"},
	{"58", "see the disk and the logging of the database server"},
	{"OC001", "attach the table again, or move it to another schema, or drop it"},
};

static const struct pg_class *pg_class_of(const char *sqlstate)
{
	const struct pg_class *c = pg_classes;

	while (strncmp(sqlstate, c->prefix, strlen(c->prefix)) != 0)
		c++;
	return c;
}

enum error_kind pg_error_kind(const char *sqlstate, bool has_constraint, bool has_table)
{
	/*
	 * "violates partition constraint" names a table but no constraint: the row went to a table
	 * that is not what we assumed. A real CHECK has a name, and a trigger that raises this code
	 * names neither.
	 */
	if (strcmp(sqlstate, "23514") == 0 && !has_constraint && has_table)
		return ERROR_ROUTE;
	return pg_class_of(sqlstate)->kind;
}

/* server: the server's own hint, or NULL. */
static void pg_add_remedy(struct error *err, const char *sqlstate, const char *server)
{
	if (server != NULL)
		error_hint(err, "%s", server);
	if (err == NULL || err->kind == ERROR_ROUTE) /* the program looks for another way itself */
		return;
	for (size_t i = 0; i < sizeof(pg_remedies) / sizeof(*pg_remedies); i++) {
		const char *prefix = pg_remedies[i].prefix;

		if (strncmp(sqlstate, prefix, strlen(prefix)) != 0)
			continue;
		error_needs_person(err);
		if (server == NULL)
			error_hint(err, "%s", pg_remedies[i].hint);
	}
}

bool pg_error_from_result(struct error *err, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);

	/* Where in our own functions: that says nothing to the reader. */
	if (state != NULL && strncmp(state, PG_OURS, strlen(PG_OURS)) == 0)
		context = NULL;
	if (state == NULL || primary == NULL) {
		error_set(err, ERROR_TRANSIENT, REASON_connection, "%s",
			PQresultErrorMessage(result));
		if (err != NULL)
			err->message[strcspn(err->message, "\n")] = '\0';
		return false;
	}
	error_set(err,
		pg_error_kind(state, constraint != NULL && *constraint != '\0',
			table != NULL && *table != '\0'),
		pg_class_of(state)->code, "%s%s%s%s%.100s", primary, detail ? ": " : "",
		detail ? detail : "", context ? "; " : "", context ? context : "");
	if (err != NULL) {
		memcpy(err->sqlstate, state, 5);
		err->sqlstate[5] = '\0';
		err->slow = pg_class_of(state)->trait == PG_SLOW;
	}
	pg_add_remedy(err, state, hint);
	return false;
}

static bool pg_is_space(char c)
{
	return c == '\n' || c == '\t' || c == ' ';
}

/* libpq's messages have several lines, with a tab before what explains them: they become
 * sentences. */
static void pg_put_on_one_line(struct error *err)
{
	char text[sizeof(err->message)];
	size_t size = 0, end;

	if (err == NULL)
		return;
	for (end = strlen(err->message); end > 0 && pg_is_space(err->message[end - 1]);)
		end--;
	for (size_t i = 0; i < end && size + 2 < sizeof(text); i++) {
		char c = err->message[i];

		if (c == '\n' && size > 0 && strchr(".?:;,", text[size - 1]) == NULL)
			text[size++] = '.';
		if (!pg_is_space(c))
			text[size++] = c;
		else if (size > 0 && text[size - 1] != ' ')
			text[size++] = ' ';
	}
	memcpy(err->message, text, size);
	err->message[size] = '\0';
}

bool pg_error_from_connection(struct error *err, const PGconn *conn)
{
	error_set(err, ERROR_TRANSIENT, REASON_connection, "%s", PQerrorMessage(conn));
	pg_put_on_one_line(err);
	return false;
}

/* "... FATAL: 28P01: password authentication failed\nLOCATION: ...": the words may be in any
 * language, but the five characters are the same in all. */
static const char *pg_verbose_state(const char *message)
{
	static const char signs[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
		if (strspn(at + 3, signs) == 5 && strncmp(at + 8, ": ", 2) == 0)
			return at + 3;
	}
	return NULL;
}

bool pg_error_from_verbose(struct error *err, const char *message)
{
	const char *state = pg_verbose_state(message);
	char code[6];

	if (state == NULL) {
		/* A server with several addresses is named once for each. */
		error_set(err, ERROR_TRANSIENT, REASON_connection, "%s", message);
		pg_put_on_one_line(err);
		return false;
	}
	memcpy(code, state, 5);
	code[5] = '\0';
	error_set(err, pg_error_kind(code, false, false), pg_class_of(code)->code, "%.*s",
		(int)strcspn(state + 7, "\n"), state + 7);
	if (err != NULL) {
		memcpy(err->sqlstate, code, sizeof(code));
		err->slow = pg_class_of(code)->trait == PG_SLOW;
	}
	pg_add_remedy(err, code, NULL);
	return false;
}

bool pg_error_from_connecting(struct error *err, const PGconn *conn)
{
	return pg_error_from_verbose(err, PQerrorMessage(conn));
}

bool pg_error_from_result_or_connection(struct error *err, const PGresult *result,
	const PGconn *conn)
{
	if (result == NULL || PQstatus(conn) == CONNECTION_BAD)
		return pg_error_from_connection(err, conn);
	return pg_error_from_result(err, result);
}

bool pg_error_is_duplicate(const struct error *err)
{
	return strcmp(err->sqlstate, "23505") == 0;
}

bool pg_error_is_constraint(const struct error *err)
{
	return strncmp(err->sqlstate, "23", 2) == 0;
}

bool pg_error_is_too_much(const struct error *err)
{
	return pg_class_of(err->sqlstate)->trait == PG_MUCH;
}

bool pg_error_is_room(const struct error *err)
{
	return strcmp(err->sqlstate, "53100") == 0 || pg_error_is_too_much(err);
}

bool pg_error_is_other(const struct error *err)
{
	return err->sqlstate[0] != '\0' && pg_class_of(err->sqlstate)->trait == PG_OTHER;
}

bool pg_error_passes(const struct error *err)
{
	enum pg_trait trait = pg_class_of(err->sqlstate)->trait;

	return err->kind == ERROR_TRANSIENT && !err->slow &&
	       (trait == PG_PASSES || trait == PG_OTHER);
}

bool pg_error_may_be_a_row(const struct error *err)
{
	if (err->sqlstate[0] == '\0')
		return false;
	return err->kind == ERROR_ROUTE || strncmp(err->sqlstate, "42", 2) == 0 ||
	       pg_error_is_other(err);
}

bool pg_error_may_be_the_server(const struct error *err)
{
	if (err->sqlstate[0] == '\0' && err->slow)
		return false; /* our own timeout */
	if (err->kind == ERROR_UNCERTAIN)
		return true;
	if ((err->kind != ERROR_TRANSIENT && err->kind != ERROR_REFUSED) ||
		pg_error_is_duplicate(err) || pg_error_may_be_a_row(err))
		return false;
	return err->sqlstate[0] != '\0' || error_about(err) == ABOUT_CONNECTION;
}

bool pg_error_is_refusal(const struct error *err)
{
	return err->sqlstate[0] != '\0' && strncmp(err->sqlstate, "57", 2) != 0;
}

static bool pg_error_is_one_of(const struct error *err, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strncmp(err->sqlstate, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

bool pg_error_is_missing(const struct error *err)
{
	static const char *const states[] = {"42P01", "3F000", "42703", "42883"};

	return pg_error_is_one_of(err, states, sizeof(states) / sizeof(*states));
}

bool pg_error_is_access(const struct error *err)
{
	static const char *const states[] = {"42501", "08", "28", "3D", "57"};

	return pg_error_is_one_of(err, states, sizeof(states) / sizeof(*states)) ||
	       error_about(err) == ABOUT_CONNECTION;
}

bool pg_error_is_denied(const struct error *err)
{
	return strcmp(err->sqlstate, "42501") == 0;
}

bool pg_error_is_of_statement(const struct error *err)
{
	return err->sqlstate[0] != '\0' && !pg_error_may_be_the_server(err);
}

bool pg_error_is_canceled(const struct error *err)
{
	return strcmp(err->sqlstate, "57014") == 0;
}

bool pg_error_is_silence(const struct error *err)
{
	return err->slow && err->sqlstate[0] == '\0' && err->kind != ERROR_UNCERTAIN;
}

bool pg_error_is_needed(const struct error *err)
{
	return strcmp(err->sqlstate, "2BP01") == 0;
}

bool pg_error_is_lock(const struct error *err)
{
	return strcmp(err->sqlstate, "55P03") == 0;
}

bool pg_error_is_deadlock(const struct error *err)
{
	return strcmp(err->sqlstate, "40P01") == 0;
}

int64_t pg_error_copy_row(const PGresult *result)
{
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *at = context == NULL ? NULL : strstr(context, ", line ");

	if (at == NULL || strncmp(context, "COPY ", 5) != 0)
		return 0;
	return strtoll(at + strlen(", line "), NULL, 10);
}
