#ifndef MIGRATE_SQL_SPLIT_H
#define MIGRATE_SQL_SPLIT_H

#include "base/slice.h"

#include <stdbool.h>

/*
 * Cuts a file of SQL into its statements, so that an error can name the line of its statement:
 * PostgreSQL gives no position for errors during execution ("relation already exists"). It
 * understands PostgreSQL's quotes, dollar quotes, nested comments, parentheses and bodies in BEGIN
 * ATOMIC ... END, in which a semicolon does not end the statement. Anything left open at the end of
 * the file becomes the last statement, and the server reports what is wrong with it. Pure.
 */
struct sql_statement {
	struct slice text; /* without leading blanks and comments, and without its semicolon */
	int line;          /* of its first byte, from 1 */
};

struct sql_split {
	struct slice rest;
	int line;
};

void sql_split_init(struct sql_split *s, struct slice file);

/* False at the end. out borrows from the file. */
bool sql_split_next(struct sql_split *s, struct sql_statement *out);

/* True for BEGIN, COMMIT, ROLLBACK and their other names; not for savepoints. */
bool sql_is_transaction_control(struct slice statement);

/* The line of a position that PostgreSQL reported: in UTF-8 characters, from 1. */
int sql_line_at(const struct sql_statement *statement, long position);

#endif
