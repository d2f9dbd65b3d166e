#include "cli/cli.h"

#include "cli/arguments.h"
#include "cli/period.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Energy per hour: what is pending, or whole days anew, some stations at a time, each in a
 * transaction of its own. Whatever interrupts it, it can be run again. */
struct energy_call {
	PGconn *conn;
	struct period period;
	bool check;
	int64_t days, stations, changed; /* stations: counted once for each day */
	int64_t failed;                  /* of stations */
};

/* ---- what is pending ---- */

static bool energy_fold(struct energy_call *call, struct error *err)
{
	PGresult *r;
	bool more = true;

	while (more) {
		r = pg_query(call->conn, "SELECT fold_station_changes(1000000) >= 1000000", 0, NULL,
			err);
		if (r == NULL)
			return false;
		more = *PQgetvalue(r, 0, 0) == 't';
		PQclear(r);
	}
	return true;
}

/* What was noted by now: beside running workers there is always more. */
static bool energy_pending(struct energy_call *call, const char *noted_before, struct error *err)
{
	bool more = true;
	PGresult *r;

	while (more) {
		r = pg_query(call->conn,
			"SELECT stations, changed, failed, more "
			"FROM refresh_energy($1, wait => true)",
			1, &noted_before, err);
		if (r == NULL)
			return false;
		call->stations += strtoll(PQgetvalue(r, 0, 0), NULL, 10);
		call->changed += strtoll(PQgetvalue(r, 0, 1), NULL, 10);
		call->failed += strtoll(PQgetvalue(r, 0, 2), NULL, 10);
		more = *PQgetvalue(r, 0, 3) == 't';
		PQclear(r);
	}
	return true;
}

static bool energy_refresh(struct energy_call *call, struct error *err)
{
	PGresult *r;
	bool ok;

	if (!energy_fold(call, err))
		return false;
	r = pg_query(call->conn, "SELECT now()", 0, NULL, err);
	if (r == NULL)
		return false;
	ok = energy_pending(call, PQgetvalue(r, 0, 0), err);
	PQclear(r);
	if (!ok)
		return false;
	printf("computed %" PRId64 " station-days: %" PRId64 " rows changed\n", call->stations,
		call->changed);
	if (call->failed > 0)
		printf("%" PRId64 " station-days failed, which are tried again in an hour: "
		       "the database's log says why\n",
			call->failed);
	return true;
}

/* ---- days ---- */

/* The stations after this one, in place; "" once there are no more. */
static bool energy_some(struct energy_call *call, const char *day, char **after, struct error *err)
{
	const char *params[] = {day, *after, call->check ? "t" : "f"};
	PGresult *r = pg_query(call->conn,
		"SELECT stations, changed, last_station FROM recompute_energy($1, $2, $3)", 3,
		params, err);

	if (r == NULL)
		return false;
	call->stations += strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	call->changed += strtoll(PQgetvalue(r, 0, 1), NULL, 10);
	free(*after);
	*after = strdup(PQgetvalue(r, 0, 2));
	PQclear(r);
	return *after != NULL || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

static bool energy_day(struct energy_call *call, const char *name, const char *day,
	struct error *err)
{
	int64_t before = call->changed;
	char *after = strdup("");
	bool ok = after != NULL || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");

	do
		ok = ok && energy_some(call, day, &after, err);
	while (ok && *after != '\0');
	free(after);
	call->days++;
	if (ok && call->changed > before)
		printf("%s: %" PRId64 " rows %s\n", name, call->changed - before,
			call->check ? "differ" : "changed");
	return ok;
}

static bool energy_days(struct energy_call *call, struct error *err)
{
	const char *params[] = {period_parameter(call->period.from),
		period_parameter(call->period.to)};
	PGresult *r;
	bool ok;

	/* So that `check` does not take what is noted for a difference. */
	if (call->check && !energy_fold(call, err))
		return false;
	r = pg_query(call->conn, cli_sql("energy_days.sql"), 2, params, err);
	ok = r != NULL;
	for (int i = 0; ok && i < PQntuples(r); i++)
		ok = energy_day(call, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), err);
	PQclear(r);
	if (ok)
		printf("%" PRId64 " days, %" PRId64 " station-days: %" PRId64 " rows %s\n",
			call->days, call->stations, call->changed,
			call->check ? "differ" : "changed");
	return ok;
}

/* ---- the command ---- */

static bool energy_run(struct energy_call *call, struct error *err)
{
	bool all = call->period.given_from == NULL && call->period.given_to == NULL;

	return pg_exec(call->conn, "SET statement_timeout = 0", err) &&
	       period_set_zone(&call->period, call->conn, err) &&
	       (all && !call->check ? energy_refresh(call, err) : energy_days(call, err));
}

enum exit_code cmd_energy(const struct config *config, int argc, char **argv)
{
	struct energy_call call = {.period = {.given_from = NULL}};
	struct pg_options pg = cli_pg_options(config);
	const struct argument arguments[] = {
		{.name = "--from", .text = &call.period.given_from},
		{.name = "--to", .text = &call.period.given_to},
	};
	struct error err;
	bool ok;

	if (!arguments_take("energy", arguments, 2, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	if (argc != 1 || (strcmp(argv[0], "refresh") != 0 && strcmp(argv[0], "check") != 0))
		return arguments_unknown("energy", argv[0], "say refresh or check");
	call.check = strcmp(argv[0], "check") == 0;
	if (!period_read(&call.period, &err))
		return cli_fail(EXIT_CODE_USAGE, &err);
	call.conn = cli_connect(config, &pg, &err);
	if (call.conn == NULL)
		return cli_fail_connect(&err);
	ok = energy_run(&call, &err);
	PQfinish(call.conn);
	if (!ok)
		return cli_fail_database(&err);
	return call.failed > 0 || (call.check && call.changed > 0) ? EXIT_CODE_FAILED
								   : EXIT_CODE_OK;
}
