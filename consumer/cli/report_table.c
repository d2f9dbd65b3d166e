#include "cli/report_private.h"
#include "cli/stream.h"

#include "base/escape.h"

#include <string.h>

enum { CELL_WIDTH_MAX = 40, CELL_WIDTH_MIN = 8, CELL_GAP = 2 };

static const char *report_text(const PGresult *row, int column)
{
	return PQgetisnull(row, 0, column) ? "-" : PQgetvalue(row, 0, column);
}

/* Columns on a screen, one per character; an escape is as wide as its text. */
static int report_width(const char *text)
{
	struct slice left = slice_from_cstr(text);
	char one[ESCAPE_BYTES];
	int width = 0;

	while (left.size > 0) {
		size_t n = escape_first(left, one);

		width += strlen(one) == n ? 1 : (int)strlen(one);
		left = slice_skip(left, n);
	}
	return width;
}

/* Cut to width columns; 0 = whole. Returns the columns used. */
static int report_put_text(FILE *out, const char *text, int width)
{
	bool cut = width > 0 && report_width(text) > width;
	struct slice left = slice_from_cstr(text);
	char one[ESCAPE_BYTES];
	int used = 0;

	while (left.size > 0) {
		size_t n = escape_first(left, one);
		int wide = strlen(one) == n ? 1 : (int)strlen(one);

		if (cut && used + wide >= width)
			break;
		fputs(one, out);
		used += wide;
		left = slice_skip(left, n);
	}
	if (left.size > 0) {
		putc('~', out);
		used++;
	}
	return used;
}

static void report_put_blanks(FILE *out, int count)
{
	for (; count > 0; count--)
		putc(' ', out);
}

/* Numbers are right-aligned and never cut. Text in the last column is not padded. */
static void report_put_cell(struct report_table *t, int column, const char *text)
{
	FILE *out = t->report->out;
	bool last = column + 1 == t->columns;
	int used;

	if (column > 0 && !(last && *text == '\0'))
		report_put_blanks(out, CELL_GAP);
	if (t->numbers[column]) {
		report_put_blanks(out, t->widths[column] - report_width(text));
		(void)report_put_text(out, text, 0);
	} else {
		used = report_put_text(out, text,
			last && t->report->terminal_columns == 0 ? 0 : t->widths[column]);
		if (!last)
			report_put_blanks(out, t->widths[column] - used);
	}
	if (last)
		putc('\n', out);
}

/* The widest text shrinks first. If that is not enough, the table is wider than the terminal. */
static void report_fit(struct report_table *t)
{
	int total = -CELL_GAP;

	for (int c = 0; c < t->columns; c++)
		total += t->widths[c] + CELL_GAP;
	while (t->report->terminal_columns > 0 && total > t->report->terminal_columns) {
		int widest = -1;

		for (int c = 0; c < t->columns; c++) {
			if (!t->numbers[c] && t->widths[c] > CELL_WIDTH_MIN &&
				(widest < 0 || t->widths[c] >= t->widths[widest]))
				widest = c;
		}
		if (widest < 0)
			return;
		t->widths[widest]--;
		total--;
	}
}

static void report_put_row(struct report_table *t, const PGresult *row)
{
	for (int c = 0; c < t->columns; c++)
		report_put_cell(t, c, report_text(row, c));
}

/* Keeps the row that may have the footer. */
static void report_done_with(struct report_table *t, PGresult *row)
{
	PQclear(t->last);
	t->last = row;
}

static void report_put_ahead(struct report_table *t, const PGresult *names)
{
	report_fit(t);
	for (int c = 0; c < t->columns; c++)
		report_put_cell(t, c, PQfname(names, c));
	for (int i = 0; i < t->ahead_count; i++) {
		report_put_row(t, t->ahead[i]);
		report_done_with(t, t->ahead[i]);
	}
	t->ahead_count = 0;
	t->begun = true;
}

void report_table_begin(struct report_table *t, const struct report *report, const PGresult *r)
{
	int columns = PQnfields(r);

	*t = (struct report_table){.report = report};
	t->columns = columns - (strcmp(PQfname(r, columns - 1), "footer") == 0);
	CHECK(t->columns > 0 && t->columns <= REPORT_COLUMNS_MAX);
	for (int c = 0; c < t->columns; c++) {
		t->widths[c] = report_width(PQfname(r, c));
		t->numbers[c] = stream_is_number(r, c);
	}
}

void report_table_row(struct report_table *t, PGresult *row)
{
	if (t->begun) {
		report_put_row(t, row);
		report_done_with(t, row);
		return;
	}
	for (int c = 0; c < t->columns; c++) {
		int width = report_width(report_text(row, c));

		if (width > CELL_WIDTH_MAX && !t->numbers[c] &&
			(c + 1 < t->columns || t->report->terminal_columns == 0))
			width = CELL_WIDTH_MAX;
		t->widths[c] = width > t->widths[c] ? width : t->widths[c];
	}
	t->ahead[t->ahead_count++] = row;
	if (t->ahead_count == REPORT_AHEAD_ROWS)
		report_put_ahead(t, row);
}

void report_table_end(struct report_table *t, const PGresult *names)
{
	if (!t->begun)
		report_put_ahead(t, names);
	if (t->last != NULL && PQnfields(t->last) > t->columns) {
		putc('\n', t->report->out);
		(void)report_put_text(t->report->out, report_text(t->last, t->columns), 0);
		putc('\n', t->report->out);
	}
	report_table_drop(t);
}

void report_table_drop(struct report_table *t)
{
	for (int i = 0; i < t->ahead_count; i++)
		PQclear(t->ahead[i]);
	t->ahead_count = 0;
	PQclear(t->last);
	t->last = NULL;
}
