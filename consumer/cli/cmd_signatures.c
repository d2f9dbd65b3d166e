#include "cli/cli.h"

#include "cli/arguments.h"
#include "cli/period.h"
#include "cli/report.h"
#include "cli/session_signatures.h"
#include "cli/stream.h"

#include <stdio.h>

/* Signed readings, session by session: one query, whose rows session_signatures.h checks. */

static bool signatures_on_row(void *context, PGresult *r, struct error *err)
{
	struct session_signatures *sessions = context;

	if (PQntuples(r) > 0)
		return session_signatures_take(sessions, r, err);
	PQclear(r);
	return session_signatures_end(sessions, err);
}

static bool signatures_print(const struct period *period, const char *station, bool all,
	struct session_signatures *sessions, PGconn *conn, struct error *err)
{
	const char *params[] = {period_parameter(period->from), period_parameter(period->to),
		station, all ? "t" : "f"};

	return pg_exec(conn, STREAM_SETUP, err) && period_set_zone(period, conn, err) &&
	       stream_query(conn, cli_sql("signatures.sql"), 4, params, signatures_on_row, sessions,
		       err);
}

enum exit_code cmd_signatures(const struct config *config, int argc, char **argv)
{
	struct session_signatures_options options = {.keys_path = NULL};
	struct session_signatures *sessions = NULL;
	struct pg_options pg = cli_pg_options(config);
	struct period period = {.given_from = NULL};
	static const char *const words[] = {"check", NULL};
	const char *station = NULL;
	bool all = false, csv = false, json = false, ok, wrong;
	const struct argument arguments[] = {
		PERIOD_ARGUMENTS(period),
		{.name = "--station", .text = &station},
		{.name = "--keys", .text = &options.keys_path},
		{.name = "--all", .given = &all},
		{.name = "--wrong", .given = &options.only_wrong},
		{.name = "--csv", .given = &csv},
		{.name = "--json", .given = &json},
	};
	struct error err;
	PGconn *conn;

	if (!arguments_take("signatures", arguments, 9, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	if (arguments_choose("signatures", words, argc, argv) < 0)
		return EXIT_CODE_USAGE;
	if (!period_read(&period, &err))
		return cli_fail(EXIT_CODE_USAGE, &err);
	if (csv && json)
		return cli_usage("signatures", "say --csv or --json");
	options.form = csv ? REPORT_CSV : json ? REPORT_JSON : REPORT_TABLE;
	if (!session_signatures_new(&sessions, &options, &err))
		return cli_fail(EXIT_CODE_USAGE, &err);
	conn = cli_connect(config, &pg, &err);
	if (conn == NULL) {
		session_signatures_free(&sessions);
		return cli_fail_connect(&err);
	}
	ok = signatures_print(&period, station, all, sessions, conn, &err);
	wrong = session_signatures_found_wrong(sessions);
	session_signatures_free(&sessions);
	PQfinish(conn);
	if (!ok)
		return cli_fail_database(&err);
	return wrong ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
