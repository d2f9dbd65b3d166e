#include "cli/cli.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/say.h"
#include "config/config_value.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Partitions by age. What needs the rights of the owner is done by functions of the schema
 * (migrations/000036_retention.up.sql), which never let a writer wait for longer than 40 ms: they
 * fail rather than wait, and are called again here. Detached is not dropped yet: what was
 * interrupted between the two is found and dropped by the next run.
 */
enum { PARTITIONS_TEXT_BYTES = 24, PARTITIONS_AHEAD_DAYS_MAX = 3660 };

static const int64_t PARTITIONS_AGAIN_US = 200 * US_PER_MS;
static const int64_t PARTITIONS_AGAIN_MAX_US = 2 * US_PER_SECOND;
static const int64_t PARTITIONS_SAY_US = 10 * US_PER_SECOND;

struct partitions_call {
	PGconn *conn;
	const char *table;                    /* NULL = all */
	char older_us[PARTITIONS_TEXT_BYTES]; /* as libpq takes it; "" = not given */
	char days[PARTITIONS_TEXT_BYTES];
	bool dry_run;
	bool json;
	struct backoff backoff;
	int64_t said_us; /* when it was said last what is waited for */
};

/* ---- list ---- */

static bool partitions_list_json(struct partitions_call *call, struct error *err)
{
	const char *params[] = {call->table};
	PGresult *r = pg_query(call->conn,
		"SELECT row_to_json(l) FROM partition_list() l WHERE $1::text IS NULL OR parent = "
		"$1 "
		"ORDER BY parent, from_time NULLS FIRST, name",
		1, params, err);

	for (int i = 0; r != NULL && i < PQntuples(r); i++) {
		(void)escape_print_json(stdout, slice_from_cstr(PQgetvalue(r, i, 0)));
		putchar('\n');
	}
	PQclear(r);
	return r != NULL;
}

static bool partitions_list(struct partitions_call *call, struct error *err)
{
	static const struct {
		const char *title;
		int width;
	} columns[] = {{"TABLE", 20}, {"FROM", 11}, {"TO", 11}, {"ROWS", 13}, {"SIZE", 9},
		{"STATE", 10}, {"NAME", 0}};
	enum { COLUMNS = sizeof(columns) / sizeof(*columns) };
	const char *params[] = {call->table};
	PGresult *r;

	if (call->json)
		return partitions_list_json(call, err);
	r = pg_query(call->conn,
		"SELECT parent, to_char(nullif(from_time, '-infinity') AT TIME ZONE 'UTC', "
		"'YYYY-MM-DD'), to_char(nullif(to_time, 'infinity') AT TIME ZONE 'UTC', "
		"'YYYY-MM-DD'), '~' || estimated_rows, pg_size_pretty(bytes), state, name "
		"FROM partition_list() WHERE $1::text IS NULL OR parent = $1 "
		"ORDER BY parent, from_time NULLS FIRST, name",
		1, params, err);
	for (int i = -1; r != NULL && i < PQntuples(r); i++) {
		for (int c = 0; c < COLUMNS; c++)
			escape_print_padded(stdout, i < 0 ? columns[c].title : PQgetvalue(r, i, c),
				columns[c].width);
		putchar('\n');
	}
	PQclear(r);
	return r != NULL;
}

/* ---- ensure ---- */

static bool partitions_make(struct partitions_call *call, const char *parent, const char *name,
	const char *from, struct error *err)
{
	const char *params[] = {parent, from};
	PGresult *r;

	if (call->dry_run) {
		printf("would make %s\n", name);
		return true;
	}
	r = pg_query(call->conn, "SELECT ensure_partition($1, $2::timestamptz)", 2, params, err);
	/* The program makes them, too. */
	if (r != NULL && *PQgetvalue(r, 0, 0) == 't')
		printf("made %s\n", name);
	PQclear(r);
	return r != NULL;
}

static bool partitions_ensure(struct partitions_call *call, struct error *err)
{
	const char *params[] = {call->table, call->days};
	PGresult *r = pg_query(call->conn,
		"SELECT DISTINCT t.table_name, p.name, p.lower_bound FROM partitioned_tables t, "
		"generate_series(0, $2::integer) d, "
		"partition_of(t.table_name, now() + d * interval '1 day') p "
		"WHERE ($1::text IS NULL OR t.table_name = $1) "
		"AND NOT partition_exists(t.table_name, p.name) ORDER BY 1, 3",
		2, params, err);
	bool ok = r != NULL;

	for (int i = 0; ok && i < PQntuples(r); i++)
		ok = partitions_make(call, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
			PQgetvalue(r, i, 2), err);
	PQclear(r);
	return ok;
}

