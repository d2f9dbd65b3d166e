#include "cli/cli.h"

#include "base/embedded.h"
#include "base/escape.h"
#include "cli/verify.h"
#include "pg/pg_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Does the database hold what was sent? Without a ledger: do the totals balance, did the database
 * take what the log acknowledged (cmd_verify_log.c), and is every row readable. With one, written
 * by whoever published (bench/stations/README.md has the format): each fact is looked for, row by
 * row. The comparing is SQL, so that it shares nothing with the code that stored the rows.
 */
extern const struct embedded_file verify_sql_files[];
extern const size_t verify_sql_count;

enum { VERIFY_COPY_BYTES = 256 * 1024 };

static bool verify_run_file(PGconn *conn, const char *name, struct error *err)
{
	for (size_t i = 0; i < verify_sql_count; i++) {
		if (strcmp(verify_sql_files[i].name, name) == 0)
			return pg_exec(conn, verify_sql_files[i].text, err) ||
			       error_prefix(err, "%s", name);
	}
	CHECK(false && "a file that is compiled in");
	return false;
}

PGresult *verify_query_file(PGconn *conn, const char *name, int count, const char *const *params,
	struct error *err)
{
	for (size_t i = 0; i < verify_sql_count; i++) {
		if (strcmp(verify_sql_files[i].name, name) == 0)
			return pg_query(conn, verify_sql_files[i].text, count, params, err);
	}
	CHECK(false && "a file that is compiled in");
	return NULL;
}

/* ---- loading the ledger ---- */

struct verify_copy {
	PGconn *conn;
	char *buffer;
	size_t used;
};

static bool verify_flush(struct verify_copy *c, struct error *err)
{
	if (c->used > 0 && PQputCopyData(c->conn, c->buffer, (int)c->used) != 1)
		return pg_error_from_connection(err, c->conn);
	c->used = 0;
	return true;
}

/* A line in COPY's text format: backslashes doubled, tabs as \t. */
static bool verify_put_line(struct verify_copy *c, const char *line, size_t size, struct error *err)
{
	for (size_t i = 0; i <= size; i++) {
		char ch = i < size ? line[i] : '\n';

		if (c->used + 2 > VERIFY_COPY_BYTES && !verify_flush(c, err))
			return false;
		if (ch == '\\' || ch == '\t') {
			c->buffer[c->used++] = '\\';
			ch = ch == '\t' ? 't' : '\\';
		}
		c->buffer[c->used++] = ch;
	}
	return true;
}

static bool verify_copy_lines(struct verify_copy *c, FILE *file, const char *path,
	struct error *err)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t size;
	bool ok = true;

	while (ok && (size = getline(&line, &room, file)) > 0) {
		if (line[size - 1] != '\n')
			break; /* cut off: whoever wrote it was killed */
		if (size > 1)
			ok = verify_put_line(c, line, (size_t)size - 1, err);
	}
	free(line);
	if (ok && ferror(file))
		ok = error_set_errno(err, ERROR_FATAL, "disk", "could not read \"%s\"", path);
	return ok && verify_flush(c, err);
}

static bool verify_load(PGconn *conn, const char *path, struct error *err)
{
	struct verify_copy c = {.conn = conn, .buffer = malloc(VERIFY_COPY_BYTES)};
	FILE *file = fopen(path, "r");
	PGresult *result;
	bool ok;

	if (file == NULL || c.buffer == NULL) {
		error_set_errno(err, ERROR_FATAL, "disk", "could not open \"%s\"", path);
		if (file != NULL)
			(void)fclose(file);
		free(c.buffer);
		return false;
	}
	result = PQexec(conn, "COPY ledger FROM STDIN");
	ok = PQresultStatus(result) == PGRES_COPY_IN ||
	     pg_error_from_result_or_connection(err, result, conn);
	PQclear(result);
	ok = ok && verify_copy_lines(&c, file, path, err);
	if (ok && PQputCopyEnd(conn, NULL) == 1) {
		result = PQgetResult(conn);
		ok = PQresultStatus(result) == PGRES_COMMAND_OK ||
		     pg_error_from_result_or_connection(err, result, conn);
		PQclear(result);
		while ((result = PQgetResult(conn)) != NULL)
			PQclear(result);
	}
	(void)fclose(file);
	free(c.buffer);
	return ok;
}

/* ---- what was found ---- */

static bool verify_is_zero(const PGresult *r, int row, int column)
{
	return strcmp(PQgetvalue(r, row, column), "0") == 0;
}

