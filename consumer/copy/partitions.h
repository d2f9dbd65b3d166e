#ifndef COPY_PARTITIONS_H
#define COPY_PARTITIONS_H

#include "base/error.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is known of each partition: one state machine, which the batch that is filled, the writer
 * and the attacher ask and move on. Rows are copied straight into partitions, so a batch must know
 * before it begins. A partition is named by its table and a number: days or months since 1970.
 *
 *	State      What is known                           Then
 *	UNKNOWN    nothing                                 ADMITTED: a row may go there
 *	                                                   LOADING, THERE, DETACHED: the answer
 *	ADMITTED   a row may go there, or rows that are    LOADING, THERE, DETACHED: the answer
 *	           stored wait for it                      UNKNOWN: too many to remember
 *	LOADING    this session fills a table that will    ENDING: the batch under way gives it up
 *	           be it (migrations/000012_loading.up)    ADMITTED: lost with the session, or
 *	                                                   the table was dropped or indexed
 *	ENDING     it is filled no more, if the batch      ATTACHING: the batch is stored
 *	           under way succeeds                      MOVING: made for rows that cannot wait
 *	                                                   THERE: so, and the attacher has no room
 *	                                                   DETACHED: it cannot be made
 *	                                                   ADMITTED: the batch failed, or no room
 *	ATTACHING  the attacher makes a partition of       THERE: attached
 *	           that table                              ADMITTED: moved, or left for later
 *	                                                   LOADING, MOVING, DETACHED: the answer
 *	MOVING     there; the attacher moves the rows of   THERE: moved, or left for later
 *	           that table into it                      ATTACHING: forgotten
 *	THERE      a partition, perhaps by another name    UNKNOWN: forgotten
 *	                                                   LOADING, DETACHED: the answer
 *	DETACHED   a table has its name, but is no         UNKNOWN: forgotten
 *	           partition                               LOADING, THERE: the answer
 *
 * The answer is the database's: to a batch that needs the partition, or to the question which there
 * are. While it is on its way, the attacher may be done, so an answer may also find THERE.
 *
 * partitions_enter() checks every step. Which partitions a batch needs, and which of them it asks
 * for in the current run, are questions of that batch and go with it (batch.needs,
 * writer_work.asked); what is known is here.
 *
 * One clock that is far off must not make thousands of partitions: outside the usual window only so
 * many per table are made. Fixed memory. The loop's thread and no other: the batch, the writer and
 * the attacher of one pipeline share one.
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

/* Another limit of those outside the usual window, from the next one on; what is there stays. */
void partitions_set_outside_max(struct partitions *ps, uint32_t outside_max);

/* The partition that takes a time. */
struct partition partition_of(enum table_id table, int64_t time_us);

/* "meter_values_2026_01_31" */
void partition_name(struct partition p, char out[static PARTITION_NAME_BYTES]);
void partition_loading_name(struct partition p, char out[static PARTITION_NAME_BYTES]);
bool partition_name_parse(const char *name, struct partition *out);

/* A time within it, for making it. */
int64_t partition_time(struct partition p);

enum partition_state partitions_state(const struct partitions *ps, struct partition p);

/* Whether a state may follow another one, by the table above. */
bool partition_may_follow(enum partition_state from, enum partition_state to);

/* The only way from one state to another, but for what is forgotten. A state may be entered again;
 * a step that the table does not have is a fault of the caller (CHECK). */
void partitions_enter(struct partitions *ps, struct partition p, enum partition_state to);

/* There, as the database said: THERE or MOVING. */
void partitions_add(struct partitions *ps, struct partition p);

/* The same, by another name than ours: rows go to its table, which finds it. */
void partitions_add_renamed(struct partitions *ps, struct partition p);
bool partitions_is_renamed(const struct partitions *ps, struct partition p);

bool partitions_has(const struct partitions *ps, struct partition p);
bool partitions_is_loading(const struct partitions *ps, struct partition p);
bool partitions_is_detached(const struct partitions *ps, struct partition p);

/* How many of a table are there, without the undated one, and, if there are any, the time at which
 * the oldest begins. */
size_t partitions_survey(const struct partitions *ps, enum table_id table, int64_t *oldest_us_out);

/* ---- tables that become partitions ---- */

/* In LOADING or ENDING, of PARTITIONS_LOADING_MAX. */
size_t partitions_count_filled(const struct partitions *ps);
bool partitions_is_filled(const struct partitions *ps, struct partition p);

/* A batch begins: ENDING that the one before left behind becomes ADMITTED, since nobody knows
 * whether the server heard of it. Rows of the batch go to one that is LOADING. The batch is stored:
 * ENDING goes to the attacher. */
void partitions_begin_batch(struct partitions *ps);
void partitions_use(struct partitions *ps, struct partition p);
void partitions_batch_stored(struct partitions *ps);

/* One that is LOADING and got no row in so many batches, nor in the current one. False: none. */
bool partitions_find_idle(const struct partitions *ps, uint32_t batches, struct partition *out);

/* For the attacher: the one that has waited longest. False: none. */
bool partitions_find_attaching(const struct partitions *ps, struct partition *out);
/* It is done with it: attached under its own name, or not. */
void partitions_end_attaching(struct partitions *ps, struct partition p, bool attached);

/* A message answers a call in a table of its name that is not a partition. It says nothing of
 * others: another partition may be there by now. Always false, with err: POISON. */
bool partition_refuse_result(struct partition p, struct error *err);

/* Rows for it are stored already, in a table that will be it: whatever partitions_admit() says
 * counts it. */
void partitions_promise(struct partitions *ps, struct partition p);

/* Whatever was believed may be wrong, and the session is over. What was admitted and is not there
 * yet still counts: a batch that is under way may have it made. */
void partitions_forget(struct partitions *ps);

/* The same while the session goes on: what it fills stays, since nobody else can attach it. */
void partitions_doubt(struct partitions *ps);

/*
 * May a row go there? False if it is detached, or if it is not there, outside of 400 days back and
 * 2 ahead of now, and the table has as many of those as it may have. What is admitted counts from
 * here on.
 */
bool partitions_admit(struct partitions *ps, struct partition p);

#endif