/* ---- drop ---- */

/* Who has one of the two tables: the transaction that is the oldest. */
static void partitions_say_waiting(struct partitions_call *call, const char *parent,
	const char *name)
{
	const char *params[] = {parent, name};
	struct error ignored;
	char text[512];
	PGresult *r;

	if (call->said_us != 0 && clock_mono_us() - call->said_us < PARTITIONS_SAY_US)
		return;
	call->said_us = clock_mono_us();
	r = pg_query(call->conn,
		"SELECT a.pid, coalesce(a.usename, '?'), coalesce(to_char(a.xact_start, "
		"'YYYY-MM-DD HH24:MI:SS'), '?'), regexp_replace(left(a.query, 120), '\\s+', ' ', "
		"'g') "
		"FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted "
		"AND l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND l.database = "
		"(SELECT oid FROM pg_database WHERE datname = current_database()) "
		"AND l.relation IN (to_regclass(quote_ident($1)), to_regclass(quote_ident($2))) "
		"ORDER BY a.xact_start NULLS LAST, a.pid LIMIT 1",
		2, params, &ignored);
	if (r != NULL && PQntuples(r) == 1) {
		snprintf(text, sizeof(text),
			"for process %s of \"%s\", whose transaction has had %s or %s since %s "
			"UTC: %s",
			PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), parent, name, PQgetvalue(r, 0, 2),
			PQgetvalue(r, 0, 3));
		say_line("waiting", text);
	}
	PQclear(r);
}

static void partitions_pause(struct partitions_call *call)
{
	int64_t us = backoff_next_us(&call->backoff);
	struct timespec t = {us / US_PER_SECOND, us % US_PER_SECOND * 1000};

	(void)nanosleep(&t, NULL);
}

/* Until nobody is in the way: a transaction ends at some time, and it is said which. */
static PGresult *partitions_insist(struct partitions_call *call, const char *sql,
	const char *parent, const char *name, int count, const char *const *params,
	struct error *err)
{
	backoff_reset(&call->backoff);
	for (;;) {
		PGresult *r = pg_query(call->conn, sql, count, params, err);

		if (r != NULL || !pg_error_is_lock(err))
			return r;
		partitions_say_waiting(call, parent, name);
		partitions_pause(call);
	}
}

static bool partitions_drop_retired(struct partitions_call *call, const char *parent,
	const char *name, struct error *err)
{
	const char *params[] = {name};
	PGresult *r =
		partitions_insist(call, "SELECT drop_retired($1)", parent, name, 1, params, err);

	PQclear(r);
	return r != NULL;
}

/* r, row i: parent, name, state, rows, size. */
static bool partitions_drop_one(struct partitions_call *call, const PGresult *found, int i,
	struct error *err)
{
	const char *params[] = {PQgetvalue(found, i, 0), PQgetvalue(found, i, 1)};
	bool ok = true, attached = strcmp(PQgetvalue(found, i, 2), "attached") == 0;
	PGresult *r = NULL;

	if (!call->dry_run && attached) {
		r = partitions_insist(call, "SELECT retire_partition($1, $2)", params[0], params[1],
			2, params, err);
		ok = r != NULL &&
		     partitions_drop_retired(call, params[0], PQgetvalue(r, 0, 0), err);
		PQclear(r);
	} else if (!call->dry_run) {
		ok = partitions_drop_retired(call, params[0], params[1], err);
	}
	if (!ok)
		return error_prefix(err, "%s", params[1]);
	printf("%s ", call->dry_run ? "would drop" : "dropped");
	(void)escape_print(stdout, slice_from_cstr(params[1]));
	printf(" (~%s rows, %s)\n", PQgetvalue(found, i, 3), PQgetvalue(found, i, 4));
	(void)fflush(stdout);
	return true;
}

