#include "base/clock.h"
#include "copy/pairing.h"
#include "copy/writer_private.h"

#include <stdlib.h>

/*
 * Halves of exchanges, to their pairs. The batch's own are stored, and those of the same message
 * ids that lie near them are read back: the database has both halves, whichever came first and
 * through whichever worker. Which result belongs to which call is decided here (copy/pairing.h).
 */
static const int64_t PAIRS_RUN_US = US_PER_SECOND; /* halves that are this near are read at once */

/* Pairs by what is done with them. */
struct sorted_pairs {
	struct row **starts, **lost_starts, **authorize, **lost_authorize, **answers;
	size_t starts_count, lost_starts_count, authorize_count, lost_authorize_count;
	size_t answers_count;
};

/* ---- halves near those of the batch ---- */

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
			return writer_arena_full(err);
	}
	return true;
}

static int pairs_order_halves(const void *a, const void *b)
{
	struct half x = half_of(*(struct row *const *)a, true);
	struct half y = half_of(*(struct row *const *)b, true);

	return half_compare(&x, &y);
}

/* Copies of one message within the batch are equal. */
static void halves_mark_new(const struct batch_rows *halves, size_t at)
{
	size_t from = at, to = at + 1;

	while (from > 0 && pairs_order_halves(&halves->rows[from - 1], &halves->rows[at]) == 0)
		from--;
	while (to < halves->count && pairs_order_halves(&halves->rows[to], &halves->rows[at]) == 0)
		to++;
	for (size_t i = from; i < to; i++)
		halves->rows[i]->dropped = false;
}

