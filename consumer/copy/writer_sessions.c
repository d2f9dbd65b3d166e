/*
 * Ids that were used more than once, where it takes other events to say to which of their sessions
 * new facts belong (sessions_leave() in rows/sessions.h). Such sessions are not merged row by row,
 * but rebuilt from all events in the database, including those of the batch, since the last moment
 * at which none of them was open; if these are too many, from fewer (sessions_read.sql). The id's
 * row in transaction_keys is locked meanwhile.
 */
#include "copy/writer_private.h"
#include "rows/flags.h"

/* Columns of sessions_read.sql. */
enum found_column {
	FOUND_NUMBER,
	FOUND_SINCE,
	FOUND_KIND,
	FOUND_EVENT, /* the columns in found_columns */
	FOUND_RECEIVED = 7,
	FOUND_FLAGS = 8,
	FOUND_READING_START = 23,
	FOUND_READING_STOP = 27,
	FOUND_RESULT_TIME = 31,
	FOUND_RESULT_DIGEST,
	FOUND_STATUS,
	FOUND_GROUP,
	FOUND_LINK,
	FOUND_DISTANCE,
	FOUND_COST,
	FOUND_VALUE_FLAGS, /* flags of the meter values in the event */
};

static const int found_columns[] = {KEY_STATION, KEY_TIME, KEY_EVSE, KEY_DIGEST,
	TABLE_transaction_events_received_at, TABLE_transaction_events_flags,
	TABLE_transaction_events_connector_id, TABLE_transaction_events_ocpp_version,
	TABLE_transaction_events_event_type, TABLE_transaction_events_seq_no,
	TABLE_transaction_events_trigger_reason, TABLE_transaction_events_charging_state,
	TABLE_transaction_events_id_token, TABLE_transaction_events_id_token_type,
	TABLE_transaction_events_meter_start, TABLE_transaction_events_meter_stop,
	TABLE_transaction_events_stopped_reason, TABLE_transaction_events_offline,
	TABLE_transaction_events_reservation_id, TABLE_transaction_events_remote_start_id};

enum { FOUND_EVENT_COLUMNS = sizeof(found_columns) / sizeof(found_columns[0]) };

_Static_assert(FOUND_EVENT + FOUND_EVENT_COLUMNS == FOUND_READING_START,
	"sessions_read.sql has the columns in this order");

/* ---- reading ---- */

static bool found_set_cell(struct arena *arena, const PGresult *result, int i, int column,
	struct row *event, int cell)
{
	struct slice text;

	if (PQgetisnull(result, i, column))
		return true;
	switch (event->table->columns[cell].type) {
	case COLUMN_TIME:
		cell_set_number(event, cell, result_time(result, i, column));
		return true;
	case COLUMN_INT4:
		cell_set_number(event, cell, result_int4(result, i, column));
		return true;
	case COLUMN_INT8:
		cell_set_number(event, cell, result_int8(result, i, column));
		return true;
	case COLUMN_BOOL:
		cell_set_number(event, cell, *PQgetvalue(result, i, column) != 0);
		return true;
	case COLUMN_TEXT:
	case COLUMN_NUMERIC: /* read as text */
		text = arena_copy(arena, result_text(result, i, column));
		cell_set_text(event, cell, text);
		return !slice_is_absent(text);
	case COLUMN_CHAR:
	case COLUMN_NUMERICS:
	case COLUMN_JSONB:
	case COLUMN_BYTEA:
		CHECK(false && "a type that is not asked for");
	}
	return false;
}

static struct slice found_text(struct arena *arena, const PGresult *result, int i, int column)
{
	struct slice text = result_text(result, i, column);

	return slice_is_absent(text) ? text : arena_copy(arena, text);
}

static void found_reading(struct arena *arena, const PGresult *result, int i, int column,
	bool at_start, const struct row *event, struct transaction *t)
{
	struct reading r;

	if (PQgetisnull(result, i, column))
		return;
	r = (struct reading){.kind = result_int4(result, i, column),
		.place = result_int8(result, i, column + 1),
		.time_us = result_int8(result, i, column + 2),
		.wh = found_text(arena, result, i, column + 3)};
	transaction_add_reading(t, at_start, &r, (uint64_t)event->cells[KEY_DIGEST].number);
}

