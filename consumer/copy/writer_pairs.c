#include "base/clock.h"
#include "copy/pairing.h"
#include "copy/writer_private.h"

#include <stdlib.h>

/*
 * From halves of exchanges to pairs. Which result belongs to which call is decided here
 * (copy/pairing.h), before rows without a time of their own are copied: if an Authorize is one of
 * them, its row can include the outcome, which saves a statement.
 */
static const int64_t PAIRS_RANK_OF_KIND =
	INT64_C(1000000000000000); /* the same as in authorize.sql */

/* ---- storing halves ---- */

/* Sets whether they were already stored. */
static void halves_mark(const struct batch_rows *own, bool known)
{
	for (size_t i = 0; i < own->count; i++)
		own->rows[i]->dropped = known;
}

/* Fills an existing row from a row of halves.sql. */
static struct half halves_read_key(struct row *row, const PGresult *result, int i)
{
	cell_set_text(row, TABLE_exchange_halves_charge_station_id, result_text(result, i, 0));
	cell_set_text(row, TABLE_exchange_halves_message_id, result_text(result, i, 1));
	cell_set_number(row, TABLE_exchange_halves_half, *PQgetvalue(result, i, 2));
	cell_set_number(row, TABLE_exchange_halves_received_at, result_time(result, i, 3));
	cell_set_number(row, TABLE_exchange_halves_digest, result_int8(result, i, 4));
	return half_of(row, true);
}

/* Copies of one message within the batch are equal. */
static void halves_mark_new(struct half *halves, size_t count, size_t at)
{
	size_t from = at, to = at + 1;

	while (from > 0 && half_is_same(&halves[from - 1], &halves[at]))
		from--;
	while (to < count && half_is_same(&halves[to], &halves[at]))
		to++;
	for (size_t i = from; i < to; i++)
		halves[i].row->dropped = false;
}

/* Rows of the batch may already be stored, which was not known when the pairs were found. */
static bool halves_are_careful(const struct writer *w)
{
	return w->work.careful[TABLE_authorizations] || w->work.careful[TABLE_ocpp_events];
}

/*
 * halves.sql: the batch's halves that were not stored. The others are copies of stored ones:
 * usually the same that were read near them; then the pairs are right, and the halves are copied
 * without asking.
 */
static bool halves_on_stored(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;
	const struct batch_rows *own = &b->rows[TABLE_exchange_halves];
	struct row *row;
	struct half *halves;

	(void)number;
	if ((size_t)PQntuples(result) == w->work.halves_new && !halves_are_careful(w))
		return true;
	w->work.pairs_differ = true;
	row = row_new(&b->arena, TABLE_exchange_halves);
	halves = half_sort(&b->arena, own->rows, own->count);
	if (row == NULL || halves == NULL)
		return request_arena_full(err);
	halves_mark(own, true);
	for (int i = 0; i < PQntuples(result); i++) {
		struct half key = halves_read_key(row, result, i), *found;

		found = bsearch(&key, halves, own->count, sizeof(*halves), half_compare);
		CHECK(found != NULL);
		halves_mark_new(halves, own->count, (size_t)(found - halves));
	}
	return true;
}

bool writer_plan_halves(struct writer *w, struct error *err)
{
	const struct batch_rows *own = &w->work.batch->rows[TABLE_exchange_halves];

	if (own->count == 0 || (w->halves_careful_left == 0 && !halves_are_careful(w)))
		return true; /* they will be copied */
	w->work.halves_asked = true;
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[STATEMENT_HALVES],
			.table = TABLE_exchange_halves,
			.rows = own->rows,
			.count = own->count,
			.on_result = halves_on_stored,
			.context = w,
		},
		err);
}

/* ---- pairs ---- */

/* A pair as parameters, for the call that the result belongs to, or belonged to. */
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

/* The last received of several answers to a call wins, the same as in authorize.sql. */
static bool outcome_is_better(const struct row *call, const struct row *pair, int64_t rank)
{
	static const int by[][2] = {
		{TABLE_authorizations_result_received_at, TABLE_exchange_pairs_received_at},
		{TABLE_authorizations_result_digest, TABLE_exchange_pairs_result_digest},
	};

	if (!call->cells[TABLE_authorizations_result_received_at].present)
		return true;
	for (size_t i = 0; i < sizeof(by) / sizeof(*by); i++) {
		int64_t has = call->cells[by[i][0]].number, other = pair->cells[by[i][1]].number;

		if (has != other)
			return other > has;
	}
	return rank < call->cells[TABLE_authorizations_result_rank].number;
}

