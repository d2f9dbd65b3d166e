#ifndef PRIVACY_FORGET_TABLES_H
#define PRIVACY_FORGET_TABLES_H

#include "base/error.h"
#include "privacy/forget_words.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The rows that have a token, in all tables of base/token_places.def. Blocking; one thread.
 */
enum { FORGET_TABLES_MAX = 64, FORGET_NAME_BYTES = 64, FORGET_REFUSAL_BYTES = 256 };

/* Of a table with all of its partitions. */
struct forget_table {
	char name[FORGET_NAME_BYTES];
	uint64_t rows;     /* that have it as a value */
	uint64_t mentions; /* others, in which it is part of a longer text */
	uint64_t foreign;  /* partitions that are foreign tables, which are left as they are */
	uint64_t moved;    /* tables in other schemas that were partitions: likewise */
	char moved_name[2 * FORGET_NAME_BYTES + 8]; /* of one of them, with its schema */
	uint64_t refused; /* rows that keep the token: a unique index or a constraint insists */
	char refusal[FORGET_REFUSAL_BYTES]; /* which one, as the server says it of one row */
};

struct forget_tables {
	struct forget_table items[FORGET_TABLES_MAX];
	size_t count;
	uint64_t rows;
	uint64_t refused;
};

/* The one of that name, added if it is not there. */
struct forget_table *forget_tables_at(struct forget_tables *tables, const char *name);

/* What was found of another form of the token. */
void forget_tables_add(struct forget_tables *to, const struct forget_tables *from);

/*
 * Replace it, in transactions of a few pages: a writer that wants one of their rows waits for less
 * than 100 ms, and for less than 1 s where somebody else has locked rows of the same page. Where a
 * table's primary key has the token, and the pseudonym has a row already, the token's row is
 * deleted. A row that another index or a constraint refuses to change stays as it is. Waits for
 * locks for as long as it takes, and says so on stderr. Adds up in rows, and sets refused. If it is
 * interrupted, what was done stays done. What a worker moves to another page at the same moment can
 * be passed over: count, and do it again if any are left.
 */
MUST_CHECK bool forget_tables_replace(PGconn *conn, const struct forget_words *words,
	struct forget_tables *tables, struct error *err);

/* Count them, as of one moment: sets rows, mentions and foreign of each table. */
MUST_CHECK bool forget_tables_count(PGconn *conn, const struct forget_words *words,
	struct forget_tables *out, struct error *err);

#endif