/* The event of a row as a fact of its own. False if the arena is full. */
static bool found_fact(struct arena *arena, const PGresult *result, int i,
	const struct split *split, struct session_fact *out)
{
	struct row *event = row_new(arena, TABLE_transaction_events);
	struct transaction *t = transaction_new(arena, split->station, split->id);

	if (event == NULL || t == NULL)
		return false;
	for (int c = 0; c < FOUND_EVENT_COLUMNS; c++) {
		if (!found_set_cell(arena, result, i, FOUND_EVENT + c, event, found_columns[c]))
			return false;
	}
	*out = (struct session_fact){.t = t,
		.event = event,
		.time_us = event->cells[KEY_TIME].number,
		.linked = *PQgetvalue(result, i, FOUND_KIND) == 's'};
	if (out->time_us == TIME_UNDATED)
		out->time_us = result_time(result, i, FOUND_RECEIVED);
	if (out->linked)
		out->link = (struct transaction_link){
			.kind = (enum link_kind)result_int4(result, i, FOUND_LINK),
			.distance_us = result_int8(result, i, FOUND_DISTANCE),
			.received_us = result_time(result, i, FOUND_RESULT_TIME),
			.result_digest = (uint64_t)result_int8(result, i, FOUND_RESULT_DIGEST)};
	if (!transaction_add_event(t, event, out->linked ? &out->link : NULL, arena))
		return false;
	if (!PQgetisnull(result, i, FOUND_VALUE_FLAGS))
		t->row->cells[TABLE_transactions_flags].number |=
			result_int4(result, i, FOUND_VALUE_FLAGS);
	if (out->linked)
		transaction_add_answer(t, found_text(arena, result, i, FOUND_STATUS),
			found_text(arena, result, i, FOUND_GROUP), &out->link);
	found_reading(arena, result, i, FOUND_READING_START, true, event, t);
	found_reading(arena, result, i, FOUND_READING_STOP, false, event, t);
	return true;
}

static struct transaction *found_cost(struct arena *arena, const PGresult *result, int i,
	const struct split *split)
{
	struct transaction *t = transaction_new(arena, split->station, split->id);
	struct slice cost = found_text(arena, result, i, FOUND_COST);

	if (t == NULL || slice_is_absent(cost))
		return NULL;
	t->earliest_us = result_time(result, i, FOUND_RECEIVED);
	transaction_add_cost(t, cost, t->earliest_us,
		(uint64_t)result_int8(result, i, FOUND_EVENT + KEY_DIGEST));
	return t;
}

/* A cost goes to the session that began last before it, otherwise, if the whole id is known, to the
 * first. */
static bool split_add_costs(struct split *split, struct arena *arena)
{
	struct session *at = NULL;
	size_t next = 0;

	for (size_t i = 0; i < split->costs_count; i++) {
		for (; next < split->sessions.count; next++) {
			struct session *session = &split->sessions.all[next];

			if (session->t == NULL)
				continue;
			if (at != NULL && session->fact->time_us > split->costs[i]->earliest_us)
				break;
			at = session;
		}
		if (at != NULL && !transaction_merge(at->t, split->costs[i], arena))
			return false;
	}
	return true;
}

static bool split_make(struct split *split, struct arena *arena)
{
	struct sessions_options options = {.shared_id = split->shared_id,
		.whole = split->since_us == TIME_UNDATED};

	if (!sessions_make(split->facts, split->facts_count, &options, arena, &split->sessions) ||
		!split_add_costs(split, arena))
		return false;
	for (size_t i = 0; i < split->flags_count; i++)
		sessions_add_flags(&split->sessions, &options, &split->flags[i]);
	for (size_t i = 0; i < split->sessions.count; i++) {
		struct session *session = &split->sessions.all[i];
		struct transaction *t = session->t;

		if (t != NULL && split->cut) {
			/* An end may be of a session before. */
			t->row->cells[TABLE_transactions_flags].number |= FLAG_end_ambiguous;
			session->fresh = false;
		}
		if (t != NULL && !transaction_pack(t, arena))
			return false;
	}
	return true;
}

/* What is odd about meter values that name the id. */
static struct session_flags found_flags(const PGresult *result, int i)
{
	return (struct session_flags){.time_us = result_time(result, i, FOUND_EVENT + KEY_TIME),
		.evse = result_int4(result, i, FOUND_EVENT + KEY_EVSE),
		.flags = result_int4(result, i, FOUND_FLAGS)};
}

/* From when on facts are known. True if the row says nothing else. */
static bool found_bounds(const PGresult *result, int i, struct split *split)
{
	char kind = *PQgetvalue(result, i, FOUND_KIND);

	split->left |= kind == 'x';
	split->cut |= kind == 'y';
	if (kind != 'x')
		split->since_us = result_time(result, i, FOUND_SINCE);
	return kind == 'x' || kind == 'y';
}