/* halves.sql: those of the batch that were not there. The others are copies of some that were. */
static bool halves_on_stored(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;
	const struct batch_rows *halves = &b->rows[TABLE_exchange_halves];
	struct arena_mark mark = arena_mark(&b->arena);

	(void)number;
	for (size_t i = 0; i < halves->count; i++)
		halves->rows[i]->dropped = true;
	for (int i = 0; i < PQntuples(result); i++) {
		struct row *key = near_read(&b->arena, result, i), **found;

		if (key == NULL)
			return writer_arena_full(err);
		found = bsearch(&key, halves->rows, halves->count, sizeof(*halves->rows),
			pairs_order_halves);
		CHECK(found != NULL);
		halves_mark_new(halves, (size_t)(found - halves->rows));
		arena_rewind(&b->arena, mark);
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

/* Halves in order, to runs of one id each. NULL if the arena is full. */
static struct row **near_runs(struct arena *arena, struct row *const *halves, size_t count,
	size_t *runs_out)
{
	struct row **runs = arena_alloc(arena, count * sizeof(*runs));
	size_t runs_count = 0;

	for (size_t i = 0; runs != NULL && i < count; i++) {
		struct half h = half_of(halves[i], true), before;
		struct cell *last = NULL;

		if (i > 0) {
			before = half_of(halves[i - 1], true);
			last = &runs[runs_count - 1]->cells[TABLE_exchange_runs_last_at];
		}
		if (last != NULL && half_is_of_same_id(&before, &h) &&
			h.received_us - last->number <= PAIRS_RUN_US) {
			last->number = h.received_us;
			continue;
		}
		runs[runs_count] = run_new(arena, halves[i]);
		if (runs[runs_count++] == NULL)
			return NULL;
	}
	*runs_out = runs_count;
	return runs;
}

static bool near_plan_traced(struct writer *w, const struct slice *keep, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *halves = &b->rows[TABLE_exchange_halves];
	struct row **traced = arena_alloc(&b->arena, halves->count * sizeof(*traced));
	size_t count = 0;

	if (traced == NULL)
		return writer_arena_full(err);
	for (size_t i = 0; i < halves->count; i++) {
		if (halves->rows[i]->cells[TABLE_exchange_halves_trace_id].present)
			traced[count++] = halves->rows[i];
	}
	if (count == 0)
		return true;
	if (!writer_rows(w, &w->statements->all[STATEMENT_HALVES_TRACED], TABLE_exchange_halves,
		    tables[TABLE_exchange_halves].columns_count, traced, count, keep, 1, err))
		return false;
	w->requests[w->requests_count - 1].on_result = near_on_read;
	w->requests[w->requests_count - 1].context = w;
	return true;
}

bool writer_plan_halves(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	struct batch_rows *halves = &b->rows[TABLE_exchange_halves];
	struct slice keep = param_int8(&b->arena, w->options.pairing_keep_us);
	struct slice reach = param_int8(&b->arena, PAIRING_REACH * w->options.pairing_keep_us);
	struct row **runs;
	size_t runs_count;

	w->work.near_count = 0;
	if (halves->count == 0)
		return true;
	for (size_t i = 0; i < halves->count; i++)
		row_settle_half(halves->rows[i]);
	if (halves->count > 1)
		qsort(halves->rows, halves->count, sizeof(*halves->rows), pairs_order_halves);
	runs = near_runs(&b->arena, halves->rows, halves->count, &runs_count);
	if (runs == NULL)
		return writer_arena_full(err);
	if (!writer_rows(w, &w->statements->all[STATEMENT_HALVES], TABLE_exchange_halves,
		    tables[TABLE_exchange_halves].columns_count, halves->rows, halves->count, NULL,
		    0, err))
		return false;
	w->requests[w->requests_count - 1].on_result = halves_on_stored;
	w->requests[w->requests_count - 1].context = w;
	if (!writer_rows(w, &w->statements->all[STATEMENT_HALVES_NEAR], TABLE_exchange_runs,
		    tables[TABLE_exchange_runs].columns_count, runs, runs_count, &reach, 1, err))
		return false;
	w->requests[w->requests_count - 1].on_result = near_on_read;
	w->requests[w->requests_count - 1].context = w;
	return near_plan_traced(w, &keep, err);
}

/* ---- pairs ---- */

/* A pair as parameters; of the call that the result belongs to, or belonged to. */
static struct row *pair_row(struct arena *arena, const struct pair *p, const struct half *call)
{
	static const int same[][2] = {
		{TABLE_exchange_pairs_result_time, TABLE_exchange_halves_event_time},
		{TABLE_exchange_pairs_result_digest, TABLE_exchange_halves_digest},
		{TABLE_exchange_pairs_received_at, TABLE_exchange_halves_received_at},
		{TABLE_exchange_pairs_transaction_id, TABLE_exchange_halves_transaction_id},
		{TABLE_exchange_pairs_id_token_status, TABLE_exchange_halves_id_token_status},
		{TABLE_exchange_pairs_group_id_token, TABLE_exchange_halves_group_id_token},
		{TABLE_exchange_pairs_expiry_date, TABLE_exchange_halves_expiry_date},
	};
	const struct cell *result = p->result->row->cells;
	struct row *row = row_new(arena, TABLE_exchange_pairs);

	if (row == NULL)
		return NULL;
	row->message = p->result->row->message;
	row->cells[KEY_STATION] = result[TABLE_exchange_halves_charge_station_id];
	if (call != NULL) {
		row->cells[KEY_TIME] = call->row->cells[TABLE_exchange_halves_event_time];
		row->cells[KEY_EVSE] = call->row->cells[TABLE_exchange_halves_evse_id];
		row->cells[KEY_DIGEST] = call->row->cells[TABLE_exchange_halves_digest];
	}
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		row->cells[same[i][0]] = result[same[i][1]];
	cell_set_number(row, TABLE_exchange_pairs_link_kind, p->kind);
	cell_set_number(row, TABLE_exchange_pairs_distance_us, p->distance_us);
	return row;
}

static bool half_is(const struct half *call, const char *action)
{
	return call != NULL &&
	       slice_equal_cstr(cell_text(call->row, TABLE_exchange_halves_action), action);
}

static bool pairs_take(struct row ***rows, size_t *count, struct arena *arena, const struct pair *p,
	const struct half *call)
{
	(*rows)[*count] = pair_row(arena, p, call);
	return (*rows)[(*count)++] != NULL;
}

static bool pairs_sort_one(struct sorted_pairs *s, struct arena *arena, const struct pair *p)
{
	bool id = p->result->row->cells[TABLE_exchange_halves_transaction_id].present;

	if (half_is_name_only(p->result))
		return true;
	if (half_is(p->lost, "StartTransaction") && id &&
		!pairs_take(&s->lost_starts, &s->lost_starts_count, arena, p, p->lost))
		return false;
	if (half_is(p->lost, "Authorize") &&
		!pairs_take(&s->lost_authorize, &s->lost_authorize_count, arena, p, p->lost))
		return false;
	if (half_is(p->call, "StartTransaction") && id)
		return pairs_take(&s->starts, &s->starts_count, arena, p, p->call);
	if (half_is(p->call, "Authorize"))
		return pairs_take(&s->authorize, &s->authorize_count, arena, p, p->call);
	return true;
}

static bool pairs_have_unnamed(const struct half *halves, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!halves[i].is_call && half_wants_name(&halves[i]))
			return true;
	}
	return false;
}

