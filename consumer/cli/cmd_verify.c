#include "base/escape.h"
#include "cli/arguments.h"
#include "cli/spool.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Does the database have what was received? Do its totals balance, do the rows that others refer to
 * exist, and did it store what the log acknowledged? The log counts what it appends, in the headers
 * of its segments, and the database counts what it claims: neither knows the other's count, so
 * records that fell between the two are found, whatever lost them. If something is wrong, it is
 * reported and *right_out becomes false.
 */
enum { VERIFY_LOG_TRIES = 20 };

/* received = stored + duplicate + dead-lettered + skipped, and rows that others refer to exist. */
static bool verify_balance(PGconn *conn, bool *right_out, struct error *err)
{
	PGresult *r = pg_query(conn, cli_sql("verify_balance.sql"), 0, NULL, err);
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

/* For every log: the database's count against the log's count, as of its last claim. */
static bool verify_claims(PGconn *conn, bool *right_out, struct error *err)
{
	PGresult *r = pg_query(conn, cli_sql("verify_claims.sql"), 0, NULL, err);

	if (r == NULL)
		return false;
	for (int i = 0; i < PQntuples(r); i++) {
		if (!PQgetisnull(r, i, 5)) {
			printf("log %s, up to record %s: somebody has set its progress to record "
			       "%s: NOT BALANCED, nobody claimed what is between; it is corrected "
			       "when a worker next connects\n",
				PQgetvalue(r, i, 0), PQgetvalue(r, i, 5), PQgetvalue(r, i, 1));
			*right_out = false;
			continue;
		}
		printf("log %s, up to record %s: acknowledged %s, claimed %s: NOT BALANCED, ",
			PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2),
			PQgetvalue(r, i, 3));
		if (strcmp(PQgetvalue(r, i, 4), "0") == 0)
			printf("these are not the same records: some are lost\n");
		else
			printf("lost %s\n", PQgetvalue(r, i, 4));
		*right_out = false;
	}
	PQclear(r);
	return true;
}

/* *known_out is false if the database has no progress for that log. */
static bool verify_read_progress(PGconn *conn, const struct uuid *identity, struct position *out,
	bool *known_out, struct error *err)
{
	char text[UUID_TEXT_BYTES];
	const char *params[] = {text};
	PGresult *r;

	uuid_format(identity, text);
	r = pg_query(conn, cli_sql("verify_progress.sql"), 1, params, err);
	if (r == NULL)
		return false;
	*known_out = PQntuples(r) == 1;
	*out = (struct position){.seq = 0};
	if (*known_out) {
		out->seq = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
		out->counted = !PQgetisnull(r, 0, 1);
		out->records = strtoull(PQgetvalue(r, 0, 1), NULL, 10);
		out->digested = !PQgetisnull(r, 0, 2);
		out->digest = (uint64_t)strtoll(PQgetvalue(r, 0, 2), NULL, 10);
		out->digest_from = strtoull(PQgetvalue(r, 0, 3), NULL, 10);
	}
	PQclear(r);
	return true;
}

struct verify_finding {
	struct folder_positions log;
	struct position database;
	bool known; /* the database has its progress */
	bool right;
};

static void verify_judge(struct verify_finding *f)
{
	const struct position *at = &f->log.at, *db = &f->database;

	f->right = true;
	if (!f->known || !db->counted)
		return;
	if (db->seq > f->log.end.seq)
		f->right = !f->log.closed; /* otherwise the next start skips its numbers */
	else if (at->seq == db->seq)
		f->right = !position_differs(at, db);
	else if (at->seq > db->seq && at->counted)
		f->right = at->records == db->records;
}

/* Only reports what is known. */
static void verify_say(const struct verify_finding *f)
{
	const struct position *end = &f->log.end, *at = &f->log.at, *db = &f->database;
	uint64_t waiting = end->records - at->records;
	char text[UUID_TEXT_BYTES];

	uuid_format(&f->log.identity, text);
	printf("log %s: ", text);
	if (f->known && db->seq > end->seq && !f->right) {
		printf("the database has record %" PRIu64 ", the log ends at %" PRIu64
		       ": NOT BALANCED, this is an old copy of the log\n",
			db->seq, end->seq);
	} else if (!f->known) {
		printf("all %" PRIu64 " records wait, the database does not know it yet\n",
			end->seq - at->seq);
	} else if (!end->counted || !at->counted || !db->counted) {
		printf("not counted yet: begun by an older version, or its progress was set by "
		       "hand\n");
	} else {
		printf("acknowledged %" PRIu64 " = claimed %" PRIu64 " + waiting %" PRIu64 ": %s",
			end->records, db->records, waiting,
			f->right ? "balanced\n" : "NOT BALANCED, ");
		if (f->right)
			return;
		if (at->records != db->records)
			printf("lost %" PRId64 "\n", (int64_t)(at->records - db->records));
		else
			printf("record %" PRIu64
			       " of the log is not the one that the database has: "
			       "some are lost, or will be\n",
				db->seq);
	}
}

/* The process that uses the log continues meanwhile: only a lasting difference is a finding. */
static bool verify_look(PGconn *conn, const char *dir, struct verify_finding *out, bool *again_out,
	struct error *err)
{
	bool damaged = false;
	struct folder_events events = {spool_say_damage, &damaged};
	struct folder folder;
	struct position after;
	bool ok;

	if (!folder_list(&folder, dir, err))
		return false;
	ok = folder_positions(&folder, UINT64_MAX, events, &out->log, err) &&
	     verify_read_progress(conn, &out->log.identity, &out->database, &out->known, err) &&
	     folder_positions(&folder, out->database.seq, events, &out->log, err) &&
	     verify_read_progress(conn, &out->log.identity, &after, &out->known, err);
	folder_free(&folder);
	if (!ok)
		return false;
	verify_judge(out);
	*again_out = !out->right && after.seq != out->database.seq;
	return true;
}

/* Checks the log in dir as it is now. Does nothing if there is none. */
static bool verify_log(PGconn *conn, const char *dir, bool *right_out, struct error *err)
{
	struct verify_finding f;
	struct folder folder;
	bool again = true;

	if (!folder_list(&folder, dir, err)) {
		printf("no log in \"");
		(void)escape_print(stdout, slice_from_cstr(dir));
		printf("\" to compare with: --spool.dir says where it is\n");
		return err->kind == ERROR_ABSENT;
	}
	folder_free(&folder);
	for (int i = 0; again && i < VERIFY_LOG_TRIES; i++) {
		if (!verify_look(conn, dir, &f, &again, err) &&
			(err->kind != ERROR_ABSENT || i + 1 == VERIFY_LOG_TRIES))
			return false;
	}
	verify_say(&f);
	*right_out &= f.right;
	return true;
}

enum exit_code cmd_verify(const struct config *config, int argc, char **argv)
{
	struct pg_options options = cli_pg_options(config);
	bool right = true, ok;
	struct error err;
	PGconn *conn;

	if (!arguments_take("verify", NULL, 0, 0, &argc, argv))
		return EXIT_CODE_USAGE;
	conn = cli_connect(config, &options, &err);
	if (conn == NULL)
		return cli_fail_connect(&err);
	if (!pg_check_primary(conn, &err)) {
		PQfinish(conn);
		return cli_fail(EXIT_CODE_DATABASE, &err);
	}
	ok = verify_balance(conn, &right, &err) && verify_claims(conn, &right, &err) &&
	     verify_log(conn, config->spool_dir, &right, &err);
	PQfinish(conn);
	if (!ok)
		return cli_fail_database(&err);
	return right ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
