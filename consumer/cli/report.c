#include "cli/report_private.h"
#include "cli/stream.h"

#include "base/escape.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct report report_to_stdout(enum report_form form)
{
	struct report r = {.form = form, .out = stdout};
	struct winsize size;

	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		r.terminal_columns = size.ws_col;
	return r;
}

/* ---- csv ---- */

/* Digits with a sign are a number to a spreadsheet, too. */
static bool report_reads_as_number(const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');

	return *digits != '\0' && digits[strspn(digits, "0123456789.")] == '\0';
}

static void report_put_quoted(FILE *out, const char *text)
{
	struct slice left = slice_from_cstr(text);
	bool starts = !report_reads_as_number(text); /* a formula might start here */
	char one[ESCAPE_BYTES];

	putc('"', out);
	while (left.size > 0) {
		size_t n = escape_first(left, one);

		if (starts && strchr("=+-@", one[0]) != NULL)
			putc('\'', out);
		if (one[0] == '"')
			putc('"', out);
		fputs(one, out);
		/* Which character separates cells depends on the spreadsheet and its language.
		 * Blanks may follow it. */
		starts = strchr(",;|\"", one[0]) != NULL || (starts && one[0] == ' ');
		left = slice_skip(left, n);
	}
	putc('"', out);
}

static void report_put_csv(FILE *out, const PGresult *row)
{
	int columns = PQnfields(row);

	for (int c = 0; c < columns; c++) {
		if (!PQgetisnull(row, 0, c)) {
			if (stream_is_number(row, c))
				fputs(PQgetvalue(row, 0, c), out);
			else
				report_put_quoted(out, PQgetvalue(row, 0, c));
		}
		fputs(c + 1 < columns ? "," : "\r\n", out);
	}
}

static void report_put_csv_head(FILE *out, const PGresult *r)
{
	int columns = PQnfields(r);

	for (int c = 0; c < columns; c++)
		fprintf(out, "%s%s", PQfname(r, c), c + 1 < columns ? "," : "\r\n");
}

/* ---- all formats ---- */

static void report_begin(struct report_run *run, const PGresult *r)
{
	if (run->begun)
		return;
	run->begun = true;
	if (run->report->form == REPORT_CSV)
		report_put_csv_head(run->report->out, r);
	else if (run->report->form == REPORT_TABLE)
		report_table_begin(&run->table, run->report, r);
}

/* Takes ownership of the row. */
static void report_row(struct report_run *run, PGresult *row)
{
	switch (run->report->form) {
	case REPORT_TABLE:
		report_table_row(&run->table, row);
		return;
	case REPORT_CSV:
		report_put_csv(run->report->out, row);
		break;
	case REPORT_JSON:
		(void)escape_print_json(run->report->out, slice_from_cstr(PQgetvalue(row, 0, 0)));
		putc('\n', run->report->out);
		break;
	}
	PQclear(row);
}

bool report_no_output(struct error *err)
{
	return error_set_errno(err, ERROR_FATAL, REASON_output, "could not write the report");
}

bool report_on_row(void *context, PGresult *r, struct error *err)
{
	struct report_run *run = context;

	report_begin(run, r);
	if (PQntuples(r) == 0) {
		if (run->report->form == REPORT_TABLE)
			report_table_end(&run->table, r);
		PQclear(r);
		return true;
	}
	report_row(run, r);
	return !ferror(run->report->out) || report_no_output(err);
}

bool report_query(const struct report *r, PGconn *conn, const char *sql, int count,
	const char *const *params, struct error *err)
{
	struct report_run run = {.report = r};
	bool ok = stream_query(conn, sql, count, params, report_on_row, &run, err);

	report_table_drop(&run.table);
	return ok && (fflush(r->out) == 0 || report_no_output(err));
}
