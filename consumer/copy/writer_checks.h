#ifndef COPY_WRITER_CHECKS_H
#define COPY_WRITER_CHECKS_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdint.h>

/*
 * What the writer asks each new connection before its first batch, for a command that only wants to
 * know: the same questions, the same words for what is wrong. Nothing is changed. conn is one of
 * pg_wait_connect(). Blocking, for no longer than timeout_us each; one thread.
 */

/* False with err: rights that the role lacks, with the statements that give them as its hint. True
 * of a schema that is not there. */
MUST_CHECK bool writer_check_rights(PGconn *conn, const char *schema, int64_t timeout_us,
	struct error *err);

/* False with err, OUTDATED or FATAL, unless the schema is there, clean and of this version. */
MUST_CHECK bool writer_check_schema(PGconn *conn, const char *schema, int64_t version,
	int64_t timeout_us, struct error *err);

/* A word of secrets.keys. FATAL. Any thread. */
MUST_CHECK bool writer_check_secret_key(const char *word, struct error *err);

#endif
