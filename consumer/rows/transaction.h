#ifndef ROWS_TRANSACTION_H
#define ROWS_TRANSACTION_H

#include "base/arena.h"
#include "base/error.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One transaction, merged from facts that may come in any order, any number of times, through
 * several workers. transaction_merge() is commutative, associative and idempotent: each group of
 * columns (rows/transaction.def) comes from the fact with the highest rank, never simply from the
 * last one. Ranks are stored with the row, in column merge_state. Pure; any thread.
 */
enum transaction_group {
	GROUP_START,
	GROUP_STOP,
	GROUP_TOKEN,
	GROUP_PLACE,
	GROUP_VERSION,
	GROUP_STATE,
	GROUP_REMOTE,
	GROUP_METER_START,
	GROUP_METER_STOP,
	GROUP_COST,
	GROUP_ANSWER,
	GROUP_COUNT,
};

/* Compared in this order; kind 0 = the group is unknown. */
struct rank {
	int32_t kind;
	int64_t seq;
	int64_t time_us;
	uint64_t digest;
};

/* Numbers seen so far, as disjoint ranges [low, high] in ascending order. */
struct seq_range {
	int32_t low;
	int32_t high;
};

/* Beyond this many ranges the two closest are joined: a limit for hostile input, far more than a
 * station can lose. */
enum { SEQ_RANGES_MAX = 256 };

struct transaction {
	struct row *row; /* for the table transactions; transaction_pack() fills merge_state */
	struct rank ranks[GROUP_COUNT];
	struct seq_range *ranges;
	uint32_t ranges_count;
	/*
	 * Not stored. resplit: the id has several starts, or turned out to be a real id; its
	 * sessions are rebuilt from all of its events (rows/sessions.h). earliest_us: the earliest
	 * time merged; a fact without a time counts at its receipt. shared: 1.6, and the id is 0 or
	 * below. shared_id: for an event that stands for itself, the id that it states.
	 */
	bool resplit;
	bool shared;
	int64_t earliest_us;
	struct slice shared_id;
};

/* Kinds of ranks: what makes a fact better than another, before seqNo and time are compared. */
enum {
	RANK_STATED = 1,
	RANK_UPDATED = 2,
	RANK_STARTED = 3,
	RANK_LINKED = 10,
	/* Added to another: one of several starts without a time that look the same. */
	RANK_AGAIN = 0x100,
};

/* Kinds of readings. Those at the outlet beat all others. Another place counts only while it is the
 * only one: readings at two other places do not count, whatever else comes (PLACES). */
enum {
	READING_ELSEWHERE = 1,
	READING_ELSEWHERE_MARKED = 2,
	READING_PLACES = 5,
	READING_FROM_EVENT = 11,
	READING_MARKED = 12,
	READING_METER = 13,
	READING_METER_START = 20,
};

/* A reading of the energy register in Wh, as decimal text. kind 0: none. */
struct reading {
	int32_t kind;
	int64_t place; /* positive digest of the location; 0 = the outlet */
	int64_t time_us;
	struct slice wh; /* absent: READING_PLACES */
};

/*
 * How well a 1.6 result, which has the id, fits a call, which has the start. If message ids repeat,
 * one result may fit several calls; the best fit counts. Of several results for one start, the one
 * received last counts.
 */
enum link_kind { LINK_BEFORE = 1, LINK_AFTER = 2, LINK_TRACED = 3 };

struct transaction_link {
	enum link_kind kind; /* result received before the call, after it, or with the same trace */
	int64_t distance_us; /* between the times of receipt */
	int64_t received_us; /* of the result */
	uint64_t result_digest;
};

/* Above zero if a fits better than b. */
int transaction_link_compare(const struct transaction_link *a, const struct transaction_link *b);

/* An empty transaction; NULL if the arena is full. The id is borrowed. */
MUST_CHECK struct transaction *transaction_new(struct arena *arena, struct slice station,
	struct slice id);

/*
 * An empty transaction for a 1.6 event. An id of 0 or below is a real id only if the CSMS has given
 * it to a start that it accepted: a station uses such ids when it never got one, for any number of
 * sessions (OCPP 1.6 errata 3.18), and a CSMS sends them with a refusal. So each event with such an
 * id stands for itself, with its digest after the id, until such a start is known (shared_id,
 * resplit).
 */
MUST_CHECK struct transaction *transaction_new_16(struct arena *arena, struct slice station,
	struct slice id, uint64_t event_digest);

/* The transaction whose row locks the events of a shared_id, and knows whether it is a real id;
 * NULL if the arena is full. */
MUST_CHECK struct transaction *transaction_of_shared_id(const struct transaction *t,
	struct arena *arena);

/* A 1.6 start had this id and lost it: what was made from it must be rebuilt. */
struct transaction *transaction_without_start(struct arena *arena, struct slice station,
	struct slice id, int64_t start_us);

/* False for shared ids, and while only costs and flags are known: those are not a transaction
 * yet. */
bool transaction_has_events(const struct transaction *t);

/* Add an event: fills t from a row of transaction_events. link: how a 1.6 start got its id; NULL
 * for others. False if the arena is full. */
MUST_CHECK bool transaction_add_event(struct transaction *t, const struct row *event,
	const struct transaction_link *link, struct arena *arena);

/* Add a meter reading at the start (the lowest time wins) or at the end (the highest). */
void transaction_add_reading(struct transaction *t, bool at_start, const struct reading *reading,
	uint64_t digest);

/* Add the cost so far; the one received last counts. A cost is not an event: it waits for one. */
void transaction_add_cost(struct transaction *t, struct slice cost, int64_t received_us,
	uint64_t digest);

/* A transaction that only has flags: what looks odd about 1.6 meter values that name it. They are
 * not events either. NULL if the arena is full. */
MUST_CHECK struct transaction *transaction_new_flags(struct arena *arena, struct slice station,
	struct slice id, int64_t flags, int64_t at_us);

/* The answer to a 1.6 start. */
void transaction_add_answer(struct transaction *t, struct slice status, struct slice group_id_token,
	const struct transaction_link *link);

/* Merge from into into. Text stays borrowed. False if the arena is full. */
MUST_CHECK bool transaction_merge(struct transaction *into, const struct transaction *from,
	struct arena *arena);

/* Compute derived columns (partition_time, flags, counts) and pack merge_state. */
MUST_CHECK bool transaction_pack(struct transaction *t, struct arena *arena);

/* The inverse: reads ranks and ranges from the row's merge_state. FATAL if we did not write it. */
MUST_CHECK bool transaction_unpack(struct transaction *t, struct arena *arena, struct error *err);

#endif
