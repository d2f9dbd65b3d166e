#include "cli/cli.h"

#include "base/token_hash.h"
#include "cli/arguments.h"
#include "cli/period.h"
#include "cli/report.h"
#include "cli/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reports of sessions, one by one or summed up. Each is a single query over the views sessions and
 * suspicious_sessions, which a reader may read: the server computes sums, over exact decimals. */
enum { SESSIONS_GROUPS_MAX = 3 };

/* A column, with its expression for each form of report; NULL = not included. */
struct sessions_column {
	const char *name;
	const char *in[REPORT_JSON + 1]; /* by enum report_form */
};

#define ALIKE(expression)                                                                          \
	{                                                                                          \
		expression, expression, expression                                                 \
	}
#define FOR_PROGRAMS(csv, json)                                                                    \
	{                                                                                          \
		NULL, csv, json                                                                    \
	}
/* RFC 3339, as in JSON: the server's text lacks the T and the minutes of the zone. */
#define TIME(column)                                                                               \
	{                                                                                          \
		"date_trunc('second', " column ")", "to_json(" column ") #>> '{}'", column         \
	}
#define WORDS(column)                                                                              \
	{                                                                                          \
		"array_to_string(" column ", '; ')", "array_to_string(" column ", '; ')", column   \
	}

static const struct sessions_column sessions_each[] = {
	{"started_at", TIME("started_at")},
	{"stopped_at", FOR_PROGRAMS("to_json(stopped_at) #>> '{}'", "stopped_at")},
	{"duration", {"make_interval(secs => duration_s::float8)", NULL, NULL}},
	{"duration_s", FOR_PROGRAMS("duration_s", "duration_s")},
	{"charge_station_id", ALIKE("charge_station_id")},
	{"evse_id", ALIKE("evse_id")},
	{"connector_id", FOR_PROGRAMS("connector_id", "connector_id")},
	{"id_token", ALIKE("id_token")},
	{"transaction_id", ALIKE("transaction_id")},
	{"start_key", FOR_PROGRAMS("start_key", "start_key")},
	{"meter_start", FOR_PROGRAMS("meter_start", "meter_start")},
	{"meter_stop", FOR_PROGRAMS("meter_stop", "meter_stop")},
	{"energy_wh", ALIKE("energy_wh")},
	{"total_cost", ALIKE("total_cost")},
	{"stopped_reason", FOR_PROGRAMS("stopped_reason", "stopped_reason")},
	{"complete", FOR_PROGRAMS("complete::text", "complete")},
	{"flags", FOR_PROGRAMS("array_to_string(flags, '; ')", "flags")},
};
static const struct sessions_column sessions_incomplete = {"incomplete", WORDS("incomplete")};
static const struct sessions_column sessions_flags = {"flags",
	{"array_to_string(flags, '; ')", NULL, NULL}};
static const struct sessions_column sessions_reasons = {"reasons", WORDS("reasons")};

/* What cannot be, since a meter or a clock was set back meanwhile, is counted, not added up. */
#define SUM(column) "sum(" column ") FILTER (WHERE " column " >= 0)"
#define COUNT_IF(condition) "count(*) FILTER (WHERE " condition ")"

static const struct sessions_column sessions_sums[] = {
	{"sessions", ALIKE("count(*)")},
	{"duration", {"make_interval(secs => (" SUM("duration_s") ")::float8)", NULL, NULL}},
	{"duration_s", FOR_PROGRAMS(SUM("duration_s"), SUM("duration_s"))},
	{"energy_wh", ALIKE(SUM("energy_wh"))},
	{"total_cost", ALIKE("sum(total_cost)")},
	{"without_duration",
		FOR_PROGRAMS(COUNT_IF("duration_s IS NULL"), COUNT_IF("duration_s IS NULL"))},
	{"without_energy", ALIKE(COUNT_IF("energy_wh IS NULL"))},
	{"without_cost",
		FOR_PROGRAMS(COUNT_IF("total_cost IS NULL"), COUNT_IF("total_cost IS NULL"))},
	{"backwards", ALIKE(COUNT_IF("energy_wh < 0"))},
	{"stop_before_start", FOR_PROGRAMS(COUNT_IF("duration_s < 0"), COUNT_IF("duration_s < 0"))},
};