/* Halves of one id. */
static bool pairs_of_id(struct writer *w, struct half *halves, size_t count, struct sorted_pairs *s)
{
	struct pairing_limits limits = {w->options.pairing_window_us, w->options.pairing_keep_us};
	struct arena *arena = &w->work.batch->arena;
	int64_t kind = halves[0].row->cells[TABLE_exchange_halves_half].number;
	bool csms = kind == HALF_CSMS_CALL || kind == HALF_CSMS_RESULT;
	struct pairs pairs;

	if ((!csms || pairs_have_unnamed(halves, count)) &&
		(!pairing_find(halves, count, &limits, arena, &pairs) ||
			!writer_note_names(w, &pairs)))
		return false;
	if (csms && !pairing_find_all(halves, count, &limits, arena, &pairs))
		return false;
	for (size_t i = 0; i < pairs.count; i++) {
		const struct pair *p = &pairs.pairs[i];

		if (csms ? !pairs_take(&s->answers, &s->answers_count, arena, p, p->call)
			 : !pairs_sort_one(s, arena, p))
			return false;
	}
	return true;
}

/* All halves in order, each once. NULL if the arena is full. */
static struct half *pairs_halves(struct writer *w, size_t *count_out)
{
	const struct batch_rows *own = &w->work.batch->rows[TABLE_exchange_halves];
	size_t all = own->count + w->work.near_count, count = 0;
	struct half *halves = arena_alloc(&w->work.batch->arena, all * sizeof(*halves));

	if (halves == NULL)
		return NULL;
	for (size_t i = 0; i < all; i++)
		halves[i] = i < own->count ? half_of(own->rows[i], true)
					   : half_of(w->work.near[i - own->count], false);
	qsort(halves, all, sizeof(*halves), half_compare);
	for (size_t i = 0; i < all; i++) {
		if (count == 0 || !half_is_same(&halves[count - 1], &halves[i]))
			halves[count++] = halves[i];
	}
	*count_out = count;
	return halves;
}

static bool sorted_make(struct sorted_pairs *s, struct arena *arena, size_t halves)
{
	/* Of each half two pairs at most, but for answers. */
	size_t size = (2 * halves + 1) * sizeof(*s->starts);
	size_t answers = ((size_t)PAIRING_ALL_MAX * halves + 1) * sizeof(*s->answers);

	*s = (struct sorted_pairs){
		.starts = arena_alloc(arena, size),
		.lost_starts = arena_alloc(arena, size),
		.authorize = arena_alloc(arena, size),
		.lost_authorize = arena_alloc(arena, size),
		.answers = arena_alloc(arena, answers),
	};
	return s->starts != NULL && s->lost_starts != NULL && s->authorize != NULL &&
	       s->lost_authorize != NULL && s->answers != NULL;
}

/* ---- where they go ---- */

static bool pairs_poison(struct writer *w, struct partition p, uint32_t message, struct error *err)
{
	char name[PARTITION_NAME_BYTES];

	partition_name(p, name);
	partitions_add_detached(w->partitions, p);
	w->work.poison_message = message == ROW_OF_NO_MESSAGE ? -1 : (int64_t)message;
	error_set(err, ERROR_POISON, "partition_detached",
		"the call that this message answers is in table \"%s\", which is not a partition "
		"of \"%s\"",
		name, tables[p.table].name);
	return error_hint(err,
		"attach it again, then `ocpp-persister dead-letters requeue --reason "
		"partition_detached`");
}

