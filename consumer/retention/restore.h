#ifndef RETENTION_RESTORE_H
#define RETENTION_RESTORE_H

#include "base/error.h"
#include "retention/part.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A partition file (part.h) back into its table. All of it is read and checked before anything is
 * stored. Then its rows are stored some thousands at a time, in the order of their keys, so that
 * nobody who writes waits for long; partitions that are missing are made. Rows that are there are
 * left as they are, so doing it again, or going on after an interruption, changes nothing that was
 * done. Columns that were added to the table since take their default; a column that it does not
 * have any more, or that has another type, is an error.
 *
 * Of transactions, keys (transaction_keys) come back, too. Where a key stands for a row of another
 * time, because the id was used again or a late event made the transaction anew, that row stays,
 * and the one of the file is left out: both would count twice what was charged once.
 *
 * Blocking; one thread; memory does not grow with the rows.
 */
struct restore_result {
	char table[PART_NAME_BYTES];
	char name[PART_NAME_BYTES]; /* of the partition, as it was */
	uint64_t rows;              /* in the file */
	uint64_t stored;            /* that were not there */
	uint64_t left_out;          /* see above */
};

/* Whether a path is a file that begins like one. False also of a file that cannot be opened. */
bool restore_is_part(const char *path);

/* False with err: of the database; FOREIGN, DAMAGED; OUTDATED if the schema is older than the
 * file. out says how far it came. */
MUST_CHECK bool restore_file(PGconn *conn, const char *path, struct restore_result *out,
	struct error *err);

/* The first half of it: is the file right? Without a database. */
MUST_CHECK bool restore_check(const char *path, struct restore_result *out, struct error *err);

#endif