static bool splits_make(const struct splits *splits, struct arena *arena)
{
	for (size_t i = 0; i < splits->count; i++) {
		if (!splits->all[i].left && !split_make(&splits->all[i], arena))
			return false;
	}
	return true;
}

static bool splits_on_read(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct arena *arena = &w->work.batch->arena;
	struct splits *splits = w->work.splits;
	size_t count = (size_t)PQntuples(result);
	struct session_fact *facts = arena_alloc(arena, (count + 1) * sizeof(*facts));
	struct transaction **costs = arena_alloc(arena, (count + 1) * sizeof(struct transaction *));
	struct session_flags *flags = arena_alloc(arena, (count + 1) * sizeof(*flags));

	(void)number;
	if (facts == NULL || costs == NULL || flags == NULL)
		return request_arena_full(err);
	for (int i = 0; i < (int)count; i++) { /* rows of one id are adjacent */
		int32_t n = result_int4(result, i, FOUND_NUMBER);
		struct split *split = &splits->all[n];

		CHECK(n >= 0 && (size_t)n < splits->count);
		if (found_bounds(result, i, split))
			continue;
		if (*PQgetvalue(result, i, FOUND_KIND) == 'f') {
			if (split->flags_count++ == 0)
				split->flags = flags;
			*flags++ = found_flags(result, i);
			continue;
		}
		if (*PQgetvalue(result, i, FOUND_KIND) == 'c') {
			if (split->costs_count == 0)
				split->costs = costs;
			*costs = found_cost(arena, result, i, split);
			if (*costs++ == NULL)
				return request_arena_full(err);
			split->costs_count++;
			continue;
		}
		if (split->facts_count == 0)
			split->facts = facts;
		if (!found_fact(arena, result, i, split, facts++))
			return request_arena_full(err);
		split->facts_count++;
	}
	return splits_make(splits, arena) || request_arena_full(err);
}

/* split: or, for reading, whether the ids are of one record. */
static struct row *split_row(struct arena *arena, const struct split *split, int64_t since_us,
	bool is_split)
{
	struct row *row = row_new(arena, TABLE_split_ids);

	if (row == NULL)
		return NULL;
	cell_set_text(row, TABLE_split_ids_charge_station_id, split->station);
	cell_set_text(row, TABLE_split_ids_transaction_id, split->id);
	cell_set_number(row, TABLE_split_ids_since, since_us);
	cell_set_number(row, TABLE_split_ids_split, is_split);
	cell_set_number(row, TABLE_split_ids_removed, false);
	return row;
}

bool writer_plan_splits(struct writer *w, struct error *err)
{
	struct arena *arena = &w->work.batch->arena;
	struct splits *splits = w->work.splits;
	struct row **rows;

	if (splits == NULL)
		return true;
	rows = arena_alloc(arena, splits->count * sizeof(*rows));
	if (rows == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < splits->count; i++) {
		rows[i] = split_row(arena, &splits->all[i], splits->all[i].earliest_us,
			w->work.batch->records == 1);
		if (rows[i] == NULL)
			return request_arena_full(err);
	}
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[STATEMENT_SESSIONS_READ],
			.table = TABLE_split_ids,
			.columns = TABLE_split_ids_split + 1,
			.rows = rows,
			.count = splits->count,
			.on_result = splits_on_read,
			.context = w,
		},
		err);
}

/* ---- writing ---- */

/* What is written for all of them. */
struct written {
	struct row *
		*ids; /* split_ids; first those with sessions, then events that now belong to one */
	size_t splits_count;
	size_t ids_count;
	struct row **keys;
	struct row **sessions;
	size_t sessions_count;
};

static bool written_session(struct written *out, struct arena *arena, const struct transaction *t,
	const struct session *session)
{
	static const int copied[][2] = {
		{TABLE_session_keys_charge_station_id, TABLE_transactions_charge_station_id},
		{TABLE_session_keys_transaction_id, TABLE_transactions_transaction_id},
		{TABLE_session_keys_start_key, TABLE_transactions_start_key},
		{TABLE_session_keys_partition_time, TABLE_transactions_partition_time}};
	struct row *key = row_new(arena, TABLE_session_keys);

	if (key == NULL)
		return false;
	for (size_t i = 0; i < sizeof(copied) / sizeof(*copied); i++)
		key->cells[copied[i][0]] = t->row->cells[copied[i][1]];
	cell_set_number(key, TABLE_session_keys_begins_at, session->fact->time_us);
	/* The only session so far may still get an earlier one. */
	cell_set_number(key, TABLE_session_keys_fresh,
		session->fresh && cell_text(key, TABLE_session_keys_start_key).size > 0);
	out->keys[out->sessions_count] = key;
	out->sessions[out->sessions_count++] = t->row;
	return true;
}

