#include "copy/pairing.h"
#include "copy/writer_private.h"

/* Answers whose row lacks the name of their action, and how it is found: from a copy that names it,
 * or from the call, once the two are paired. */

static struct row *name_row(struct arena *arena, const struct cell *key, struct slice action,
	struct slice former)
{
	struct row *row = row_new(arena, TABLE_answer_names);

	if (row == NULL)
		return NULL;
	for (int c = 0; c < KEY_COLUMNS; c++)
		row->cells[c] = key[c];
	cell_set_text(row, TABLE_answer_names_action, action);
	cell_set_text(row, TABLE_answer_names_former, former);
	cell_set_number(row, TABLE_answer_names_distance_us, 0);
	return row;
}

static bool names_statement(struct writer *w, struct row *const *rows, size_t count,
	struct error *err)
{
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[STATEMENT_ANSWER_NAMES],
			.table = TABLE_answer_names,
			.rows = rows,
			.count = count,
		},
		err);
}

bool writer_plan_copies(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *seen = &b->timeless[TABLE_ocpp_events];
	struct row **rows = arena_alloc(&b->arena, (seen->count + 1) * sizeof(*rows));
	size_t count = 0;

	if (rows == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < seen->count; i++) {
		const struct row *row = seen->rows[i];
		struct slice action = cell_text(row, TABLE_ocpp_events_action);

		if (!row->dropped || !row_is_answer(row) ||
			(action.size == 0 && !row->cells[TABLE_ocpp_events_request].present))
			continue;
		rows[count] = name_row(&b->arena, row->cells, action, slice_from_cstr(""));
		if (rows[count] == NULL)
			return request_arena_full(err);
		rows[count++]->cells[TABLE_answer_names_request] =
			row->cells[TABLE_ocpp_events_request];
	}
	return names_statement(w, rows, count, err);
}

static struct slice name_of(const struct half *call)
{
	return call == NULL ? slice_from_cstr("")
			    : cell_text(call->row, TABLE_exchange_halves_action);
}

/* A row of the batch, not copied yet, that already has the name from its call: usually that call
 * was here just before (rows/recent_calls.h). */
static bool names_has(const struct pair *p)
{
	const struct row *row = p->result->row->refers;

	return p->call != NULL && row != NULL && !row->dropped &&
	       row->table->id == TABLE_ocpp_events &&
	       slice_equal(cell_text(row, TABLE_ocpp_events_action), name_of(p->call));
}

/* The nearest of several copies of an answer decides: if one of them loses its call, ask for
 * all. */
static bool names_move(const struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		if (pairs->pairs[i].lost != NULL)
			return true;
	}
	return false;
}

/* For one id. False if the arena is full. */
static bool names_take(struct batch_rows *names, struct arena *arena, const struct pairs *pairs)
{
	static const int key[KEY_COLUMNS] = {TABLE_exchange_halves_charge_station_id,
		TABLE_exchange_halves_event_time, TABLE_exchange_halves_evse_id,
		TABLE_exchange_halves_digest};
	bool move = names_move(pairs);

	for (size_t i = 0; i < pairs->count; i++) {
		const struct pair *p = &pairs->pairs[i];
		struct cell cells[KEY_COLUMNS];
		struct row *row;

		/* Halves from older versions lack the key of their row. */
		if (!half_wants_name(p->result) || (!move && names_has(p)) ||
			!p->result->row->cells[TABLE_exchange_halves_event_time].present)
			continue;
		for (int c = 0; c < KEY_COLUMNS; c++)
			cells[c] = p->result->row->cells[key[c]];
		row = name_row(arena, cells, name_of(p->call), name_of(p->lost));
		if (row == NULL)
			return false;
		cell_set_number(row, TABLE_answer_names_distance_us, p->distance_us);
		names->rows[names->count++] = row;
	}
	return true;
}

bool writer_plan_names(struct writer *w, struct error *err)
{
	const struct writer_pairs *pairs = w->work.pairs;
	struct arena *arena = &w->work.batch->arena;
	struct batch_rows names = {NULL};

	if (pairs == NULL || pairs->named_count == 0)
		return true;
	for (size_t i = 0; i < pairs->named_count; i++)
		names.room += pairs->named[i].count;
	names.rows = arena_alloc(arena, (names.room + 1) * sizeof(*names.rows));
	if (names.rows == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < pairs->named_count; i++) {
		if (!names_take(&names, arena, &pairs->named[i]))
			return request_arena_full(err);
	}
	return names_statement(w, names.rows, names.count, err);
}

/* ---- repeated events ---- */

bool writer_plan_resent(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *events = &b->rows[TABLE_transaction_events];
	const struct batch_rows *within = &b->rows[TABLE_resent_events];
	struct row **rows =
		arena_alloc(&b->arena, (events->count + within->count + 1) * sizeof(*rows));
	size_t count = 0;

	if (rows == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < within->count; i++)
		rows[count++] = within->rows[i];
	for (size_t i = 0; i < events->count; i++) {
		if (!events->rows[i]->dropped)
			continue;
		rows[count] = batch_resent(b, events->rows[i]);
		if (rows[count++] == NULL)
			return request_arena_full(err);
	}
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[STATEMENT_RESENT_EVENTS],
			.table = TABLE_resent_events,
			.rows = rows,
			.count = count,
		},
		err);
}
