#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Prints the rows of a query, one at a time (stream.h). One thread.
 *
 *	table  for people. Widths are those of the first rows; text that is longer than a column
 *	       is cut ("~"), and on a terminal columns of text shrink until all fit. If the last
 *	       column is named "footer", its value in the last row follows the table as a line.
 *	csv    RFC 4180 in UTF-8, with the names of the columns as its header. NULL is nothing, an
 *	       empty text is "". Spreadsheets take text that begins with =, +, - or @ for a formula,
 *	       also after one of their separators: a ' goes before it, which tells them that it is
 *	       text. Control characters are escaped.
 *	json   the first column is JSON: one object per line, with every text as it is.
 */
enum report_form { REPORT_TABLE, REPORT_CSV, REPORT_JSON };

struct report {
	enum report_form form;
	FILE *out;
	int terminal_columns; /* 0 = no terminal */
};

/* To stdout, which may be a terminal. */
struct report report_to_stdout(enum report_form form);

/*
 * False with err: the server's, or FATAL "output" if nothing can be written. After that, the
 * connection is only good for PQfinish().
 */
MUST_CHECK bool report_query(const struct report *r, PGconn *conn, const char *sql, int count,
	const char *const *params, struct error *err);

/*
 * The same for rows that are computed here, and put one at a time; NULL is a value that is not
 * known. JSON: an object for each row, without the values that are not known. The columns must
 * outlive the rows.
 */
struct report_rows;

struct report_column {
	const char *name;
	bool number; /* else text, in UTF-8 */
};

MUST_CHECK bool report_rows_new(struct report_rows **out, const struct report *r,
	const struct report_column *columns, int count, struct error *err);
MUST_CHECK bool report_rows_put(struct report_rows *rows, const char *const *values,
	struct error *err);
MUST_CHECK bool report_rows_end(struct report_rows *rows, struct error *err);
void report_rows_free(struct report_rows **rows);

#endif
