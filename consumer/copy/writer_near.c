#include "base/clock.h"
#include "copy/pairing.h"
#include "copy/writer_private.h"

/* Reads stored halves with the same message ids near the batch's own, before those are stored: the
 * database has both halves of an exchange, whichever came first and through whichever worker. */
static const int64_t NEAR_RUN_US = US_PER_SECOND; /* halves this close are read together */

/* A row of halves_near.sql. */
static struct row *near_read(struct arena *arena, const PGresult *result, int i)
{
	const struct table *table = &tables[TABLE_exchange_halves];
	struct row *row = row_new(arena, TABLE_exchange_halves);

	for (int c = 0; row != NULL && c < (int)table->columns_count; c++) {
		if (PQgetisnull(result, i, c))
			continue;
		switch ((int)table->columns[c].type) {
		case COLUMN_TIME:
			cell_set_number(row, c, result_time(result, i, c));
			break;
		case COLUMN_INT4:
			cell_set_number(row, c, result_int4(result, i, c));
			break;
		case COLUMN_INT8:
			cell_set_number(row, c, result_int8(result, i, c));
			break;
		case COLUMN_CHAR:
			cell_set_number(row, c, *PQgetvalue(result, i, c));
			break;
		default: {
			struct slice text = arena_copy(arena, result_text(result, i, c));

			if (slice_is_absent(text))
				return NULL;
			cell_set_text(row, c, text);
		}
		}
	}
	if (row != NULL)
		row->message = ROW_OF_NO_MESSAGE;
	return row;
}

static bool near_add(struct writer_work *work, struct arena *arena, struct row *row)
{
	if (work->near_count == work->near_room) {
		size_t room = work->near_room == 0 ? 256 : 2 * work->near_room;
		struct row **grown = arena_alloc(arena, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		if (work->near_count > 0)
			memcpy(grown, work->near, work->near_count * sizeof(*grown));
		work->near = grown;
		work->near_room = room;
	}
	work->near[work->near_count++] = row;
	return true;
}

static bool near_on_read(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct arena *arena = &w->work.batch->arena;

	(void)number;
	for (int i = 0; i < PQntuples(result); i++) {
		struct row *row = near_read(arena, result, i);

		if (row == NULL || !near_add(&w->work, arena, row))
			return request_arena_full(err);
	}
	return true;
}

static struct row *run_new(struct arena *arena, const struct row *half)
{
	struct row *run = row_new(arena, TABLE_exchange_runs);
	int64_t kind = half->cells[TABLE_exchange_halves_half].number;
	bool csms = kind == HALF_CSMS_CALL || kind == HALF_CSMS_RESULT;

	if (run == NULL)
		return NULL;
	run->cells[TABLE_exchange_runs_charge_station_id] =
		half->cells[TABLE_exchange_halves_charge_station_id];
	run->cells[TABLE_exchange_runs_message_id] = half->cells[TABLE_exchange_halves_message_id];
	cell_set_number(run, TABLE_exchange_runs_call_half, csms ? HALF_CSMS_CALL : HALF_CALL);
	cell_set_number(run, TABLE_exchange_runs_result_half,
		csms ? HALF_CSMS_RESULT : HALF_RESULT);
	run->cells[TABLE_exchange_runs_first_at] = half->cells[TABLE_exchange_halves_received_at];
	run->cells[TABLE_exchange_runs_last_at] = run->cells[TABLE_exchange_runs_first_at];
	return run;
}

/* Groups sorted halves into runs of one id each. NULL if the arena is full. */
static struct row **near_runs(struct arena *arena, const struct half *halves, size_t count,
	size_t *runs_out)
{
	struct row **runs = arena_alloc(arena, count * sizeof(*runs));
	size_t runs_count = 0;

	for (size_t i = 0; runs != NULL && i < count; i++) {
		const struct half *h = &halves[i];
		struct cell *last = NULL;

		if (i > 0)
			last = &runs[runs_count - 1]->cells[TABLE_exchange_runs_last_at];
		if (last != NULL && half_is_of_same_id(h - 1, h) &&
			h->received_us - last->number <= NEAR_RUN_US) {
			last->number = h->received_us;
			continue;
		}
		runs[runs_count] = run_new(arena, h->row);
		if (runs[runs_count++] == NULL)
			return NULL;
	}
	*runs_out = runs_count;
	return runs;
}

static bool near_add_request(struct writer *w, enum statement_id statement, enum table_id table,
	struct row *const *rows, size_t count, const struct slice *reach, struct error *err)
{
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[statement],
			.table = table,
			.rows = rows,
			.count = count,
			.more = reach,
			.more_count = 1,
			.on_result = near_on_read,
			.context = w,
		},
		err);
}

static bool near_plan_traced(struct writer *w, const struct slice *keep, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *halves = &b->rows[TABLE_exchange_halves];
	struct row **traced = arena_alloc(&b->arena, halves->count * sizeof(*traced));
	size_t count = 0;

	if (traced == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < halves->count; i++) {
		if (halves->rows[i]->cells[TABLE_exchange_halves_trace_id].present)
			traced[count++] = halves->rows[i];
	}
	return near_add_request(w, STATEMENT_HALVES_TRACED, TABLE_exchange_halves, traced, count,
		keep, err);
}

bool writer_plan_near(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *own = &b->rows[TABLE_exchange_halves];
	struct slice keep = param_int8(&b->arena, w->options.pairing_keep_us);
	struct slice reach = param_int8(&b->arena, PAIRING_REACH * w->options.pairing_keep_us);
	struct half *halves;
	struct row **runs;
	size_t runs_count;

	w->work.near_count = 0;
	if (own->count == 0)
		return true;
	halves = half_sort(&b->arena, own->rows, own->count);
	if (halves == NULL)
		return request_arena_full(err);
	runs = near_runs(&b->arena, halves, own->count, &runs_count);
	if (runs == NULL)
		return request_arena_full(err);
	return near_add_request(w, STATEMENT_HALVES_NEAR, TABLE_exchange_runs, runs, runs_count,
		       &reach, err) &&
	       near_plan_traced(w, &keep, err);
}
