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
 * Message -> rows. Which field goes into which column is in schemas/; here is what a table cannot
 * express: identity, times, the shape of meter values, leftover fields. Nothing is rejected for its
 * content: what looks wrong is flagged, what has no column goes into extra, raw or payload, what
 * cannot be text goes into payload_raw. Pure except for the known layouts; one thread.
 *
 * Identity (digest version 1). The key of an event is its station, its own time, EVSE and a digest
 * of its content in canonical form (decode/value.h), so a repeat finds its first copy whatever path
 * and encoding it came by. A message without a time of its own, or with an invalid one, has the
 * time of receipt, and its digest also covers direction, action, message id and trace id. An
 * answer's digest leaves out the action, since an OCPP-J array does not name it; two answers that
 * name different actions are still two. Absent details and empty ones ({}) are the same. If the
 * message's time was invalid, its key has no time (TIME_UNDATED): instead, its digest includes the
 * window of dedupe.window in which it was received (row_content()), so that the same message is a
 * new event after that.
 */
struct rows_options {
	bool results_all;                 /* also store empty results */
	const struct slice *skip_actions; /* not stored, counted as skipped */
	size_t skip_actions_count;
	int64_t dedupe_window_us;
	int64_t retention_us[EVENT_TABLES]; /* older rows are left out; 0 = no limit */
};

/* Limit of an index entry (PostgreSQL's btree, version 4: BTMaxItemSize for pages of 8 KiB),
 * whether it could be compressed or not. */
enum { ROWS_INDEX_BYTES_MAX = 2704 };

struct rows_builder {
	const struct schemas *schemas;
	struct layouts *layouts;
	struct sequences *sequences;   /* or NULL; if set, messages must come from one decoder */
	struct recent_calls *calls;    /* or NULL: answers without an action stay unnamed */
	struct pseudonyms *pseudonyms; /* or NULL: none are known */
	struct rows_options options;
	int64_t expired_before_us[EVENT_TABLES]; /* rows_set_now() */
};

/* Sets the time from which options.retention_us counts: call it before the first message, and then
 * now and again. */
void rows_set_now(struct rows_builder *b, int64_t now_us);

/* The result for one message. The first row is the message's own: if the database has it already,
 * the message is a duplicate. */
struct rows_result {
	struct row *first;
	struct row *last;
	struct row *halves;              /* list of rows for exchange_halves, often empty */
	struct transaction *transaction; /* what it says about a transaction, or NULL */
	const char *skipped;             /* why it has no event rows on purpose, or NULL */
};

/*
 * Everything comes from the arena and borrows from the message. False with err: FULL; POISON for a
 * message to the store that breaks its contract, or "limit" for a name that is too long for an
 * index.
 */
MUST_CHECK bool rows_from_message(struct rows_builder *b, struct message *m, struct arena *arena,
	struct rows_result *out, struct error *err);

/* For a message that is set aside: puts pseudonyms into its bytes (message.kept). False if the
 * arena is full. */
MUST_CHECK bool rows_keep_bytes(const struct rows_builder *b, struct message *m,
	struct arena *arena);

/* A row for dead_letters in which all texts can be stored. NULL if the arena is full.
 * payload_bytes: size as received. */
MUST_CHECK struct row *rows_dead_letter(struct arena *arena, const struct message *m,
	const struct error *why, uint64_t payload_bytes, struct slice sha256);

/* For a dead letter that was itself refused: keep only numbers and its place in the log. */
void rows_strip_dead_letter(struct row *row);

/* True for a result or error in ocpp_events. */
bool row_is_answer(const struct row *row);

/* The action that an answer itself names; "" if it names none, or is not an answer. */
struct slice row_own_name(const struct row *row);

/* True for two answers that name different actions. */
bool row_names_differ(const struct row *a, const struct row *b);

/* Adopt into an answer's row what only its copy says: the action or the request. */
void row_adopt(struct row *row, const struct row *copy);

/* Set the half's key once its row is final. */
void row_settle_half(struct row *half);

/* True for an event row without a valid time of its own. */
bool row_is_timeless(const struct row *row);

/* True for one whose key has no time either, because the station's time was invalid. */
bool row_is_undated(const struct row *row);

/* When an event was received. */
int64_t row_received_us(const struct row *row);

/*
 * The digest of an event's content alone. The digest of an undated row is XORed with the number of
 * the window (time of receipt / dedupe.window) in which it was received: two copies within
 * dedupe.window of each other are in the same window or in adjacent ones.
 */
int64_t row_content(const struct row *row, int64_t dedupe_window_us);

#endif