/* What sums can be grouped by. Tokens are compared without regard to case. */
static const struct sessions_group {
	const char *option;
	const char *name;
	const char *group; /* the expression to group by */
	const char *shown;
} sessions_groups[SESSIONS_GROUPS_MAX] = {
#define MONTH "CASE WHEN isfinite(partition_time) THEN to_char(partition_time, 'YYYY-MM') END"
	{"month", "month", MONTH, MONTH},
#undef MONTH
	{"token", "id_token", "lower(id_token)", "min(id_token)"},
	{"station", "charge_station_id", "charge_station_id", "charge_station_id"},
};

struct sessions_call {
	struct period period;
	const char *station;
	const char *token;
	bool suspicious;
	enum report_form form;
	const struct sessions_group *by[SESSIONS_GROUPS_MAX];
	int by_count;
};

/* ---- the query ---- */

static void sessions_put_column(FILE *sql, const struct sessions_call *call,
	const struct sessions_column *column, const char **before)
{
	const char *expression = column->in[call->form];

	if (expression == NULL)
		return;
	fprintf(sql, "%s%s AS %s", *before, expression, column->name);
	*before = ", ";
}

#define SESSIONS_COUNT(columns) (sizeof(columns) / sizeof((columns)[0]))

/* The grand total, repeated in each row: the last row's is printed below the table. */
static const struct {
	const char *name;
	const char *before; /* around the total */
	const char *total;
	const char *after;
} sessions_totals[] = {
	{"total: sessions", "", "count(*)", ""},
	{"duration", "make_interval(secs => (", SUM("duration_s"), ")::float8)"},
	{"energy_wh", "", SUM("energy_wh"), ""},
	{"total_cost", "", "sum(total_cost)", ""},
	{"without_energy", "nullif(", COUNT_IF("energy_wh IS NULL"), ", 0)"},
	{"backwards", "nullif(", COUNT_IF("energy_wh < 0"), ", 0)"},
	{"stop_before_start", "nullif(", COUNT_IF("duration_s < 0"), ", 0)"},
};

static void sessions_put_footer(FILE *sql, const struct sessions_call *call)
{
	bool each = call->by_count == 0;

	if (call->form != REPORT_TABLE)
		return;
	fputs(", concat_ws(', '", sql);
	for (size_t i = 0; i < SESSIONS_COUNT(sessions_totals); i++)
		fprintf(sql, ", '%s ' || %s%s%s%s OVER ()%s", sessions_totals[i].name,
			sessions_totals[i].before, each ? "" : "sum(", sessions_totals[i].total,
			each ? "" : ")", sessions_totals[i].after);
	fputs(") AS footer", sql);
}

static void sessions_put_each(FILE *sql, const struct sessions_call *call, const char *base)
{
	const char *before = "SELECT ";

	for (size_t i = 0; i < SESSIONS_COUNT(sessions_each); i++)
		sessions_put_column(sql, call, &sessions_each[i], &before);
	if (!call->suspicious || call->form != REPORT_TABLE)
		sessions_put_column(sql, call, &sessions_incomplete, &before);
	if (call->suspicious)
		sessions_put_column(sql, call, &sessions_reasons, &before);
	else
		sessions_put_column(sql, call, &sessions_flags, &before); /* reasons have them */
	sessions_put_footer(sql, call);
	fprintf(sql,
		" FROM (%s) s ORDER BY s.partition_time, s.charge_station_id, s.transaction_id, "
		"s.start_key",
		base);
}

static void sessions_put_sums(FILE *sql, const struct sessions_call *call, const char *base)
{
	const char *before = "SELECT ";

	for (int i = 0; i < call->by_count; i++) {
		fprintf(sql, "%s%s AS %s", before, call->by[i]->shown, call->by[i]->name);
		before = ", ";
	}
	for (size_t i = 0; i < SESSIONS_COUNT(sessions_sums); i++)
		sessions_put_column(sql, call, &sessions_sums[i], &before);
	sessions_put_footer(sql, call);
	fprintf(sql, " FROM (%s) s", base);
	before = " GROUP BY ";
	for (int i = 0; i < call->by_count; i++, before = ", ")
		fprintf(sql, "%s%s", before, call->by[i]->group);
	before = " ORDER BY ";
	for (int i = 0; i < call->by_count; i++, before = ", ")
		fprintf(sql, "%s%s", before, call->by[i]->group);
}

