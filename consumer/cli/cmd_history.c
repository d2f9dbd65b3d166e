#include "cli/cli.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/say.h"
#include "cli/arguments.h"
#include "cli/period.h"
#include "cli/stream.h"
#include "pg/pg_error.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * The conversation of one station. It is read day by day, so that neither side holds more than one
 * station's day, and each query reads a few partitions by their keys.
 *
 * Every two seconds --follow asks for what was received since, minus ten minutes: a message that is
 * stored after others that were received later (two workers, one of which lags) is found if it is
 * no later than that. What was already printed is recognised by its key. If a call is stored after
 * its answer, the answer gets another key, with the action of the call, and is printed once more.
 */
enum {
	HISTORY_SEEN = 65536, /* a power of two; at most half full */
	HISTORY_TIME_BYTES = 64,
	HISTORY_WINDOW_DAYS = 8,
	HISTORY_WINDOW_DAYS_MAX = HISTORY_WINDOW_DAYS << 12, /* 90 years */
	HISTORY_PARAMETERS = 6,
};

/* No event is later: a time of a station's counts if it is before 2100. */
#define HISTORY_END "2200-01-01T00:00:00Z"
#define HISTORY_OVERLAP "10 min"
#define HISTORY_DATED "1 day"

static const int64_t HISTORY_POLL_US = 2 * US_PER_SECOND;

/* Keys, open addressing; 0 = free. */
struct history_set {
	uint64_t keys[HISTORY_SEEN];
	size_t count;
};

struct history_call {
	PGconn *conn;
	struct period period;
	const char *station;
	const char *action;
	bool follow;
	bool json;
	bool colour;
	char *sql;                         /* selects the messages of a piece, in order */
	char fresh[HISTORY_TIME_BYTES];    /* remember what was received after this */
	struct history_set *seen, *seeing; /* keys of the previous poll, and of this one */
	bool quiet;                        /* only remember, do not print */
	int64_t rows;
};

static volatile sig_atomic_t history_stopped;
static PGcancel *history_cancel;

/* The server ends a query that runs. The next signal ends the process, if the server does not even
 * answer that. */
static void history_on_signal(int number)
{
	char why[256];

	(void)number;
	history_stopped = 1;
	(void)PQcancel(history_cancel, why, sizeof(why));
}

static void history_handle_signals(void)
{
	static const struct sigaction stop = {
		.sa_handler = history_on_signal,
		.sa_flags = (int)(SA_RESETHAND | SA_NODEFER),
	};

	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGTERM, &stop, NULL);
}

/* There is nothing left to stop, and what the handler uses goes. */
static void history_ignore_signals(void)
{
	if (history_cancel == NULL)
		return;
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	PQfreeCancel(history_cancel);
	history_cancel = NULL;
}

/* ---- what was printed ---- */

static bool history_has(const struct history_set *set, uint64_t key)
{
	size_t at = key % HISTORY_SEEN;

	while (set->keys[at] != 0 && set->keys[at] != key)
		at = (at + 1) % HISTORY_SEEN;
	return set->keys[at] == key;
}

/* Forgets when it is full: better print twice than not at all. */
static void history_add(struct history_set *set, uint64_t key)
{
	size_t at = key % HISTORY_SEEN;

	if (set->count >= HISTORY_SEEN / 2 || history_has(set, key))
		return;
	while (set->keys[at] != 0)
		at = (at + 1) % HISTORY_SEEN;
	set->keys[at] = key;
	set->count++;
}

/* ---- a message ---- */

enum { COLUMN_KEY, COLUMN_FRESH, COLUMN_LOOK, COLUMN_LINE };

static const char *history_colour(const char *look)
{
	switch (*look) {
	case 'e': /* an error */
		return "\033[31m";
	case 'a': /* an answer */
		return "\033[2m";
	case 'o': /* a call of the CSMS */
		return "\033[36m";
	default:
		return "";
	}
}

