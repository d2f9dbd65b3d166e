#ifndef COPY_BATCH_H
#define COPY_BATCH_H

#include "base/arena.h"
#include "base/error.h"
#include "base/position.h"
#include "base/sha256.h"
#include "copy/partitions.h"
#include "copy/statement.h"
#include "rows/rows.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Messages that are stored in one transaction: their rows by table, equal rows of the batch only
 * once, and the outcome of each message. Everything lives in the batch's arena and is freed by
 * batch_reset(). One thread.
 */
enum batch_outcome { OUTCOME_STORED, OUTCOME_DUPLICATE, OUTCOME_DEAD_LETTERED, OUTCOME_SKIPPED };

struct batch_message {
	uint64_t seq;
	uint32_t index;
	enum batch_outcome outcome;
	const char *reason; /* for DEAD_LETTERED and SKIPPED */

	/* For a message from a station; otherwise absent. */
	struct slice station;
	int64_t received_us;
	int64_t own_us; /* its own time, if it is live; TIME_UNDATED = unknown */
	bool retained;  /* the same as row.retained */
	bool begins;    /* a transaction starts with it */
};

/* A partition that rows go to. */
struct batch_need {
	struct partition partition;
	/* Only a real partition will do: a table that becomes one later (writer_loading.c) does not
	 * accept these rows. */
	bool at_once;
	/* A message that needs it, if no row of the batch shows which; or BATCH_NO_MESSAGE. */
	uint32_t message;
};

#define BATCH_NO_MESSAGE UINT32_MAX

/* Rows of one table, in the order they came. */
struct batch_rows {
	struct row **rows;
	size_t count;
	size_t room;
};

/* row == NULL: free. The hash is stored here because most unequal rows differ in it; then neither
 * they nor rows that only move have to be fetched. */
struct batch_slot {
	uint64_t hash;
	struct row *row;
};

/*
 * Above each group: who sets it, and who reads it. While a batch is filled, the pipeline has it;
 * then the writer, which sorts it, drops rows that are stored already and adds rows that follow
 * from others; then the pipeline again, to count and to decide.
 */
struct batch {
	/* batch_init() and the pipeline, between batches; batch_reset() keeps them. For batch.c,
	 * writer_seen.c (the window) and writer_stations.c (live). */
	struct arena arena; /* decode/ and rows/ also use it */
	int64_t dedupe_window_us;
	bool missing_only; /* meter values of one station, time and EVSE are equal */
	bool live;         /* the broker delivered its messages, now or lately */

	/* batch_begin_record() and batch_end_record(). For writer_claim.c (base/position.h),
	 * writer_totals.c (the gap) and the limits of the pipeline. */
	uint64_t first_seq; /* known, like follows, once a record was begun */
	uint64_t follows;   /* number of the record before the first */
	uint64_t last_seq;  /* known once records > 0 */
	size_t records;
	struct position_link link; /* of the last record begun */
	uint64_t digest;           /* sum of the checksums of its records */
	uint64_t missing; /* records lost before or between them; the last such range is the gap */
	uint64_t gap_first, gap_last; /* if missing > 0 */
	bool torn;                    /* its records are not consecutive */
	size_t payload_bytes;
	int64_t oldest_received_us;

	/* pipeline_fill.c and pipeline_probe.c. For writer_claim.c, and content for
	 * writer_totals.c. */
	bool trial; /* to be rolled back: would its content be accepted? */
	bool apart; /* a trial of records that do not come next: it claims nothing */
	bool has_content;
	uint8_t content[SHA256_BYTES]; /* digest of all records of the log up to last_seq */

	/* The steps of the writer. For pipeline_probe.c: where did it fail? */
	bool preparing;            /* a partition was being made for it: no row was sent yet */
	bool dead_letters_refused; /* their own table refused them */
	bool inserts_transactions, updates_transactions; /* as far as it came */

	/* batch_add() and the calls below it, and writer steps through these. */
	struct batch_message *messages;
	size_t messages_count;
	size_t messages_room;

	struct batch_rows rows[TABLE_COUNT];
	struct batch_rows timeless[EVENT_TABLES]; /* rows that only have a time of receipt */
	struct transaction **transactions;        /* merged, one for each key */
	size_t transactions_count;
	size_t transactions_room;

	struct batch_need *needs;
	size_t needs_count;
	size_t needs_room;

	/* Only batch*.c: hash tables, rows by key, transactions by key. */
	struct batch_slot *row_slots;
	size_t row_slots_count;
	size_t rows_hashed;
	struct row **dead_buckets; /* batch_dead.c; NULL = no dead letters yet */
	struct transaction **transaction_slots;
	size_t transaction_slots_count;
};

MUST_CHECK bool batch_init(struct batch *b, size_t arena_bytes, int64_t dedupe_window_us,
	struct error *err);
void batch_fini(struct batch *b);
void batch_reset(struct batch *b);

/* Empty it without resetting the arena, which somebody else uses, too: reset it at some time. */
void batch_clear(struct batch *b);

/* A record: begin, its messages, end. If a record does not fit, part of it stays in the batch,
 * which must be reset and built again without it. */
void batch_begin_record(struct batch *b, uint64_t seq, const struct position_link *link);
void batch_end_record(struct batch *b, uint64_t seq, size_t payload_bytes, int64_t received_us);

/* For batch*.c: makes the entry for a message's outcome; NULL if the arena is full. */
MUST_CHECK struct batch_message *batch_new_message(struct batch *b, const struct message *m);

/* Add a message with its rows. False with err: FULL, or POISON "partition_limit" (nothing was
 * added). */
MUST_CHECK bool batch_add(struct batch *b, const struct message *m, const struct rows_result *rows,
	struct partitions *partitions, struct error *err);

/* Add a message that is set aside. payload_bytes: its size as received; bare: keep only what cannot
 * be refused. False if the arena is full. */
MUST_CHECK bool batch_add_dead_letter(struct batch *b, const struct message *m,
	const struct error *why, uint64_t payload_bytes, struct slice sha256, bool bare);

/* A result belongs to a call whose row, or what follows from it, is in that partition. Returns the
 * same as batch_add(). */
MUST_CHECK bool batch_need_for_result(struct batch *b, struct partition p, uint32_t message,
	struct partitions *partitions, struct error *err);

/* Add a transaction that was discovered while storing. False if the arena is full. */
MUST_CHECK bool batch_add_transaction(struct batch *b, struct transaction *t);

/* Add a row for a table that is not an event table. False if the arena is full. */
MUST_CHECK bool batch_add_row(struct batch *b, struct row *row);

/* A stored row of transaction_events as a row of resent_events; NULL if the arena is full. */
MUST_CHECK struct row *batch_resent(struct batch *b, const struct row *event);

/* The message of this row was already stored. */
void batch_note_duplicate(struct batch *b, struct row *row);

/* It was not, after all. */
void batch_note_stored(struct batch *b, struct row *row);

/* Sort all rows by their keys, so that workers never deadlock. */
void batch_sort(struct batch *b);

/* Sort only the transactions: some were added while storing. */
void batch_sort_transactions(struct batch *b);

#endif