static void verify_print_row(const PGresult *r, int row, int columns)
{
	printf("%-22s", PQgetvalue(r, row, 0));
	for (int c = 1; c < columns; c++)
		printf(" %11s", PQgetvalue(r, row, c));
	printf("\n");
}

static bool verify_print_summary(const PGresult *r)
{
	bool right = true;

	printf("%-22s %11s %11s %11s %11s %11s %11s\n", "", "expected", "stored", "lost", "doubled",
		"altered", "unexpected");
	for (int i = 0; i < PQntuples(r); i++) {
		verify_print_row(r, i, 7);
		for (int c = 3; c < 7; c++)
			right &= verify_is_zero(r, i, c);
	}
	return right;
}

static void verify_print_totals(const PGresult *r)
{
	long long sums[4] = {0};

	for (int i = 0; i < PQntuples(r); i++) {
		for (int c = 3; c < 7; c++)
			sums[c - 3] += strtoll(PQgetvalue(r, i, c), NULL, 10);
	}
	printf("lost %lld, doubled %lld, altered %lld, unexpected %lld\n", sums[0], sums[1],
		sums[2], sums[3]);
}

/* Names of stations and ids are in it. */
static void verify_print_example(const PGresult *r, int row)
{
	static const char *const after[] = {" ", ": ", " (message ", "): ", "\n"};
	static const int columns[] = {1, 0, 2, 3, 4};

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		(void)escape_print(stdout, slice_from_cstr(PQgetvalue(r, row, columns[i])));
		printf("%s", after[i]);
	}
}

static bool verify_ledger(PGconn *conn, const char *path, bool *right_out, struct error *err)
{
	PGresult *summary, *examples;

	if (!verify_run_file(conn, "verify_tables.sql", err) || !verify_load(conn, path, err) ||
		!verify_run_file(conn, "verify_expected.sql", err) ||
		!verify_run_file(conn, "verify_stored.sql", err) ||
		!verify_run_file(conn, "verify_compare.sql", err))
		return false;
	summary = verify_query_file(conn, "verify_summary.sql", 0, NULL, err);
	examples = summary == NULL ? NULL
				   : verify_query_file(conn, "verify_examples.sql", 0, NULL, err);
	if (examples == NULL) {
		PQclear(summary);
		return false;
	}
	*right_out = verify_print_summary(summary);
	verify_print_totals(summary);
	for (int i = 0; i < PQntuples(examples); i++)
		verify_print_example(examples, i);
	PQclear(summary);
	PQclear(examples);
	return true;
}

/* received = stored + duplicate + dead-lettered + skipped, and what the rows refer to is there. */
static bool verify_balance(PGconn *conn, bool *right_out, struct error *err)
{
	PGresult *r = verify_query_file(conn, "verify_balance.sql", 0, NULL, err);
	long long n[9];

	if (r == NULL)
		return false;
	for (int i = 0; i < 9; i++)
		n[i] = strtoll(PQgetvalue(r, 0, i), NULL, 10);
	PQclear(r);
	printf("received %lld = stored %lld + duplicate %lld + dead-lettered %lld + skipped %lld: "
	       "%s\n",
		n[0], n[1], n[2], n[3], n[4],
		n[0] == n[1] + n[2] + n[3] + n[4] ? "balanced" : "NOT BALANCED");
	printf("records lost to gaps %lld, dead letters kept %lld, layouts missing %lld\n", n[5],
		n[6], n[7]);
	if (n[8] > 0)
		printf("%lld tables of an interrupted replay hold rows that are not visible yet: "
		       "any replay attaches them\n",
			n[8]);
	*right_out &= n[0] == n[1] + n[2] + n[3] + n[4] && n[5] == 0 && n[7] == 0;
	return true;
}

enum exit_code cmd_verify(const struct config *config, int argc, char **argv)
{
	struct pg_options options = cli_pg_options(config);
	const char *ledger = NULL;
	bool right = true, ok;
	struct error err;
	PGconn *conn;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--ledger") == 0 && i + 1 < argc)
			ledger = argv[++i];
		else
			return cli_usage("verify", "\"%s\" is not understood", argv[i]);
	}
	conn = pg_connect(&options, &err);
	if (conn == NULL)
		return cli_fail(EXIT_CODE_DATABASE, &err);
	ok = verify_balance(conn, &right, &err) && verify_claims(conn, &right, &err) &&
	     verify_log(conn, config->spool_dir, &right, &err) &&
	     (ledger == NULL || verify_ledger(conn, ledger, &right, &err));
	PQfinish(conn);
	if (!ok)
		return cli_fail_database(&err);
	return right ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