static void history_print(const struct history_call *call, const PGresult *r)
{
	struct slice line = slice_from_cstr(PQgetvalue(r, 0, COLUMN_LINE));
	const char *colour = call->colour ? history_colour(PQgetvalue(r, 0, COLUMN_LOOK)) : "";

	fputs(colour, stdout);
	if (call->json)
		(void)escape_print_json(stdout, line);
	else
		(void)escape_print(stdout, line);
	puts(*colour != '\0' ? "\033[0m" : "");
}

static bool history_on_row(void *context, PGresult *r, struct error *err)
{
	struct history_call *call = context;

	if (PQntuples(r) > 0) {
		uint64_t key = strtoull(PQgetvalue(r, 0, COLUMN_KEY), NULL, 10) | 1;

		if (!call->quiet && (!call->follow || !history_has(call->seen, key))) {
			history_print(call, r);
			call->rows++;
		}
		if (call->follow && *PQgetvalue(r, 0, COLUMN_FRESH) == 't')
			history_add(call->seeing, key);
	}
	PQclear(r);
	if (history_stopped)
		return error_set(err, ERROR_STOPPED, REASON_stopped, "stopped");
	return !ferror(stdout) ||
	       error_set_errno(err, ERROR_FATAL, REASON_output, "could not write the history");
}

/* ---- a piece of the history ---- */

#define HISTORY_ORDER                                                                              \
	" ORDER BY coalesce(h.answers_at, h.at), h.message_id, h.answers_at IS NOT NULL, h.kind, " \
	"h.evse_id, h.digest"
#define HISTORY_KEY                                                                                \
	"hashtextextended(concat_ws(' ', h.at, h.kind, h.action, h.evse_id), h.digest) "           \
	"& 9223372036854775807, h.fresh, "

/* A line for people: time, direction, action, EVSE, content. */
static const char history_line[] =
	"CASE WHEN h.kind LIKE '%error' THEN 'e' WHEN h.answers_at IS NOT NULL THEN 'a' "
	"WHEN h.direction = 'out' THEN 'o' ELSE '' END, "
	"rtrim(concat_ws(' ', to_char(h.at, 'YYYY-MM-DD HH24:MI:SS.MSTZH:TZM'), "
	"rpad(h.direction, 3), rpad(CASE WHEN h.answers_at IS NOT NULL THEN '  ' || h.kind "
	"WHEN h.kind = 'call' THEN h.action ELSE concat_ws(' ', nullif(h.action, ''), h.kind) END, "
	"26), rpad(coalesce(concat_ws('/', h.evse_id, nullif(h.connector_id, h.evse_id)), ''), 4), "
	"CASE WHEN length(d.text) > 300 THEN left(d.text, 300) || '~' ELSE d.text END)) ";

static const char history_detail[] =
	"CROSS JOIN LATERAL (SELECT concat_ws(' ', "
	"CASE WHEN h.time_text IS NOT NULL THEN '[dated ' || h.time_text || ']' END, "
	"CASE WHEN h.received_at <> h.at THEN "
	"to_char(h.received_at, '\"[received \"YYYY-MM-DD HH24:MI:SSTZH:TZM]') END, "
	"nullif(h.transaction_id, ''), nullif(h.error_code, ''), nullif(h.error_description, ''), "
	"coalesce(h.words, nullif(h.payload, '{}')::text)) AS text) d ";

static const char history_object[] =
	"'', row_to_json((SELECT j FROM (SELECT h.at, h.event_time, h.received_at, h.direction, "
	"h.kind, "
	"h.action, "
	"h.answers_at, nullif(h.message_id, '') AS message_id, h.evse_id, h.connector_id, "
	"h.transaction_id, nullif(h.error_code, '') AS error_code, "
	"nullif(h.error_description, '') AS error_description, h.time_text, "
	"flag_names(h.flags) AS flags, h.payload) j)) ";