bool writer_start_has_place(struct writer *w, const PGresult *result, int i, struct error *err)
{
	enum { START_NUMBER = 18, START_DETACHED = 19 };
	static const enum table_id needed[] = {TABLE_transactions, TABLE_transaction_starts};
	const struct row *pair = w->work.starts[result_int4(result, i, START_NUMBER)];
	int64_t time_us = pair->cells[KEY_TIME].number;
	bool missing = false;

	if (!PQgetisnull(result, i, START_DETACHED)) /* the start is not there */
		return *PQgetvalue(result, i, START_DETACHED) == 0 ||
		       pairs_poison(w, partition_of(TABLE_transaction_events, time_us),
			       pair->message, err);
	for (size_t t = 0; t < sizeof(needed) / sizeof(*needed); t++) {
		struct partition p = partition_of(needed[t], time_us);

		if (partitions_has(w->partitions, p))
			continue;
		if (partitions_is_detached(w->partitions, p))
			return pairs_poison(w, p, pair->message, err);
		if (!batch_need_for_result(w->work.batch, p, pair->message, w->partitions, err)) {
			w->work.poison_message = pair->message;
			return false;
		}
		missing = true;
	}
	if (!missing)
		return true;
	w->work.try_again = true;
	return error_set(err, ERROR_TRANSIENT, "partition_missing",
		"a result belongs to a start whose transaction has no partition yet");
}

static bool pairs_on_authorize(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	const struct row *pair;

	(void)number;
	if (PQntuples(result) == 0)
		return true;
	pair = w->work.authorize[result_int4(result, 0, 0)];
	return pairs_poison(w, partition_of(TABLE_authorizations, pair->cells[KEY_TIME].number),
		pair->message, err);
}

static bool pairs_statement(struct writer *w, enum statement_id id, struct row *const *rows,
	size_t count, bool (*on_result)(void *, const PGresult *, int, struct error *),
	struct error *err)
{
	if (count == 0)
		return true;
	if (!writer_rows(w, &w->statements->all[id], TABLE_exchange_pairs,
		    tables[TABLE_exchange_pairs].columns_count, rows, count, NULL, 0, err))
		return false;
	w->requests[w->requests_count - 1].on_result = on_result;
	w->requests[w->requests_count - 1].context = w;
	return true;
}

/* The transactions that had the starts are rebuilt. */
static bool pairs_unlink(struct batch *b, struct row *const *lost, size_t count)
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

bool writer_plan_pairs(struct writer *w, struct error *err)
{
	struct arena *arena = &w->work.batch->arena;
	struct half *halves;
	struct sorted_pairs s;
	size_t count, to;

	if (w->work.batch->rows[TABLE_exchange_halves].count == 0)
		return true;
	w->work.names = (struct batch_rows){NULL};
	halves = pairs_halves(w, &count);
	if (halves == NULL || !sorted_make(&s, arena, count))
		return writer_arena_full(err);
	for (size_t from = 0; from < count; from = to) {
		to = from + 1;
		while (to < count && half_is_of_same_id(&halves[from], &halves[to]))
			to++;
		if (!pairs_of_id(w, &halves[from], to - from, &s))
			return writer_arena_full(err);
	}
	if (!pairs_unlink(w->work.batch, s.lost_starts, s.lost_starts_count))
		return writer_arena_full(err);
	w->work.starts = s.starts;
	w->work.authorize = s.authorize;
	return writer_plan_names(w, err) &&
	       pairs_statement(w, STATEMENT_LOST_AUTHORIZE, s.lost_authorize,
		       s.lost_authorize_count, NULL, err) &&
	       pairs_statement(w, STATEMENT_AUTHORIZE, s.authorize, s.authorize_count,
		       pairs_on_authorize, err) &&
	       pairs_statement(w, STATEMENT_LOST_STARTS, s.lost_starts, s.lost_starts_count, NULL,
		       err) &&
	       pairs_statement(w, STATEMENT_STARTS, s.starts, s.starts_count, writer_on_starts,
		       err) &&
	       writer_plan_answers(w, s.answers, s.answers_count, err);
}
