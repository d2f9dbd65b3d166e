#ifndef RETENTION_RESTORE_H
#define RETENTION_RESTORE_H

#include "base/error.h"
#include "retention/part.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Restores a partition file (part.h) into its table. All of it is read and checked before anything
 * is stored. Then its rows are stored some thousands at a time, in the order of their keys, so that
 * no writer waits for long; missing partitions are created. Rows that are already there are left as
 * they are, so repeating it, or continuing after an interruption, changes nothing that was done.
 * But an existing row that the file's only adds to (it has a NULL, or fewer flags, or knows a
 * shorter time of a transaction, and contradicts nothing) is replaced by it: messages that were
 * replayed in part made it. Not one of a transaction whose row in the file misses events: the other
 * may be of one of these. A row that has more than the file's counts as already there. Columns that
 * have been added to the table since get their default; a column that the table no longer has, or
 * that has another type there, is an error.
 *
 * Tokens that are forgotten (docs/privacy.md) are stored as their pseudonyms. If one is forgotten
 * while the file is read, it is read again from the beginning.
 *
 * For transactions, their keys (transaction_keys) are restored, too. If a key already belongs to a
 * row with another time, because the id was reused or a late event created the transaction again,
 * that row stays and the one in the file is left out: with both, what was charged once would count
 * twice.
 *
 * Blocking; one thread; memory does not grow with the rows.
 */
struct restore_result {
	char table[PART_NAME_BYTES];
	char name[PART_NAME_BYTES]; /* the partition's original name */
	uint64_t rows;              /* in the file */
	uint64_t stored;            /* rows that were missing, or replaced one that had less */
	uint64_t left_out;       /* rows that are not in the table: it has others in their place */
	uint64_t left_elsewhere; /* those of them whose transaction has a row with another time */
};

/* Whether a path is a file that begins like a partition file, or, by_name, has the name of one: it
 * may have lost all of its bytes. No if there is nothing; false with err if it cannot be read. */
MUST_CHECK bool restore_is_part(const char *path, bool by_name, bool *is_out, struct error *err);

/* note_hours: energy of hours with restored meter values is computed (again). False with err: a
 * database error; FOREIGN, DAMAGED; OUTDATED if the schema is older than the
 * file. out says how far it got. */
MUST_CHECK bool restore_file(PGconn *conn, const char *path, bool note_hours,
	struct restore_result *out, struct error *err);

/* Only the first half: is the file correct? Needs no database. */
MUST_CHECK bool restore_check(const char *path, struct restore_result *out, struct error *err);

#endif
