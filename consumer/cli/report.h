#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * The rows of a query on their way out, one at a time (stream.h). One thread.
 *
 *	table  for people. Widths are those of the first rows; texts that are longer than a column
 *	       are cut ("~"), and on a terminal columns of text shrink until all fit. A last column
 *	       that is named "footer" is a line that follows the table, of the last row.
 *	csv    RFC 4180 in UTF-8, with the names of the columns as its header. NULL is nothing, an
 *	       empty text is "". Spreadsheets take a text for a formula that begins with =, +, - or
 *	       @, also one that begins after a separator of theirs: a ' goes before it there, which
 *	       they take as "this is text". What a terminal obeys is escaped.
 *	json   the first column is JSON: an object a line, with every text as it is.
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
 * False with err: the server's, or FATAL "output" where nothing can be written. Then the connection
 * is good for PQfinish() only.
 */
MUST_CHECK bool report_query(const struct report *r, PGconn *conn, const char *sql, int count,
	const char *const *params, struct error *err);

#endif
