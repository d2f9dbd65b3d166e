#include "copy/writer_private.h"

/*
 * An OCPP 1.6 transaction begins with a pair: its id is in the answer to StartTransaction. Such a
 * pair is stored as a link to the start's row, and makes a transaction of the batch. A start that
 * loses its answer to another one is unlinked again.
 */

/* Columns of starts.sql. */
enum start_column {
	START_STATION,
	START_TIME,
	START_EVSE,
	START_DIGEST,
	START_CONNECTOR,
	START_VERSION,
	START_TOKEN,
	START_METER,
	START_RESERVATION,
	START_FLAGS,
	START_RECEIVED,
	START_TRANSACTION,
	START_RESULT_TIME,
	START_RESULT_DIGEST,
	START_STATUS,
	START_GROUP,
	START_EXPIRY,
	START_LINK,
	START_DISTANCE,
	START_NUMBER,
	START_DETACHED,
};

static struct slice start_text(struct arena *arena, const PGresult *result, int row, int column)
{
	struct slice text = result_text(result, row, column);

	return slice_is_absent(text) ? text : arena_copy(arena, text);
}

/* The start as a row of transaction_events, with what a transaction needs of it. */
static struct row *start_event(struct arena *arena, const PGresult *result, int i)
{
	struct row *e = row_new(arena, TABLE_transaction_events);

	if (e == NULL)
		return NULL;
	cell_set_text(e, KEY_STATION, start_text(arena, result, i, START_STATION));
	cell_set_number(e, KEY_TIME, result_time(result, i, START_TIME));
	cell_set_number(e, KEY_EVSE, result_int4(result, i, START_EVSE));
	cell_set_number(e, KEY_DIGEST, result_int8(result, i, START_DIGEST));
	if (!PQgetisnull(result, i, START_CONNECTOR))
		cell_set_number(e, TABLE_transaction_events_connector_id,
			result_int4(result, i, START_CONNECTOR));
	if (!PQgetisnull(result, i, START_RESERVATION))
		cell_set_number(e, TABLE_transaction_events_reservation_id,
			result_int4(result, i, START_RESERVATION));
	cell_set_number(e, TABLE_transaction_events_flags, result_int4(result, i, START_FLAGS));
	cell_set_number(e, TABLE_transaction_events_received_at,
		result_time(result, i, START_RECEIVED));
	cell_set_text(e, TABLE_transaction_events_ocpp_version,
		start_text(arena, result, i, START_VERSION));
	cell_set_text(e, TABLE_transaction_events_id_token,
		start_text(arena, result, i, START_TOKEN));
	cell_set_text(e, TABLE_transaction_events_meter_start,
		start_text(arena, result, i, START_METER));
	cell_set_text(e, TABLE_transaction_events_event_type, slice_from_cstr("Started"));
	return e;
}

static struct row *start_link_row(struct arena *arena, const PGresult *result, int i,
	const struct row *event)
{
	struct row *row = row_new(arena, TABLE_transaction_starts);

	if (row == NULL)
		return NULL;
	for (int key = 0; key < KEY_COLUMNS; key++)
		row->cells[key] = event->cells[key];
	cell_set_text(row, TABLE_transaction_starts_transaction_id,
		start_text(arena, result, i, START_TRANSACTION));
	cell_set_number(row, TABLE_transaction_starts_result_received_at,
		result_time(result, i, START_RESULT_TIME));
	cell_set_text(row, TABLE_transaction_starts_id_token_status,
		start_text(arena, result, i, START_STATUS));
	cell_set_text(row, TABLE_transaction_starts_group_id_token,
		start_text(arena, result, i, START_GROUP));
	if (!PQgetisnull(result, i, START_EXPIRY))
		cell_set_number(row, TABLE_transaction_starts_expiry_date,
			result_time(result, i, START_EXPIRY));
	cell_set_number(row, TABLE_transaction_starts_result_digest,
		result_int8(result, i, START_RESULT_DIGEST));
	cell_set_number(row, TABLE_transaction_starts_link_kind,
		result_int4(result, i, START_LINK));
	cell_set_number(row, TABLE_transaction_starts_distance_us,
		result_int8(result, i, START_DISTANCE));
	return row;
}

