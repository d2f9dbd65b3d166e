#include "cli/cli.h"

#include "base/clock.h"
#include "base/escape.h"
#include "cli/arguments.h"
#include "config/config_value.h"
#include "pg/pg_error.h"
#include "retention/archive.h"
#include "retention/retire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Partitions by age. A partition is first retired (retention/retire.h) and then dropped: if that is
 * interrupted in between, the next run finds and finishes it. */
enum { PARTITIONS_TEXT_BYTES = 24, PARTITIONS_TABLE_BYTES = 80, PARTITIONS_AHEAD_DAYS_MAX = 3660 };

static const int64_t PARTITIONS_AGE_MAX_US = 36500 * US_PER_DAY;

struct partitions_call {
	PGconn *conn;
	const char *table;                    /* NULL = all */
	char older_us[PARTITIONS_TEXT_BYTES]; /* for libpq; "" = not given */
	int64_t days;
	bool dry_run;
	bool json;
	bool trust_clock;
	const char *to; /* folder for archives */
	struct retire retire;
	enum exit_code code; /* for the first partition that was left alone */
};

/* ---- list ---- */

static bool partitions_list_json(struct partitions_call *call, struct error *err)
{
	const char *params[] = {call->table};
	PGresult *r = pg_query(call->conn,
		"SELECT row_to_json(l) FROM (SELECT parent, name, from_time, to_time, "
		"estimated_rows, partition_bytes(id) AS bytes, state FROM partition_states() "
		"WHERE $1::text IS NULL OR parent = $1) l "
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
	} columns[] = {{"TABLE", 20}, {"FROM", 11}, {"TO", 11}, {"ROWS", 13}, {"SIZE", 12},
		{"STATE", 12}, {"NAME", 0}};
	enum { COLUMNS = sizeof(columns) / sizeof(*columns) };
	const char *params[] = {call->table};
	PGresult *r;

	if (call->json)
		return partitions_list_json(call, err);
	r = pg_query(call->conn,
		"SELECT parent, to_char(nullif(from_time, '-infinity') AT TIME ZONE 'UTC', "
		"'YYYY-MM-DD'), to_char(nullif(to_time, 'infinity') AT TIME ZONE 'UTC', "
		"'YYYY-MM-DD'), '~' || estimated_rows, "
		"coalesce(pg_size_pretty(partition_bytes(id)), 'locked'), state, name "
		"FROM partition_states() WHERE $1::text IS NULL OR parent = $1 "
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

/* Says it if only this one failed, for example because others need it or a right is missing: the
 * next one is tried. */
static bool partitions_leave_one(struct partitions_call *call, struct error *err)
{
	enum exit_code code;

	if (!pg_error_is_of_statement(err))
		return false;
	(void)fflush(stdout);
	code = cli_fail_database(err);
	call->code = call->code == EXIT_CODE_OK ? code : call->code;
	return true;
}

/* ---- ensure ---- */

static bool partitions_make(struct partitions_call *call, const char *parent, const char *name,
	const char *from, struct error *err)
{
	const char *params[] = {parent, from};
	PGresult *r;

	if (call->dry_run) {
		printf("would create %s\n", name);
		return true;
	}
	r = pg_query(call->conn, "SELECT ensure_partition($1, $2::timestamptz)", 2, params, err);
	/* The program creates them, too. */
	if (r != NULL && *PQgetvalue(r, 0, 0) == 't')
		printf("made %s\n", name);
	PQclear(r);
	return r != NULL || partitions_leave_one(call, err);
}

static bool partitions_ensure(struct partitions_call *call, struct error *err)
{
	char days[PARTITIONS_TEXT_BYTES];
	const char *params[] = {call->table, days};
	PGresult *r;
	bool ok;

	snprintf(days, sizeof(days), "%" PRId64, call->days);
	r = pg_query(call->conn,
		"SELECT DISTINCT t.table_name, p.name, p.lower_bound FROM partitioned_tables t, "
		"generate_series(0, $2::integer) d, "
		"partition_of(t.table_name, now() + d * interval '1 day') p "
		"WHERE ($1::text IS NULL OR t.table_name = $1) "
		"AND NOT partition_exists(t.table_name, p.name) ORDER BY 1, 3",
		2, params, err);
	ok = r != NULL;
	for (int i = 0; ok && i < PQntuples(r); i++)
		ok = partitions_make(call, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
			PQgetvalue(r, i, 2), err);
	PQclear(r);
	return ok;
}

/* ---- old partitions ---- */

/* Attached partitions that ended longer ago than the given age. Retired ones of that age were left
 * by an interrupted run; younger ones, perhaps by an archive, have rows that exist nowhere else. */
static PGresult *partitions_find_old(struct partitions_call *call, bool retired_of_any_age,
	struct error *err)
{
	char tables[PARTITIONS_TABLE_BYTES], ages[PARTITIONS_TEXT_BYTES + 2];
	char now[PARTITIONS_TEXT_BYTES];
	const char *params[] = {tables, ages, now, retired_of_any_age ? "t" : "f", NULL, "{}"};

	snprintf(now, sizeof(now), "%" PRId64, clock_wall_us());
	snprintf(tables, sizeof(tables), "{%s}", call->table != NULL ? call->table : "NULL");
	snprintf(ages, sizeof(ages), "{%s}", call->older_us);
	return pg_query(call->conn, retire_statements[RETIRE_FIND_OLD].sql, 6, params, err);
}

/* The name of the table once retired, which the caller frees; NULL with err. */
static char *partitions_retire(struct partitions_call *call, const PGresult *found, int i,
	struct error *err)
{
	const char *name = PQgetvalue(found, i, OLD_NAME);
	PGresult *r = NULL;
	char *retired = NULL;

	if (retire_was_retired(found, i))
		retired = strdup(name);
	else if (retire_partition(&call->retire, PQgetvalue(found, i, OLD_PARENT), name, &r, err))
		retired = strdup(PQgetvalue(r, 0, 0));
	else
		return NULL;
	PQclear(r);
	if (retired == NULL)
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	return retired;
}

static bool partitions_each_old(struct partitions_call *call, bool retired_of_any_age,
	bool (*each)(struct partitions_call *call, const PGresult *found, int i, struct error *err),
	struct error *err)
{
	PGresult *r;
	bool ok = (call->trust_clock ||
			  retire_check_clock(call->conn, strtoll(call->older_us, NULL, 10), err)) &&
		  (call->dry_run || retire_begin(&call->retire, call->conn, err));

	r = ok ? partitions_find_old(call, retired_of_any_age, err) : NULL;
	ok = r != NULL;
	for (int i = 0; ok && i < PQntuples(r); i++) {
		ok = each(call, r, i, err) || error_prefix(err, "%s", PQgetvalue(r, i, OLD_NAME)) ||
		     partitions_leave_one(call, err);
		(void)fflush(stdout);
	}
	PQclear(r);
	return ok;
}

static void partitions_say_old(const char *what, const PGresult *found, int i)
{
	printf("%s ", what);
	(void)escape_print(stdout, slice_from_cstr(PQgetvalue(found, i, OLD_NAME)));
}

/* ---- drop ---- */

static bool partitions_drop_one(struct partitions_call *call, const PGresult *found, int i,
	struct error *err)
{
	char *retired;
	bool ok = true;

	if (!call->dry_run) {
		retired = partitions_retire(call, found, i, err);
		ok = retired != NULL &&
		     retire_drop(&call->retire, PQgetvalue(found, i, OLD_PARENT), retired, err);
		free(retired);
	}
	if (!ok)
		return false;
	partitions_say_old(call->dry_run ? "would drop" : "dropped", found, i);
	printf(" (~%s rows, %s)\n", PQgetvalue(found, i, OLD_ROWS), PQgetvalue(found, i, OLD_SIZE));
	return true;
}

static bool partitions_drop(struct partitions_call *call, struct error *err)
{
	return partitions_each_old(call, false, partitions_drop_one, err);
}

/* ---- archive ---- */

static bool partitions_archive_retired(struct partitions_call *call, const PGresult *found, int i,
	const char *retired, struct error *err)
{
	struct archive_request request = {.conn = call->conn,
		.dir = call->to,
		.parent = PQgetvalue(found, i, OLD_PARENT),
		.retired = retired,
		.from_time = PQgetvalue(found, i, OLD_FROM),
		.to_time = PQgetvalue(found, i, OLD_TO)};
	struct archive_result done;
	bool ok;

	if (!retire_keep_tokens(&call->retire, err))
		return false;
	ok = archive_partition(&request, &done, err) &&
	     retire_drop(&call->retire, request.parent, retired, err);
	retire_let_tokens_go(&call->retire);
	if (!ok)
		return false;
	if (done.path[0] == '\0') {
		partitions_say_old("dropped", found, i);
		printf(" (0 rows: no file)\n");
		return true;
	}
	partitions_say_old("archived", found, i);
	printf(" (%" PRIu64 " rows, %" PRId64 " bytes) %s ", done.rows, done.bytes,
		done.found ? "was in" : "to");
	(void)escape_print(stdout, slice_from_cstr(done.path));
	putchar('\n');
	return true;
}

static bool partitions_archive_one(struct partitions_call *call, const PGresult *found, int i,
	struct error *err)
{
	char *retired;
	bool ok;

	if (call->dry_run) {
		partitions_say_old("would archive", found, i);
		printf(" (~%s rows, %s)\n", PQgetvalue(found, i, OLD_ROWS),
			PQgetvalue(found, i, OLD_SIZE));
		return true;
	}
	retired = partitions_retire(call, found, i, err);
	ok = retired != NULL && partitions_archive_retired(call, found, i, retired, err);
	free(retired);
	return ok;
}

static bool partitions_archive(struct partitions_call *call, struct error *err)
{
	return archive_check_dir(call->to, err) &&
	       partitions_each_old(call, true, partitions_archive_one, err);
}

/* ---- the command ---- */

static bool partitions_take_age(void *context, char *text)
{
	struct partitions_call *call = context;
	int64_t us;

	/* No partition is shorter than a day. This also catches 90 without a unit (seconds) and 3m
	 * (minutes). */
	if (!config_parse_duration(text, &us) || us < US_PER_DAY || us > PARTITIONS_AGE_MAX_US)
		return false;
	snprintf(call->older_us, sizeof(call->older_us), "%" PRId64, us);
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
	error_set(err, ERROR_ABSENT, REASON_no_table, "no table \"%s\" is partitioned by time",
		call->table);
	return error_hint(err, "`ocpp-persister partitions list` has them all");
}

static enum exit_code partitions_run(const struct config *config, struct partitions_call *call,
	bool (*what)(struct partitions_call *call, struct error *err))
{
	struct pg_options pg = cli_pg_options(config);
	struct error err;
	bool ok;

	call->conn = cli_connect(config, &pg, &err);
	if (call->conn == NULL)
		return cli_fail_connect(&err);
	/* Otherwise locks are held until the COMMIT is on disk. */
	ok = pg_exec(call->conn, "SET synchronous_commit = off; SET lock_timeout = '2s'", &err) &&
	     partitions_has_table(call, &err) && what(call, &err);
	PQfinish(call->conn);
	return ok ? call->code : cli_fail_database(&err);
}

enum exit_code cmd_partitions(const struct config *config, int argc, char **argv)
{
	struct partitions_call call = {.days = config->partitions_ahead_days};
	const struct argument arguments[] = {
		{.name = "--table", .text = &call.table},
		{.name = "--json", .given = &call.json, .with = "list"},
		{.name = "--days",
			.number = &call.days,
			.high = PARTITIONS_AHEAD_DAYS_MAX,
			.example = "--days 7",
			.with = "ensure"},
		{.name = "--older-than",
			.take = partitions_take_age,
			.context = &call,
			.example = "--older-than 90d: a day or more, and 90 alone is seconds",
			.with = "drop archive"},
		{.name = "--to", .text = &call.to, .with = "archive"},
		{.name = "--dry-run", .given = &call.dry_run, .with = "ensure drop archive"},
		{.name = "--trust-clock", .given = &call.trust_clock, .with = "drop archive"},
	};
	enum { PARTITIONS_LIST, PARTITIONS_ENSURE, PARTITIONS_DROP, PARTITIONS_ARCHIVE };
	static const char *const words[] = {"list", "ensure", "drop", "archive", NULL};
	int chosen;

	if (!arguments_take("partitions", arguments, 7, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	chosen = arguments_choose("partitions", words, argc, argv);
	if (chosen < 0)
		return EXIT_CODE_USAGE;
	if (chosen == PARTITIONS_LIST)
		return partitions_run(config, &call, partitions_list);
	if (chosen == PARTITIONS_ENSURE)
		return partitions_run(config, &call, partitions_ensure);
	if (call.older_us[0] == '\0')
		return cli_usage("partitions", "%s needs --older-than, as in --older-than 90d",
			words[chosen]);
	if (chosen == PARTITIONS_DROP)
		return partitions_run(config, &call, partitions_drop);
	if (call.to == NULL)
		return cli_usage("partitions", "archive needs a folder: --to DIR");
	return partitions_run(config, &call, partitions_archive);
}