static void outcome_put(struct row *call, const struct row *pair)
{
	static const int same[][2] = {
		{TABLE_authorizations_status, TABLE_exchange_pairs_id_token_status},
		{TABLE_authorizations_group_id_token, TABLE_exchange_pairs_group_id_token},
		{TABLE_authorizations_expiry_date, TABLE_exchange_pairs_expiry_date},
		{TABLE_authorizations_result_received_at, TABLE_exchange_pairs_received_at},
		{TABLE_authorizations_result_digest, TABLE_exchange_pairs_result_digest},
	};
	int64_t rank = (LINK_TRACED - pair->cells[TABLE_exchange_pairs_link_kind].number) *
			       PAIRS_RANK_OF_KIND +
		       pair->cells[TABLE_exchange_pairs_distance_us].number;

	if (!outcome_is_better(call, pair, rank))
		return;
	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		call->cells[same[i][0]] = pair->cells[same[i][1]];
	cell_set_number(call, TABLE_authorizations_result_rank, rank);
	call->copy_bytes = encode_row_bytes_max(call);
}

/* The row of a call, if it is not copied yet. */
static struct row *pairs_row_of(const struct half *call)
{
	struct row *row = call->row->refers;

	return row != NULL && !row->dropped && row->table->id == TABLE_authorizations ? row : NULL;
}

static bool pairs_take_authorize(struct writer_pairs *s, struct arena *arena, const struct pair *p)
{
	struct row *call = s->fill ? pairs_row_of(p->call) : NULL;

	if (!pairs_take(&s->authorize, &s->authorize_count, arena, p, p->call))
		return false;
	if (call != NULL)
		outcome_put(call, s->authorize[--s->authorize_count]);
	return true;
}

static bool pairs_sort_one(struct writer_pairs *s, struct arena *arena, const struct pair *p)
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
	return !half_is(p->call, "Authorize") || pairs_take_authorize(s, arena, p);
}

static bool pairs_have_unnamed(const struct half *halves, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!halves[i].is_call && half_wants_name(&halves[i]))
			return true;
	}
	return false;
}

