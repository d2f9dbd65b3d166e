#ifndef COPY_PARTITIONS_H
#define COPY_PARTITIONS_H

#include "base/error.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is known about each partition: one state machine, which the batch being filled, the writer
 * and the attacher query and advance. Rows are copied straight into partitions, so this must be
 * known before a batch begins. A partition is named by its table and a number: days or months since
 * 1970.
 *
 *	State      What is known                           Then
 *	UNKNOWN    nothing                                 ADMITTED: a row may go there
 *	                                                   LOADING, THERE, DETACHED: the answer
 *	ADMITTED   a row may go there, or rows already     LOADING, THERE, DETACHED: the answer
 *	           stored wait for it                      UNKNOWN: too many to remember
 *	LOADING    this session fills a table that will    ENDING: the current batch is its last
 *	           become it (000012_loading.up.sql)       ADMITTED: lost with the session, or
 *	                                                   the table was dropped or indexed
 *	ENDING     no longer filled, if the current        ATTACHING: the batch is stored
 *	           batch succeeds                          MOVING: created for rows that cannot wait
 *	                                                   THERE: the same, but the attacher is full
 *	                                                   DETACHED: it cannot be created
 *	                                                   ADMITTED: the batch failed, or no room
 *	ATTACHING  the attacher turns that table into      THERE: attached
 *	           a partition                             ADMITTED: moved, or left for later
 *	                                                   LOADING, MOVING, DETACHED: the answer
 *	MOVING     exists; the attacher moves that         THERE: moved, or left for later
 *	           table's rows into it                    ATTACHING: forgotten
 *	THERE      a partition, perhaps with another       UNKNOWN: forgotten
 *	           name                                    LOADING, DETACHED: the answer
 *	DETACHED   a table has its name, but is not a      UNKNOWN: forgotten
 *	           partition                               LOADING, THERE: the answer
 *
 * "The answer" is the database's: to a batch that needs the partition, or to the query for all
 * partitions. While it is on its way, the attacher may finish, so an answer may also find THERE.
 *
 * partitions_enter() checks every step. Which partitions a batch needs, and which of them it asks
 * for in the current run, belongs to the batch (batch.needs, writer_work.asked); what is known is
 * here.
 *
 * A single clock that is far off must not create thousands of partitions: outside the usual window,
 * only a limited number per table is created. Fixed memory. Only the loop's thread: the batch, the
 * writer and the attacher of a pipeline share one.
 */
struct partitions;

enum partition_state {
	PARTITION_UNKNOWN,
	PARTITION_ADMITTED,
	PARTITION_LOADING,
	PARTITION_ENDING,
	PARTITION_ATTACHING,
	PARTITION_MOVING,
	PARTITION_THERE,
	PARTITION_DETACHED,
};

enum {
	PARTITION_STATES = PARTITION_DETACHED + 1,
	PARTITIONS_LOADING_MAX = 32,   /* LOADING and ENDING */
	PARTITIONS_ATTACHING_MAX = 64, /* ATTACHING and MOVING */
};

enum { PARTITION_NAME_BYTES = 64 };

struct partition {
	enum table_id table;
	int32_t number; /* PARTITION_UNDATED, or days or months since 1970 */
};

enum { PARTITION_UNDATED = INT32_MIN };

static inline bool partition_is_same(struct partition a, struct partition b)
{
	return a.table == b.table && a.number == b.number;
}

MUST_CHECK bool partitions_new(struct partitions **out, uint32_t outside_max, struct error *err);
void partitions_free(struct partitions **p);

/* Change the limit for those outside the usual window, from the next one on; existing ones stay. */
void partitions_set_outside_max(struct partitions *ps, uint32_t outside_max);

/* The partition for a time. */
struct partition partition_of(enum table_id table, int64_t time_us);

/* "meter_values_2026_01_31" */
void partition_name(struct partition p, char out[static PARTITION_NAME_BYTES]);
void partition_loading_name(struct partition p, char out[static PARTITION_NAME_BYTES]);
bool partition_name_parse(const char *name, struct partition *out);

/* A time within it, for creating it. */
int64_t partition_time(struct partition p);

enum partition_state partitions_state(const struct partitions *ps, struct partition p);

/* Whether a state may follow another, by the table above. */
bool partition_may_follow(enum partition_state from, enum partition_state to);

/* The only way from one state to another, except for forgetting. A state may be entered again; a
 * step that is not in the table is the caller's fault (CHECK). */
void partitions_enter(struct partitions *ps, struct partition p, enum partition_state to);

/* The database says that it exists: THERE or MOVING. */
void partitions_add(struct partitions *ps, struct partition p);

/* The same under a name that is not ours: rows go to the parent table, which finds it. */
void partitions_add_renamed(struct partitions *ps, struct partition p);
bool partitions_is_renamed(const struct partitions *ps, struct partition p);

bool partitions_has(const struct partitions *ps, struct partition p);
bool partitions_is_loading(const struct partitions *ps, struct partition p);
bool partitions_is_detached(const struct partitions *ps, struct partition p);

/* How many partitions a table has, without the undated one, and the time at which the oldest
 * begins, if there are any. */
size_t partitions_survey(const struct partitions *ps, enum table_id table, int64_t *oldest_us_out);

/* ---- tables that become partitions ---- */

/* Those in LOADING or ENDING, at most PARTITIONS_LOADING_MAX. */
size_t partitions_count_filled(const struct partitions *ps);
bool partitions_is_filled(const struct partitions *ps, struct partition p);

/*
 * A batch begins: partitions that the previous one left in ENDING become ADMITTED, since nobody
 * knows whether the server heard of it. Rows of the batch go to a LOADING one. The batch is stored:
 * ENDING ones go to the attacher.
 */
void partitions_begin_batch(struct partitions *ps);
void partitions_use(struct partitions *ps, struct partition p);
void partitions_batch_stored(struct partitions *ps);

/* A LOADING one that got no row in that many batches, including the current one. False: none. */
bool partitions_find_idle(const struct partitions *ps, uint32_t batches, struct partition *out);

/* For the attacher: the one that has waited longest. False: none. */
bool partitions_find_attaching(const struct partitions *ps, struct partition *out);
/* The attacher is done with it: attached under its own name, or not. */
void partitions_end_attaching(struct partitions *ps, struct partition p, bool attached);

/* A message answers a call in a table with the partition's name that is not a partition. Says
 * nothing about others: the partition may exist by now. Always false, with err: POISON. */
bool partition_refuse_result(struct partition p, struct error *err);

/* Rows for it are already stored, in a table that will become it: it counts whatever
 * partitions_admit() says. */
void partitions_promise(struct partitions *ps, struct partition p);

/* Everything assumed may be wrong, and the session is over. What was admitted and does not exist
 * yet still counts: a batch in progress may create it. */
void partitions_forget(struct partitions *ps);

/* The same while the session continues: tables that it fills stay, since nobody else can attach
 * them. */
void partitions_doubt(struct partitions *ps);

/*
 * May a row go there? False if it is detached; or if it does not exist, lies outside the window
 * from 400 days back to 2 ahead, and the table already has the maximum of those. Once admitted, it
 * counts.
 */
bool partitions_admit(struct partitions *ps, struct partition p);

#endif
