#ifndef COPY_ATTACHER_H
#define COPY_ATTACHER_H

#include "base/error.h"
#include "copy/partitions.h"
#include "pg/connect.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Turns tables that were loaded without an index (migrations/000012_loading.up.sql) into
 * partitions, one at a time, on a connection of its own: the index of one day is built while the
 * rows of the next are stored. partitions.h says which tables (ATTACHING, MOVING). What it cannot
 * do now it leaves, with a warning: the rows are stored, and the next process that looks at
 * loading_partitions can finish it. All on the loop's thread.
 */
struct attacher;

/* What was loaded this way. */
struct loads {
	uint64_t rows;
	uint64_t tables;     /* that became partitions, or were moved into one */
	uint64_t duplicates; /* messages counted as stored whose first row was a duplicate */
	uint64_t waiting;    /* tables left because another session still fills them */
};

/* partitions and loads are borrowed; adds to loads. */
MUST_CHECK bool attacher_new(struct attacher **out, struct ev_loop *loop,
	const struct pg_options *pg, struct partitions *partitions, struct loads *loads,
	struct error *err);
void attacher_free(struct attacher **attacher);

/* There may be something to do. NULL: does nothing. */
void attacher_wake(struct attacher *a);

/* Something is in progress, or waiting. */
bool attacher_is_busy(const struct attacher *a);

/*
 * For a connection that attaches. A step may take any time; it waits for readers of the table, but
 * not endlessly at a time; and if we disappear, the server cancels our step (PostgreSQL 14 and
 * later).
 */
#define ATTACHER_SETUP_SQL                                                                         \
	"SET statement_timeout = 0; SET lock_timeout = '10s'; "                                    \
	"SELECT set_config('client_connection_check_interval', '5s', false) "                      \
	"WHERE current_setting('server_version_num')::integer >= 140000"

/* One step: the name of the table is %s or $1. Returns state and duplicates. */
#define ATTACHER_STEP_SQL(table) "SELECT state, duplicates FROM finish_loading(" table ")"

/* The result of a step. */
enum attacher_result {
	ATTACHER_STEPPED,  /* another step follows: it is indexed, or rows are being moved */
	ATTACHER_STEPPING, /* somebody else is working on it */
	ATTACHER_BUSY,     /* a session still fills it */
	ATTACHER_ATTACHED, /* it is a partition, and its rows are visible */
	ATTACHER_MOVED,    /* its rows are in another partition, and visible */
	ATTACHER_GONE,     /* the table no longer exists, or the answer is unknown */
};
enum attacher_result attacher_result(const char *text);
const char *attacher_result_name(enum attacher_result result);

#endif