static bool history_prepare(struct history_call *call, struct error *err)
{
	size_t size;
	FILE *sql = open_memstream(&call->sql, &size);
	bool ok;

	if (sql == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	fprintf(sql,
		"SELECT " HISTORY_KEY
		"%s FROM (%s) h %sWHERE h.fresh OR NOT $6::boolean" HISTORY_ORDER,
		call->json ? history_object : history_line, cli_sql("history.sql"),
		call->json ? "" : history_detail);
	ok = !ferror(sql);
	ok = fclose(sql) == 0 && ok;
	return ok || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

/* only_fresh: leave out what was received earlier. */
static bool history_piece(struct history_call *call, const char *from, const char *to,
	bool only_fresh, struct error *err)
{
	const char *params[HISTORY_PARAMETERS] = {call->station, from, to, call->action,
		call->fresh, only_fresh ? "t" : "f"};

	return stream_query(call->conn, call->sql, HISTORY_PARAMETERS, params, history_on_row, call,
		err);
}

/* Where to look for the next message from `from` on: so many days, or to the end of the period. It
 * ends with a day, as the pieces do, or else one day would be two of them. The server plans a query
 * for all partitions that a range has, so a year is not asked for each day.
 * False if there is nothing left. */
static bool history_window(const struct history_call *call, const char *from, int days,
	char until[static HISTORY_TIME_BYTES], bool *left, struct error *err)
{
	char count[16];
	const char *params[] = {from, count,
		call->period.to[0] == '\0' ? HISTORY_END : call->period.to};
	PGresult *r;

	snprintf(count, sizeof(count), "%d", days);
	r = pg_query(call->conn,
		"SELECT least(date_trunc('day', $1::timestamptz + make_interval(days => $2)), "
		"$3::timestamptz), "
		"$1::timestamptz < $3::timestamptz",
		3, params, err);
	if (r == NULL)
		return false;
	snprintf(until, HISTORY_TIME_BYTES, "%s", PQgetvalue(r, 0, 0));
	*left = *PQgetvalue(r, 0, 1) == 't';
	PQclear(r);
	return true;
}

/* Prints the first day of a window that has a message, and moves `from` after it, or else after the
 * window. */
static bool history_day(struct history_call *call, char from[static HISTORY_TIME_BYTES],
	const char *window, bool *found, struct error *err)
{
	const char *params[] = {call->station, from, window};
	PGresult *r = pg_query(call->conn, cli_sql("history_first.sql"), 3, params, err);
	bool ok = r != NULL;

	*found = ok && PQntuples(r) > 0;
	if (*found)
		ok = history_piece(call, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), false, err);
	if (ok)
		snprintf(from, HISTORY_TIME_BYTES, "%s", *found ? PQgetvalue(r, 0, 1) : window);
	PQclear(r);
	return ok;
}

/* Day by day; skips days without a message. */
static bool history_past(struct history_call *call, struct error *err)
{
	char from[HISTORY_TIME_BYTES], window[HISTORY_TIME_BYTES];
	int days = HISTORY_WINDOW_DAYS;
	bool found, left;

	snprintf(from, sizeof(from), "%s", call->period.from);
	while (history_window(call, from, days, window, &left, err)) {
		if (!left)
			return true;
		if (!history_day(call, from, window, &found, err))
			return false;
		days = found                            ? HISTORY_WINDOW_DAYS
		       : days < HISTORY_WINDOW_DAYS_MAX ? 2 * days
							: days;
	}
	return false;
}

/* ---- --follow ---- */

static void history_swap(struct history_call *call)
{
	struct history_set *seen = call->seen;

	call->seen = call->seeing;
	call->seeing = seen;
	memset(seen, 0, sizeof(*seen));
}

/* Where to poll from next, by the server's clock. */
static bool history_now(struct history_call *call, char from[static HISTORY_TIME_BYTES],
	char to[static HISTORY_TIME_BYTES], struct error *err)
{
	PGresult *r = pg_query(call->conn,
		"SELECT now() - interval '" HISTORY_DATED "', now() + interval '" HISTORY_DATED
		"', now() - interval '" HISTORY_OVERLAP "'",
		0, NULL, err);

	if (r == NULL)
		return false;
	snprintf(from, HISTORY_TIME_BYTES, "%s", PQgetvalue(r, 0, 0));
	snprintf(to, HISTORY_TIME_BYTES, "%s", PQgetvalue(r, 0, 1));
	snprintf(call->fresh, sizeof(call->fresh), "%s", PQgetvalue(r, 0, 2));
	PQclear(r);
	return true;
}

static bool history_follow(struct history_call *call, struct error *err)
{
	static const struct timespec pause = {HISTORY_POLL_US / US_PER_SECOND, 0};
	char from[HISTORY_TIME_BYTES], to[HISTORY_TIME_BYTES];

	while (!history_stopped) {
		if (!history_now(call, from, to, err))
			return false;
		history_swap(call);
		if (!history_piece(call, from, to, true, err))
			return false;
		if (fflush(stdout) != 0)
			return error_set_errno(err, ERROR_FATAL, REASON_output,
				"could not write the history");
		(void)nanosleep(&pause, NULL);
	}
	return error_set(err, ERROR_STOPPED, REASON_stopped, "stopped");
}

/* ---- the command ---- */

/* NO_COLOR: https://no-color.org */
static bool history_has_colours(const struct history_call *call)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): there are no other threads */
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	/* NOLINTEND(concurrency-mt-unsafe) */

	return !call->json && (no == NULL || *no == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0 && isatty(STDOUT_FILENO);
}