static bool partitions_drop(struct partitions_call *call, struct error *err)
{
	const char *params[] = {call->table, call->older_us};
	PGresult *r = pg_query(call->conn,
		"SELECT parent, name, state, estimated_rows, pg_size_pretty(bytes) "
		"FROM partition_list() WHERE ($1::text IS NULL OR parent = $1) AND (state = "
		"'retired' "
		"OR state = 'attached' AND to_time <= now() - $2::bigint * interval '1 "
		"microsecond') "
		"ORDER BY state DESC, from_time, parent",
		2, params, err);
	bool ok = r != NULL;

	for (int i = 0; ok && i < PQntuples(r); i++)
		ok = partitions_drop_one(call, r, i, err);
	PQclear(r);
	return ok;
}

/* ---- the command ---- */

static bool partitions_take_days(const char *text, struct partitions_call *call)
{
	int64_t days;

	if (!config_parse_number(text, &days) || days < 0 || days > PARTITIONS_AHEAD_DAYS_MAX)
		return false;
	snprintf(call->days, sizeof(call->days), "%" PRId64, days);
	return true;
}

static bool partitions_take_age(const char *text, struct partitions_call *call)
{
	int64_t us;

	if (!config_parse_duration(text, &us) || us <= 0)
		return false;
	snprintf(call->older_us, sizeof(call->older_us), "%" PRId64, us);
	return true;
}

/* False: an unknown option, one without its value, or a value that does not fit. */
static bool partitions_options(struct partitions_call *call, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		bool value = i + 1 < argc;

		if (strcmp(argv[i], "--dry-run") == 0)
			call->dry_run = true;
		else if (strcmp(argv[i], "--json") == 0)
			call->json = true;
		else if (strcmp(argv[i], "--table") == 0 && value)
			call->table = argv[++i];
		else if (strcmp(argv[i], "--days") == 0 && value) {
			if (!partitions_take_days(argv[++i], call))
				return false;
		} else if (strcmp(argv[i], "--older-than") == 0 && value) {
			if (!partitions_take_age(argv[++i], call))
				return false;
		} else {
			return false;
		}
	}
	return true;
}

static bool partitions_has_table(struct partitions_call *call, struct error *err)
{
	const char *params[] = {call->table};
	PGresult *r;
	bool found;

	if (call->table == NULL)
		return true;
	r = pg_query(call->conn, "SELECT FROM partitioned_tables WHERE table_name = $1", 1, params,
		err);
	if (r == NULL)
		return false;
	found = PQntuples(r) == 1;
	PQclear(r);
	if (found)
		return true;
	error_set(err, ERROR_ABSENT, "no_table", "no table \"%s\" is partitioned by time",
		call->table);
	return error_hint(err, "`ocpp-persister partitions list` has them all");
}

static enum exit_code partitions_run(const struct config *config, struct partitions_call *call,
	bool (*what)(struct partitions_call *call, struct error *err))
{
	struct pg_options pg = cli_pg_options(config);
	struct error err;
	bool ok;

	call->conn = pg_connect(&pg, &err);
	if (call->conn == NULL)
		return cli_fail(EXIT_CODE_DATABASE, &err);
	backoff_init(&call->backoff, PARTITIONS_AGAIN_US, PARTITIONS_AGAIN_MAX_US,
		(uint64_t)clock_mono_us());
	/* A lock is held until its COMMIT is on disk, otherwise. */
	ok = pg_exec(call->conn, "SET synchronous_commit = off; SET lock_timeout = '2s'", &err) &&
	     partitions_has_table(call, &err) && what(call, &err);
	PQfinish(call->conn);
	return ok ? EXIT_CODE_OK : cli_fail_database(&err);
}

enum exit_code cmd_partitions(const struct config *config, int argc, char **argv)
{
	struct partitions_call call = {.table = NULL};
	const char *what = argc > 0 ? argv[0] : "";

	snprintf(call.days, sizeof(call.days), "%" PRId64, config->partitions_ahead_days);
	if (argc > 0 && !partitions_options(&call, argc - 1, argv + 1))
		return cli_usage("partitions",
			"an unknown option, or one without its value (--older-than 90d, --days 7)");
	if (strcmp(what, "list") == 0)
		return partitions_run(config, &call, partitions_list);
	if (strcmp(what, "ensure") == 0)
		return partitions_run(config, &call, partitions_ensure);
	if (strcmp(what, "drop") != 0)
		return cli_usage("partitions", "say list, ensure or drop");
	if (call.older_us[0] == '\0')
		return cli_usage("partitions", "drop needs --older-than, as in --older-than 90d");
	return partitions_run(config, &call, partitions_drop);
}
