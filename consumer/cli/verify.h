#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli/cli.h"

#include <libpq-fe.h>

/* Shared by cmd_verify*.c only. *right_out becomes false if something is wrong, and it was said. */

/* A query that is compiled in, with text parameters. */
PGresult *verify_query_file(PGconn *conn, const char *name, int count, const char *const *params,
	struct error *err);

/* For every log: what the database counted against what the log counted, as of its last claim. */
MUST_CHECK bool verify_claims(PGconn *conn, bool *right_out, struct error *err);

/* The log in dir, as it is now. Nothing if there is none. */
MUST_CHECK bool verify_log(PGconn *conn, const char *dir, bool *right_out, struct error *err);

#endif