/* The halves of one id. */
static bool pairs_of_id(struct writer *w, struct half *halves, size_t count, struct writer_pairs *s)
{
	struct pairing_limits limits = {w->options.pairing_window_us, w->options.pairing_keep_us};
	struct arena *arena = &w->work.batch->arena;
	int64_t kind = halves[0].row->cells[TABLE_exchange_halves_half].number;
	bool csms = kind == HALF_CSMS_CALL || kind == HALF_CSMS_RESULT;
	bool unnamed = pairs_have_unnamed(halves, count);
	struct pairs pairs;

	if ((!csms || unnamed) && !pairing_find(halves, count, &limits, arena, &pairs))
		return false;
	if (unnamed)
		s->named[s->named_count++] = pairs;
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

/* All halves in order, each once. A half of the batch that was also read nearby was already stored,
 * unless that is known already. NULL if the arena is full. */
static struct half *pairs_halves(struct writer *w, bool by_near, size_t *count_out)
{
	const struct batch_rows *own = &w->work.batch->rows[TABLE_exchange_halves];
	size_t all = own->count + w->work.near_count, count = 0;
	struct half *halves = arena_alloc(&w->work.batch->arena, all * sizeof(*halves));

	if (halves == NULL)
		return NULL;
	if (by_near)
		halves_mark(own, false);
	for (size_t i = 0; i < all; i++)
		halves[i] = i < own->count ? half_of(own->rows[i], true)
					   : half_of(w->work.near[i - own->count], false);
	qsort(halves, all, sizeof(*halves), half_compare);
	for (size_t i = 0; i < all; i++) {
		if (count == 0 || !half_is_same(&halves[count - 1], &halves[i]))
			halves[count++] = halves[i];
		else if (by_near && halves[count - 1].fresh && !halves[i].fresh)
			halves[count - 1].known = true;
	}
	*count_out = count;
	return halves;
}

/* The batch's halves that were not stored. */
static bool halves_note_new(struct writer *w, const struct half *halves, size_t count)
{
	struct writer_work *work = &w->work;
	size_t own = work->batch->rows[TABLE_exchange_halves].count;

	work->halves = arena_alloc(&work->batch->arena, own * sizeof(*work->halves));
	work->halves_new = 0;
	for (size_t i = 0; work->halves != NULL && i < count; i++) {
		if (halves[i].fresh && !halves[i].known)
			work->halves[work->halves_new++] = halves[i].row;
	}
	return work->halves != NULL;
}

static bool sorted_make(struct writer_pairs *s, struct arena *arena, size_t halves)
{
	/* At most two pairs for each half, except answers. */
	size_t size = (2 * halves + 1) * sizeof(*s->starts);
	size_t answers = ((size_t)PAIRING_ALL_MAX * halves + 1) * sizeof(*s->answers);

	*s = (struct writer_pairs){
		.starts = arena_alloc(arena, size),
		.lost_starts = arena_alloc(arena, size),
		.authorize = arena_alloc(arena, size),
		.lost_authorize = arena_alloc(arena, size),
		.answers = arena_alloc(arena, answers),
		.named = arena_alloc(arena, (halves + 1) * sizeof(*s->named)),
	};
	return s->starts != NULL && s->lost_starts != NULL && s->authorize != NULL &&
	       s->lost_authorize != NULL && s->answers != NULL && s->named != NULL;
}

static struct writer_pairs *pairs_find(struct writer *w, bool fill)
{
	struct arena *arena = &w->work.batch->arena;
	struct writer_pairs *s = arena_alloc(arena, sizeof(*s));
	struct half *halves;
	size_t count, to;

	halves = pairs_halves(w, fill, &count);
	if (s == NULL || halves == NULL || !sorted_make(s, arena, count) ||
		!halves_note_new(w, halves, count))
		return NULL;
	s->fill = fill;
	for (size_t from = 0; from < count; from = to) {
		to = from + 1;
		while (to < count && half_is_of_same_id(&halves[from], &halves[to]))
			to++;
		if (!pairs_of_id(w, &halves[from], to - from, s))
			return NULL;
	}
	return s;
}

/* Drops what an earlier attempt to store this batch has found. */
static void outcomes_forget(const struct batch_rows *calls)
{
	for (size_t i = 0; i < calls->count; i++) {
		struct row *call = calls->rows[i];

		for (int c = TABLE_authorizations_status; c < TABLE_authorizations_columns; c++)
			call->cells[c].present = false;
	}
}

bool writer_pair_halves(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *own = &b->rows[TABLE_exchange_halves];

	outcomes_forget(&b->timeless[TABLE_authorizations]);
	for (size_t i = 0; i < own->count; i++)
		row_settle_half(own->rows[i]);
	w->work.pairs = own->count == 0 ? NULL : pairs_find(w, true);
	return own->count == 0 || w->work.pairs != NULL || request_arena_full(err);
}

bool writer_pair_again(struct writer *w, struct error *err)
{
	if (w->work.pairs == NULL || !w->work.pairs_differ)
		return true;
	w->work.pairs = pairs_find(w, false);
	return w->work.pairs != NULL || request_arena_full(err);
}

/* ---- outcomes of Authorize ---- */

static bool authorize_on_detached(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct writer *w = context;
	const struct row *pair;

	(void)number;
	if (PQntuples(result) == 0)
		return true;
	pair = w->work.pairs->authorize[result_int4(result, 0, 0)];
	writer_blame(w, pair);
	return partition_refuse_result(
		partition_of(TABLE_authorizations, pair->cells[KEY_TIME].number), err);
}

bool writer_plan_authorize(struct writer *w, struct error *err)
{
	const struct writer_pairs *s = w->work.pairs;

	return s == NULL || (writer_add_pairs(w, STATEMENT_LOST_AUTHORIZE, s->lost_authorize,
				     s->lost_authorize_count, NULL, err) &&
				    writer_add_pairs(w, STATEMENT_AUTHORIZE, s->authorize,
					    s->authorize_count, authorize_on_detached, err));
}
