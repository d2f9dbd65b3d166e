#ifndef CLI_REPORT_PRIVATE_H
#define CLI_REPORT_PRIVATE_H

#include "cli/report.h"

/* Shared by report*.c only. */

enum { REPORT_COLUMNS_MAX = 24, REPORT_AHEAD_ROWS = 200 };

/* A table in progress. The first rows wait until there are enough of them to choose widths. */
struct report_table {
	const struct report *report;
	int columns;
	int widths[REPORT_COLUMNS_MAX];
	bool numbers[REPORT_COLUMNS_MAX];
	PGresult *ahead[REPORT_AHEAD_ROWS];
	int ahead_count;
	bool begun; /* the header is printed; rows are printed immediately */
	PGresult *last;
};

/* A report in progress. */
struct report_run {
	const struct report *report;
	bool begun;
	struct report_table table;
};

/* As for stream_query(); context: a struct report_run. Takes ownership of the row. */
MUST_CHECK bool report_on_row(void *context, PGresult *r, struct error *err);

/* Fills err: what was printed cannot be written. */
bool report_no_output(struct error *err);

/* r, names: any result of the query, for its columns. Takes ownership of the row. */
void report_table_begin(struct report_table *t, const struct report *report, const PGresult *r);
void report_table_row(struct report_table *t, PGresult *row);
void report_table_end(struct report_table *t, const PGresult *names);

/* After an error: writes nothing more. */
void report_table_drop(struct report_table *t);

#endif
