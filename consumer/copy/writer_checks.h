#ifndef COPY_WRITER_CHECKS_H
#define COPY_WRITER_CHECKS_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdint.h>

/*
 * The checks that the writer makes on each new connection before its first batch, for a command
 * that only wants to know: the same queries and the same error texts. Changes nothing. conn is from
 * pg_wait_connect(). Blocking, for at most timeout_us each; one thread.
 */

/* False with err: rights that the role lacks; the hint has the statements that grant them. True if
 * the schema does not exist. */
MUST_CHECK bool writer_check_rights(PGconn *conn, const char *schema, int64_t timeout_us,
	struct error *err);

/* False with err, OUTDATED or FATAL, unless the schema exists, is clean and has this version. */
MUST_CHECK bool writer_check_schema(PGconn *conn, const char *schema, int64_t version,
	int64_t timeout_us, struct error *err);

/* Checks a word of secrets.keys. FATAL. Any thread. */
MUST_CHECK bool writer_check_secret_key(const char *word, struct error *err);

#endif