/* An event of a shared id: it stands for itself, or no longer does. */
static bool written_event(struct written *out, struct arena *arena, const struct split *split,
	const struct session_fact *fact)
{
	struct transaction *t = transaction_new_16(arena, split->station, split->id,
		(uint64_t)fact->event->cells[KEY_DIGEST].number);
	struct row *row;

	if (t == NULL)
		return false;
	if (fact->session != NULL && fact->session->t == NULL) {
		return transaction_merge(t, fact->t, arena) && transaction_pack(t, arena) &&
		       written_session(out, arena, t, fact->session);
	}
	row = split_row(arena, split, TIME_UNDATED, split->sessions.split);
	if (row == NULL)
		return false;
	row->cells[TABLE_split_ids_transaction_id] =
		t->row->cells[TABLE_transactions_transaction_id];
	cell_set_number(row, TABLE_split_ids_removed, true);
	out->ids[out->ids_count++] = row;
	return true;
}

static bool written_split(struct written *out, struct arena *arena, const struct split *split)
{
	for (size_t i = 0; i < split->sessions.count; i++) {
		const struct session *session = &split->sessions.all[i];

		if (session->t != NULL && !written_session(out, arena, session->t, session))
			return false;
	}
	for (size_t i = 0; split->shared_id && i < split->facts_count; i++) {
		if (split->facts[i].done && !written_event(out, arena, split, &split->facts[i]))
			return false;
	}
	return true;
}

static bool written_make(struct written *out, struct arena *arena, const struct splits *splits)
{
	size_t facts = 0;

	for (size_t i = 0; i < splits->count; i++)
		facts += splits->all[i].facts_count;
	out->ids = arena_alloc(arena, (splits->count + facts) * sizeof(struct row *));
	out->keys = arena_alloc(arena, (facts + 1) * sizeof(struct row *));
	out->sessions = arena_alloc(arena, (facts + 1) * sizeof(struct row *));
	if (out->ids == NULL || out->keys == NULL || out->sessions == NULL)
		return false;
	for (size_t i = 0; i < splits->count; i++) {
		const struct split *split = &splits->all[i];

		if (split->left)
			continue;
		out->ids[out->ids_count] =
			split_row(arena, split, split->since_us, split->sessions.split);
		if (out->ids[out->ids_count++] == NULL)
			return false;
	}
	out->splits_count = out->ids_count;
	for (size_t i = 0; i < splits->count; i++) {
		if (!splits->all[i].left && !written_split(out, arena, &splits->all[i]))
			return false;
	}
	return true;
}

static bool written_add(struct writer *w, enum statement_id statement, enum table_id table,
	size_t columns, struct row *const *rows, size_t count, struct error *err)
{
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[statement],
			.table = table,
			.columns = columns,
			.rows = rows,
			.count = count,
		},
		err);
}

bool writer_plan_sessions(struct writer *w, struct error *err)
{
	struct arena *arena = &w->work.batch->arena;
	struct slice keys[TABLE_session_keys_begins_at];
	struct written written = {.ids = NULL};
	struct request_rows removed = {
		.statement = &statements.all[STATEMENT_SESSIONS_DELETE],
		.table = TABLE_split_ids,
		.more = keys,
		.more_count = TABLE_session_keys_begins_at,
	};

	if (w->work.splits == NULL)
		return true;
	if (!written_make(&written, arena, w->work.splits) ||
		!encode_params(arena, &tables[TABLE_session_keys], TABLE_session_keys_begins_at,
			written.keys, written.sessions_count, keys))
		return request_arena_full(err);
	removed.rows = written.ids;
	removed.count = written.ids_count;
	return writer_add_rows(w, &removed, err) &&
	       written_add(w, STATEMENT_SESSIONS_SPLIT, TABLE_split_ids, TABLE_split_ids_split + 1,
		       written.ids, written.splits_count, err) &&
	       written_add(w, STATEMENT_SESSIONS_KEYS, TABLE_session_keys, 0, written.keys,
		       written.sessions_count, err) &&
	       written_add(w, STATEMENT_SESSIONS_INSERT, TABLE_transactions, 0, written.sessions,
		       written.sessions_count, err);
}
