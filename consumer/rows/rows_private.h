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
	bool was_absent;    /* the payload: it counts as {} */
	bool full;          /* the arena, where nobody could say so yet */
	struct slice named; /* of an answer that names no action: that of its call; or absent */
	/* Readings for the transaction, from the samples of its own events. */
	struct reading reading_start, reading_stop;
};

/* A row of the message, with station, time of receipt and what all rows have; NULL if full. */
struct row *rows_add(struct rows_work *w, enum table_id table);

/* Columns from the fields of a block; used fields are marked. */
void rows_fill(struct rows_work *w, struct row *row, const struct schema_block *block,
	struct value *element);

/* event_time, time_source, time_text and flags from a station's time; NULL = none given. */
void rows_set_time(struct rows_work *w, struct row *row, struct value *v);

void rows_set_flag(struct row *row, int64_t flag);

/* The digest of an event: of the canonical text of its content. */
void row_set_digest(const struct rows_work *w, struct row *row, struct slice content);

/* A half for exchange_halves, of the message's first row. False if the arena is full. */
MUST_CHECK bool rows_add_half(struct rows_work *w, char kind, struct slice action);

/* rows_pseudonyms.c: for tokens that are forgotten. False if the arena is full. */
MUST_CHECK bool rows_use_pseudonyms(struct rows_work *w);

/* rows_names.c: how answers that do not name their action get it, and what is absent in one shape
 * of a message and empty in another. Before there are rows, instead of them, and after them. */
bool rows_is_answer(const struct message *m);
MUST_CHECK bool rows_settle_payload(struct rows_work *w);
MUST_CHECK bool rows_settle_name(struct rows_work *w);
void rows_note_skipped(struct rows_work *w);
MUST_CHECK bool rows_name_answer(struct rows_work *w);

/* rows_meter.c: one row per meter value. False if the arena is full. */
MUST_CHECK bool rows_meter_values(struct rows_work *w, const struct schema_block *block);

/* rows_store.c: one row for a message to the store. POISON if it breaks its contract; TRANSIENT. */
MUST_CHECK bool rows_store(struct rows_work *w, struct error *err);

/* rows_limits.c: every name is short enough for the indexes it goes into; else POISON "limit". */
MUST_CHECK bool rows_fit_indexes(const struct rows_result *rows, struct error *err);

/* rows_expiry.c: without rows that are older than their table keeps them; skipped if all are. */
void rows_expire(const struct rows_builder *b, struct rows_result *out);

/* Position of a column that most event tables have, by its usual name; -1 if the table has none. */
int rows_column(const struct row *row, const char *name);

#endif
