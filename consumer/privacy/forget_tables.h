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

/* For a table with all of its partitions. */
struct forget_table {
	char name[FORGET_NAME_BYTES];
	uint64_t rows;     /* rows that have it as a value */
	uint64_t mentions; /* others that have it in a longer text */
	uint64_t foreign;  /* partitions that are foreign tables: left as they are */
	uint64_t moved;    /* former partitions in other schemas: left as they are */
	char moved_name[2 * FORGET_NAME_BYTES + 8]; /* one of them, with its schema */
	uint64_t refused; /* rows that keep the token because of an index or constraint */
	char refusal[FORGET_REFUSAL_BYTES]; /* the server's error for one of them */
};

struct forget_tables {
	struct forget_table items[FORGET_TABLES_MAX];
	size_t count;
	uint64_t rows;
	uint64_t refused;
};

/* The entry with that name, added if missing. */
struct forget_table *forget_tables_at(struct forget_tables *tables, const char *name);

/* Add what was found for another form of the token. */
void forget_tables_add(struct forget_tables *to, const struct forget_tables *from);

/*
 * Replaces the token, in transactions of a few pages: a writer that wants one of their rows waits
 * for less than 100 ms, or less than 1 s if somebody else has locked rows of the same page. If a
 * table's primary key has the token and the pseudonym already has a row, the token's row is
 * deleted. A row that another index or a constraint refuses to change stays as it is. Waits for
 * locks as long as necessary, and says so on stderr. Adds to rows, and sets refused. After an
 * interruption, finished parts stay done. A row that a worker moves to another page at the same
 * moment can be missed: count, and repeat if any are left.
 */
MUST_CHECK bool forget_tables_replace(PGconn *conn, const struct forget_words *words,
	struct forget_tables *tables, struct error *err);

/* Counts them in one snapshot: sets rows, mentions and foreign for each table. */
MUST_CHECK bool forget_tables_count(PGconn *conn, const struct forget_words *words,
	struct forget_tables *out, struct error *err);

#endif
