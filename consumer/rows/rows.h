#ifndef ROWS_ROWS_H
#define ROWS_ROWS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/pseudonyms.h"
#include "decode/message.h"
#include "rows/layouts.h"
#include "rows/recent_calls.h"
#include "rows/schema.h"
#include "rows/sequences.h"
#include "rows/table.h"
#include "rows/transaction.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Message -> rows. Which field goes into which column is in schemas/; here is what no table can
 * say: identity, times, the shape of meter values, what is left over. Nothing is rejected for its
 * content: what looks wrong is flagged, what has no column goes into extra, raw or payload, what
 * cannot be text goes into payload_raw. Pure but for the known layouts; one thread.
 *
 * Identity (digest version 1). The key of an event is station, its own time, EVSE and a digest of
 * its content in canonical form (decode/value.h), so a repeat finds its first copy whatever path
 * and encoding it came by. A message without a time of its own has the time of receipt, and its
 * digest also covers direction, action, message id and trace id; so has one whose time is invalid.
 * The action is not part of an answer's digest, since an OCPP-J array does not name it; two answers
 * that name different actions are still two. No details and empty ones ({}) are the same. The key
 * of the latter has no time (TIME_UNDATED): its digest carries the window of dedupe.window in which
 * it was received (row_content()), so that the same message is a new event after that.
 */
struct rows_options {
	bool results_all;                 /* store results that say nothing */
	const struct slice *skip_actions; /* not stored, counted as skipped */
	size_t skip_actions_count;
	int64_t dedupe_window_us;
	int64_t retention_us[EVENT_TABLES]; /* older rows are left out; 0 = none are */
};

/* An index entry (PostgreSQL's btree, version 4: BTMaxItemSize for pages of 8 KiB), whether it
 * could be compressed or not. */
enum { ROWS_INDEX_BYTES_MAX = 2704 };

struct rows_builder {
	const struct schemas *schemas;
	struct layouts *layouts;
	struct sequences *sequences;   /* or NULL; then its messages come from one decoder */
	struct recent_calls *calls;    /* or NULL: answers that do not name their action stay so */
	struct pseudonyms *pseudonyms; /* or NULL: none are known */
	struct rows_options options;
	int64_t expired_before_us[EVENT_TABLES]; /* rows_set_now() */
};

/* What is older than options.retention_us is so now: before the first message, and now and then. */
void rows_set_now(struct rows_builder *b, int64_t now_us);

/* What becomes of one message. The first row is the message's own: if it was there before, the
 * message is a duplicate. */
struct rows_result {
	struct row *first;
	struct row *last;
	struct row *halves;              /* for exchange_halves; a list, often empty */
	struct transaction *transaction; /* what it says about a transaction, or NULL */
	const char *skipped;             /* why there are no rows of events on purpose, or NULL */
};

/*
 * Everything comes from the arena and borrows from the message. False with err: FULL;
 * POISON for a message to the store that breaks its contract, or "limit" for one with a name that
 * is longer than an index takes.
 */
MUST_CHECK bool rows_from_message(struct rows_builder *b, struct message *m, struct arena *arena,
	struct rows_result *out, struct error *err);

/* For a message that is set aside: its bytes with pseudonyms (message.kept). False if the arena is
 * full. */
MUST_CHECK bool rows_keep_bytes(const struct rows_builder *b, struct message *m,
	struct arena *arena);

/*
 * A row for dead_letters; all of its texts can be stored. NULL if the arena is full. payload_bytes:
 * size as received.
 */
MUST_CHECK struct row *rows_dead_letter(struct arena *arena, const struct message *m,
	const struct error *why, uint64_t payload_bytes, struct slice sha256);

/* For a dead letter that was refused itself: keep only numbers and its place in the log. */
void rows_strip_dead_letter(struct row *row);

/* True for the row of a result or error in ocpp_events. */
bool row_is_answer(const struct row *row);

/* The action that an answer names itself; "" if it names none, or is not an answer. */
struct slice row_own_name(const struct row *row);

/* True for rows of two answers that name different actions. */
bool row_names_differ(const struct row *a, const struct row *b);

/* Into the row of an answer: what only a copy of it says, its action or its request. */
void row_adopt(struct row *row, const struct row *copy);

/* Into a half: the key of its row, once it is settled which row that is. */
void row_settle_half(struct row *half);

/* True for a row of an event table without a valid time of its own. */
bool row_is_timeless(const struct row *row);

/* True for one of them that has no time in its key either: the station gave one that is invalid. */
bool row_is_undated(const struct row *row);

/* When an event was received. */
int64_t row_received_us(const struct row *row);

/*
 * The digest of an event's content alone. That of an undated row also has, by exclusive or, the
 * number of the window (time of receipt / dedupe.window) in which it was received: two copies
 * within dedupe.window of each other are in the same window or in adjacent ones.
 */
int64_t row_content(const struct row *row, int64_t dedupe_window_us);

#endif
