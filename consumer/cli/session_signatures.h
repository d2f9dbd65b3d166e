#ifndef CLI_SESSION_SIGNATURES_H
#define CLI_SESSION_SIGNATURES_H

#include "base/error.h"
#include "cli/report.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * What the signed readings of each session say: is there one of its begin and one of its end, are
 * the signatures valid, and do they agree with what the station said without a signature? It takes
 * the rows of sql/signatures.sql, in which those of a session follow each other, and prints a line
 * for each session to stdout. One thread.
 */
struct session_signatures;

struct session_signatures_options {
	const char *keys_path; /* see signatures/key_list.h; NULL = none */
	enum report_form form;
	bool only_wrong; /* print only sessions in which something is wrong */
};

MUST_CHECK bool session_signatures_new(struct session_signatures **out,
	const struct session_signatures_options *options, struct error *err);
void session_signatures_free(struct session_signatures **sessions);

/* Takes ownership of a result with one row. */
MUST_CHECK bool session_signatures_take(struct session_signatures *sessions, PGresult *row,
	struct error *err);

/* After the last row. */
MUST_CHECK bool session_signatures_end(struct session_signatures *sessions, struct error *err);

/* Was there a session in which something is wrong? That nobody can tell (no key, another format) is
 * not wrong. */
bool session_signatures_found_wrong(const struct session_signatures *sessions);

#endif