static struct transaction *start_transaction(struct arena *arena, const PGresult *result, int i,
	const struct row *event, const struct row *link_row)
{
	struct transaction_link link = {
		.kind = (enum link_kind)result_int4(result, i, START_LINK),
		.distance_us = result_int8(result, i, START_DISTANCE),
		.received_us = result_time(result, i, START_RESULT_TIME),
		.result_digest = (uint64_t)result_int8(result, i, START_RESULT_DIGEST),
	};
	struct transaction *t = transaction_new_16(arena, event->cells[KEY_STATION].text,
		cell_text(link_row, TABLE_transaction_starts_transaction_id),
		(uint64_t)event->cells[KEY_DIGEST].number);

	if (t == NULL || !transaction_add_event(t, event, &link, arena))
		return NULL;
	transaction_add_answer(t, cell_text(link_row, TABLE_transaction_starts_id_token_status),
		cell_text(link_row, TABLE_transaction_starts_group_id_token), &link);
	return t;
}

static bool start_refuse(struct writer *w, const struct row *pair, struct partition p,
	struct error *err)
{
	writer_blame(w, pair);
	return partition_refuse_result(p, err);
}

/* For a row of starts.sql: false with err if what follows from it has no partition to go to. Then
 * the batch begins again and creates it, or the result becomes a dead letter. */
static bool start_has_place(struct writer *w, const PGresult *result, int i, struct error *err)
{
	static const enum table_id needed[] = {TABLE_transactions, TABLE_transaction_starts};
	const struct row *pair = w->work.pairs->starts[result_int4(result, i, START_NUMBER)];
	int64_t time_us = pair->cells[KEY_TIME].number;
	bool missing = false;

	if (!PQgetisnull(result, i, START_DETACHED)) /* the start is not stored */
		return *PQgetvalue(result, i, START_DETACHED) == 0 ||
		       start_refuse(w, pair, partition_of(TABLE_transaction_events, time_us), err);
	for (size_t t = 0; t < sizeof(needed) / sizeof(*needed); t++) {
		struct partition p = partition_of(needed[t], time_us);

		if (partitions_has(w->partitions, p))
			continue;
		if (partitions_is_detached(w->partitions, p))
			return start_refuse(w, pair, p, err);
		if (!batch_need_for_result(w->work.batch, p, pair->message, w->partitions, err)) {
			writer_blame(w, pair);
			return false;
		}
		missing = true;
	}
	if (!missing)
		return true;
	w->work.rollback = ROLLBACK_RETRIED;
	return error_set(err, ERROR_TRANSIENT, REASON_partition_missing,
		"a result belongs to a start whose transaction has no partition yet");
}

static bool starts_on_result(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;

	(void)number;
	for (int i = 0; i < PQntuples(result); i++) {
		struct row *event, *link;
		struct transaction *t;

		if (!start_has_place(w, result, i, err))
			return false;
		if (PQgetisnull(result, i, START_STATION))
			continue; /* dropped with its partition */
		event = start_event(&b->arena, result, i);
		if (event == NULL)
			return request_arena_full(err);
		link = start_link_row(&b->arena, result, i, event);
		t = link == NULL ? NULL : start_transaction(&b->arena, result, i, event, link);
		if (t == NULL || !batch_add_row(b, link) || !batch_add_transaction(b, t))
			return request_arena_full(err);
	}
	return true;
}

/* Rebuilds the transactions that had the starts. */
static bool starts_unlink(struct batch *b, struct row *const *lost, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct transaction *t =
			transaction_without_start(&b->arena, lost[i]->cells[KEY_STATION].text,
				cell_text(lost[i], TABLE_exchange_pairs_transaction_id),
				lost[i]->cells[KEY_TIME].number);

		if (t == NULL || !batch_add_transaction(b, t))
			return false;
	}
	return true;
}

bool writer_plan_starts(struct writer *w, struct error *err)
{
	const struct writer_pairs *s = w->work.pairs;

	if (s == NULL)
		return true;
	if (!starts_unlink(w->work.batch, s->lost_starts, s->lost_starts_count))
		return request_arena_full(err);
	return writer_add_pairs(w, STATEMENT_LOST_STARTS, s->lost_starts, s->lost_starts_count,
		       NULL, err) &&
	       writer_add_pairs(w, STATEMENT_STARTS, s->starts, s->starts_count, starts_on_result,
		       err);
}
