#ifndef ROWS_ROWS_PRIVATE_H
#define ROWS_ROWS_PRIVATE_H

#include "rows/rows.h"

/* Shared by the files of rows/ only. */

/* One message being turned into rows. */
struct rows_work {
	struct rows_builder *builder;
	struct message *message;
	const struct schema_message *schema;
	struct arena *arena;
	struct rows_result *out;
	bool was_absent;    /* there was no payload: it counts as {} */
	bool full;          /* the arena ran full in a function that could not report it */
	struct slice named; /* for an answer without an action: its call's; or absent */
	/* Readings for the transaction, from the samples of its own events. */
	struct reading reading_start, reading_stop;
};

/* A new row for the message, with station, time of receipt and common columns; NULL if full. */
struct row *rows_add(struct rows_work *w, enum table_id table);

/* Set columns from the fields of a block; marks the fields as used. */
void rows_fill(struct rows_work *w, struct row *row, const struct schema_block *block,
	struct value *element);

void rows_set_flag(struct row *row, int64_t flag);

/* Set an event's digest, from the canonical text of its content. */
void row_set_digest(const struct rows_work *w, struct row *row, struct slice content);

/* Add a half for exchange_halves, for the message's first row. False if the arena is full. */
MUST_CHECK bool rows_add_half(struct rows_work *w, char kind, struct slice action);

/* rows_pseudonyms.c: replaces forgotten tokens. False if the arena is full. */
MUST_CHECK bool rows_use_pseudonyms(struct rows_work *w);

/*
 * rows_names.c: gives answers without an action their name, and evens out what one shape of a
 * message omits and another has empty. Called before rows are made, instead of that, and after it.
 */
bool rows_is_answer(const struct message *m);
MUST_CHECK bool rows_settle_payload(struct rows_work *w);
MUST_CHECK bool rows_settle_name(struct rows_work *w);
void rows_note_skipped(struct rows_work *w);
MUST_CHECK bool rows_name_answer(struct rows_work *w);

/* rows_meter.c: one row per meter value. False if the arena is full. */
MUST_CHECK bool rows_meter_values(struct rows_work *w, const struct schema_block *block);

/* rows_store.c: one row for a message to the store. POISON if it breaks its contract; FULL. */
MUST_CHECK bool rows_store(struct rows_work *w, struct error *err);

/* rows_limits.c: checks that every name fits into its indexes; otherwise POISON "limit". */
MUST_CHECK bool rows_fit_indexes(const struct rows_result *rows, struct error *err);

/* rows_expiry.c: removes rows that are older than their table keeps; skipped if none is left. */
void rows_expire(const struct rows_builder *b, struct rows_result *out);

#endif