/* The caller frees it; NULL = out of memory. */
static char *sessions_sql(const struct sessions_call *call)
{
	const char *base = cli_sql(call->suspicious ? "sessions_suspicious.sql" : "sessions.sql");
	char *text = NULL;
	size_t size;
	FILE *sql = open_memstream(&text, &size);
	bool ok;

	if (sql == NULL)
		return NULL;
	if (call->form == REPORT_JSON)
		fputs("SELECT row_to_json(r) FROM (", sql);
	if (call->by_count > 0)
		sessions_put_sums(sql, call, base);
	else
		sessions_put_each(sql, call, base);
	if (call->form == REPORT_JSON)
		fputs(") r", sql);
	ok = !ferror(sql);
	if (fclose(sql) == 0 && ok)
		return text;
	free(text);
	return NULL;
}

/* ---- the command ---- */

/* "month,station": in that order, none twice. */
static bool sessions_take_by(void *context, char *text)
{
	struct sessions_call *call = context;

	while (true) {
		size_t size = strcspn(text, ","), found = 0;

		while (found < SESSIONS_GROUPS_MAX &&
			!(strlen(sessions_groups[found].option) == size &&
				strncmp(sessions_groups[found].option, text, size) == 0))
			found++;
		if (found == SESSIONS_GROUPS_MAX || call->by_count == SESSIONS_GROUPS_MAX)
			return false;
		for (int i = 0; i < call->by_count; i++) {
			if (call->by[i] == &sessions_groups[found])
				return false;
		}
		call->by[call->by_count++] = &sessions_groups[found];
		if (text[size] == '\0')
			return true;
		text += size + 1;
	}
}

/* The token as stored with privacy.token_key; NULL without a key. */
static const char *sessions_hash_token(const struct config *config, const char *token,
	char out[static TOKEN_HASH_BYTES + 1])
{
	if (token == NULL || config->privacy_token_key[0] == '\0')
		return NULL;
	token_hash(slice_from_cstr(config->privacy_token_key), slice_from_cstr(token), out);
	out[TOKEN_HASH_BYTES] = '\0';
	return out;
}

static bool sessions_print(const struct config *config, const struct sessions_call *call,
	PGconn *conn, struct error *err)
{
	char hash[TOKEN_HASH_BYTES + 1];
	const char *params[] = {period_parameter(call->period.from),
		period_parameter(call->period.to), call->station, call->token,
		sessions_hash_token(config, call->token, hash)};
	struct report report = report_to_stdout(call->form);
	char *sql;
	bool ok;

	if (!pg_exec(conn, STREAM_SETUP, err) || !period_set_zone(&call->period, conn, err))
		return false;
	sql = sessions_sql(call);
	if (sql == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	ok = report_query(&report, conn, sql, 5, params, err);
	free(sql);
	return ok;
}

enum exit_code cmd_sessions(const struct config *config, int argc, char **argv)
{
	struct sessions_call call = {.form = REPORT_TABLE};
	struct pg_options pg = cli_pg_options(config);
	bool csv = false, json = false, ok;
	const struct argument arguments[] = {
		PERIOD_ARGUMENTS(call.period),
		{.name = "--station", .text = &call.station},
		{.name = "--token", .text = &call.token},
		{.name = "--suspicious", .given = &call.suspicious},
		{.name = "--by",
			.take = sessions_take_by,
			.context = &call,
			.example = "month,station"},
		{.name = "--csv", .given = &csv},
		{.name = "--json", .given = &json},
	};
	struct error err;
	PGconn *conn;

	if (!arguments_take("sessions", arguments, 9, 0, &argc, argv))
		return EXIT_CODE_USAGE;
	if (!period_read(&call.period, &err))
		return cli_fail(EXIT_CODE_USAGE, &err);
	if (csv && json)
		return cli_usage("sessions", "say --csv or --json");
	call.form = csv ? REPORT_CSV : json ? REPORT_JSON : REPORT_TABLE;
	conn = cli_connect(config, &pg, &err);
	if (conn == NULL)
		return cli_fail_connect(&err);
	ok = sessions_print(config, &call, conn, &err);
	PQfinish(conn);
	return ok ? EXIT_CODE_OK : cli_fail_database(&err);
}