static bool history_begin(struct history_call *call, struct error *err)
{
	char from[HISTORY_TIME_BYTES], to[HISTORY_TIME_BYTES];

	if (!pg_exec(call->conn, STREAM_SETUP, err) ||
		!period_set_zone(&call->period, call->conn, err) ||
		!history_now(call, from, to, err) || !history_prepare(call, err))
		return false;
	if (call->period.from[0] == '\0')
		snprintf(call->period.from, sizeof(call->period.from), "%s", from);
	if (!call->follow)
		return true;
	/* What exists already and is outside the period is not new. */
	call->quiet = true;
	if (!history_piece(call, from, to, true, err))
		return false;
	call->quiet = false;
	return true;
}

/* --follow ends by a signal, which may have canceled a query. */
static bool history_was_stopped(const struct error *err)
{
	return err->kind == ERROR_STOPPED || (history_stopped && pg_error_is_canceled(err));
}

static bool history_prepare_following(struct history_call *call, struct error *err)
{
	if (!call->follow)
		return true;
	call->seen = calloc(1, sizeof(*call->seen));
	call->seeing = calloc(1, sizeof(*call->seeing));
	if (call->seen == NULL || call->seeing == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	history_cancel = PQgetCancel(call->conn);
	return history_cancel != NULL ||
	       error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

static enum exit_code history_run(struct history_call *call)
{
	struct error err;
	bool ok;

	call->colour = history_has_colours(call);
	if (!history_prepare_following(call, &err))
		return cli_fail(EXIT_CODE_INTERNAL, &err);
	ok = history_begin(call, &err) && history_past(call, &err) &&
	     (!call->follow || history_follow(call, &err));
	if (ok && call->rows == 0)
		say_line("note", "there are no messages from or to that station in that period");
	if (ok && fflush(stdout) != 0)
		ok = error_set_errno(&err, ERROR_FATAL, REASON_output,
			"could not write the history");
	return ok || history_was_stopped(&err) ? EXIT_CODE_OK : cli_fail_database(&err);
}

enum exit_code cmd_history(const struct config *config, int argc, char **argv)
{
	struct pg_options pg = cli_pg_options(config);
	struct history_call call = {.station = NULL};
	enum exit_code code;
	struct error err;
	const struct argument arguments[] = {
		PERIOD_ARGUMENTS(call.period),
		{.name = "--action", .text = &call.action},
		{.name = "--follow", .given = &call.follow},
		{.name = "--json", .given = &call.json},
	};

	if (!arguments_take("history", arguments, 6, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	if (!period_read(&call.period, &err))
		return cli_fail(EXIT_CODE_USAGE, &err);
	if (argc != 1)
		return cli_usage("history", "say which station");
	call.station = argv[0];
	if (call.follow && call.period.to[0] != '\0')
		return cli_usage("history", "--follow has no end: leave out --to");
	if (call.follow)
		history_handle_signals();
	call.conn = cli_connect(config, &pg, &err);
	if (call.conn == NULL)
		return cli_fail_connect(&err);
	code = history_run(&call);
	history_ignore_signals();
	PQfinish(call.conn);
	free(call.sql);
	free(call.seen);
	free(call.seeing);
	return code;
}
