#include "copy/pairing.h"

#include "base/digest.h"
#include "rows/transaction.h"

#include <stdlib.h>

enum {
	PAIRING_ALL_EACH_SIDE = PAIRING_ALL_MAX / 2,
	PAIRING_COPIES_MAX = 64, /* halves around a late pair that may all be copies of the two */
};

/* Halves of one id that are believed to be there, in order, and views of them. */
struct timeline {
	const struct half **all;
	size_t count;
	const struct half **calls; /* by time */
	size_t calls_count;
	const struct half **traced; /* calls that have a trace, by trace and time */
	size_t traced_count;
};

/* ---- halves ---- */

static struct slice half_text(const struct half *h, int column)
{
	return cell_text(h->row, column);
}

struct half half_of(struct row *row, bool fresh)
{
	int64_t half = row->cells[TABLE_exchange_halves_half].number;
	struct slice trace = cell_text(row, TABLE_exchange_halves_trace_id);

	return (struct half){
		.row = row,
		.is_call = half == HALF_CALL || half == HALF_CSMS_CALL,
		.fresh = fresh,
		.known = fresh && row->dropped,
		.received_us = row->cells[TABLE_exchange_halves_received_at].number,
		.trace = trace.size == 0 ? 0 : digest64(trace.data, trace.size) | 1,
	};
}

static bool half_is_of_csms(const struct half *h)
{
	int64_t half = h->row->cells[TABLE_exchange_halves_half].number;

	return half == HALF_CSMS_CALL || half == HALF_CSMS_RESULT;
}

static int half_compare_ids(const struct half *a, const struct half *b)
{
	int order = slice_compare(half_text(a, TABLE_exchange_halves_charge_station_id),
		half_text(b, TABLE_exchange_halves_charge_station_id));

	if (order == 0)
		order = slice_compare(half_text(a, TABLE_exchange_halves_message_id),
			half_text(b, TABLE_exchange_halves_message_id));
	return order != 0 ? order : half_is_of_csms(a) - half_is_of_csms(b);
}

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int64_t half_number(const struct half *h, int column)
{
	return h->row->cells[column].number;
}

/* Calls before results of the same time: such a result came after its call. */
static int half_compare_times(const struct half *a, const struct half *b)
{
	int order = compare_numbers(a->received_us, b->received_us);

	if (order == 0)
		order = b->is_call - a->is_call;
	if (order == 0)
		order = compare_numbers(half_number(a, TABLE_exchange_halves_digest),
			half_number(b, TABLE_exchange_halves_digest));
	return order;
}

int half_compare(const void *a, const void *b)
{
	const struct half *x = a, *y = b;
	int order = half_compare_ids(x, y);

	if (order == 0)
		order = half_compare_times(x, y);
	return order != 0 ? order : y->fresh - x->fresh;
}

struct half *half_sort(struct arena *arena, struct row **rows, size_t count)
{
	struct half *halves = arena_alloc(arena, count * sizeof(*halves));

	if (halves == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		halves[i] = half_of(rows[i], true);
	if (count > 1)
		qsort(halves, count, sizeof(*halves), half_compare);
	for (size_t i = 0; i < count; i++)
		rows[i] = halves[i].row;
	return halves;
}

bool half_is_same(const struct half *a, const struct half *b)
{
	return half_compare_ids(a, b) == 0 && half_compare_times(a, b) == 0;
}

bool half_is_of_same_id(const struct half *a, const struct half *b)
{
	return half_compare_ids(a, b) == 0;
}

/* Copies of one message: halves of the same row. */
static bool half_is_copy(const struct half *a, const struct half *b)
{
	return half_number(a, TABLE_exchange_halves_digest) ==
		       half_number(b, TABLE_exchange_halves_digest) &&
	       half_number(a, TABLE_exchange_halves_event_time) ==
		       half_number(b, TABLE_exchange_halves_event_time) &&
	       half_number(a, TABLE_exchange_halves_evse_id) ==
		       half_number(b, TABLE_exchange_halves_evse_id);
}

bool half_wants_name(const struct half *result)
{
	return half_text(result, TABLE_exchange_halves_action).size == 0;
}

bool half_is_name_only(const struct half *result)
{
	return half_wants_name(result) &&
	       !result->row->cells[TABLE_exchange_halves_transaction_id].present &&
	       !result->row->cells[TABLE_exchange_halves_id_token_status].present;
}

/* Calls whose answer may have a token's status. */
static bool half_asks_for_token(const struct half *call)
{
	struct slice asked = half_text(call, TABLE_exchange_halves_action);

	return slice_equal_cstr(asked, "Authorize") || slice_equal_cstr(asked, "StopTransaction") ||
	       slice_equal_cstr(asked, "TransactionEvent");
}

/* Could the result be of this call, by what the two say? One that does not name its action is
 * recognised by its fields: only the answer to a StartTransaction has a transaction's id, and only
 * some have a token's status. */
static bool half_fits(const struct half *call, const struct half *result)
{
	struct slice asked = half_text(call, TABLE_exchange_halves_action);
	struct slice action = half_text(result, TABLE_exchange_halves_action);

	if (call->trace != 0 && result->trace != 0 && call->trace != result->trace)
		return false;
	if (action.size > 0)
		return slice_equal(asked, action);
	if (half_is_of_csms(result) || half_is_name_only(result))
		return true;
	if (result->row->cells[TABLE_exchange_halves_transaction_id].present)
		return slice_equal_cstr(asked, "StartTransaction");
	return half_asks_for_token(call);
}

/* ---- timelines ---- */

static int traced_compare(const void *a, const void *b)
{
	const struct half *x = *(const struct half *const *)a;
	const struct half *y = *(const struct half *const *)b;

	if (x->trace != y->trace)
		return x->trace < y->trace ? -1 : 1;
	return half_compare_times(x, y);
}

static bool timeline_make(struct timeline *t, const struct half *halves, size_t count,
	bool with_fresh, struct arena *arena)
{
	*t = (struct timeline){.all = arena_alloc(arena, (3 * count + 1) * sizeof(*t->all))};
	if (t->all == NULL)
		return false;
	t->calls = t->all + count;
	t->traced = t->calls + count;
	for (size_t i = 0; i < count; i++) {
		const struct half *h = &halves[i];

		if (h->fresh && !h->known && !with_fresh)
			continue;
		t->all[t->count++] = h;
		if (h->is_call)
			t->calls[t->calls_count++] = h;
		if (h->is_call && h->trace != 0)
			t->traced[t->traced_count++] = h;
	}
	if (t->traced_count > 1)
		qsort(t->traced, t->traced_count, sizeof(*t->traced), traced_compare);
	return true;
}

/* How many of them come before h, or are h. */
static size_t timeline_search(const struct half *const *halves, size_t count, const struct half *h,
	int (*compare)(const void *, const void *))
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&halves[middle], &h) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int times_compare(const void *a, const void *b)
{
	return half_compare_times(*(const struct half *const *)a, *(const struct half *const *)b);
}

static int64_t distance(const struct half *a, const struct half *b)
{
	int64_t apart = a->received_us - b->received_us;

	return apart < 0 ? -apart : apart;
}

static struct pair pair_of(const struct half *call, const struct half *result, int32_t kind)
{
	return (struct pair){.call = call,
		.result = result,
		.kind = kind,
		.distance_us = distance(call, result)};
}

static struct pair no_pair(const struct half *result)
{
	return (struct pair){.result = result};
}

/* ---- the rule ---- */

/* Where a result stands among calls in some order, and how far from it one may be. */
struct place {
	const struct half *r;
	const struct half *const *calls;
	size_t count;
	size_t at; /* so many come before it */
	int64_t within_us;
};

enum side { SIDE_BEFORE, SIDE_AFTER };

static struct place place_by_time(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits)
{
	return (struct place){.r = r,
		.calls = t->calls,
		.count = t->calls_count,
		.at = timeline_search(t->calls, t->calls_count, r, times_compare),
		.within_us = limits->window_us};
}

/* Around it are the calls of its trace, and after them those of others, none of which fits. */
static struct place place_by_trace(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits)
{
	return (struct place){.r = r,
		.calls = t->traced,
		.count = t->traced_count,
		.at = timeline_search(t->traced, t->traced_count, r, traced_compare),
		.within_us = limits->keep_us};
}

/* The calls on one side that fit, the nearest first, up to `most`. Returns how many there are. */
static size_t place_look(const struct place *p, enum side side, const struct half **out,
	size_t most)
{
	size_t left = side == SIDE_BEFORE ? p->at : p->count - p->at, found = 0;

	for (size_t i = 0; i < left && i < PAIRING_LOOK && found < most; i++) {
		const struct half *c = p->calls[side == SIDE_BEFORE ? p->at - 1 - i : p->at + i];

		if (distance(c, p->r) > p->within_us)
			break;
		if (half_fits(c, p->r))
			out[found++] = c;
	}
	return found;
}

static struct pair find_traced(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits)
{
	struct place p = place_by_trace(t, r, limits);
	const struct half *call;

	if (r->trace == 0)
		return no_pair(r);
	if (place_look(&p, SIDE_BEFORE, &call, 1) > 0 || place_look(&p, SIDE_AFTER, &call, 1) > 0)
		return pair_of(call, r, LINK_TRACED);
	return no_pair(r);
}

static struct pair find_near(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits)
{
	struct place p = place_by_time(t, r, limits);
	const struct half *call;

	if (place_look(&p, SIDE_BEFORE, &call, 1) > 0)
		return pair_of(call, r, LINK_AFTER);
	if (place_look(&p, SIDE_AFTER, &call, 1) > 0)
		return pair_of(call, r, LINK_BEFORE);
	return no_pair(r);
}

/* The halves within the limit around one. False if there are more than can all be copies. */
static bool late_span(const struct timeline *t, const struct half *around,
	const struct pairing_limits *limits, size_t *from_out, size_t *to_out)
{
	size_t at = timeline_search(t->all, t->count, around, times_compare);
	size_t from = at, to = at;

	while (from > 0 && distance(t->all[from - 1], around) <= limits->keep_us &&
		at - from <= PAIRING_COPIES_MAX)
		from--;
	while (to < t->count && distance(t->all[to], around) <= limits->keep_us &&
		to - at <= PAIRING_COPIES_MAX)
		to++;
	*from_out = from;
	*to_out = to;
	return to - from <= PAIRING_COPIES_MAX;
}

/* Nothing but copies of the two within the limit around a half. *call: the call, once seen. */
static bool late_is_alone(const struct timeline *t, const struct half *around, const struct half *r,
	const struct pairing_limits *limits, const struct half **call)
{
	size_t from, to;

	if (!late_span(t, around, limits, &from, &to))
		return false;
	for (size_t i = from; i < to; i++) {
		const struct half *h = t->all[i];

		if (!h->is_call && !half_is_copy(h, r))
			return false;
		if (h->is_call && *call != NULL && !half_is_copy(h, *call))
			return false;
		if (h->is_call && (*call == NULL || distance(h, r) < distance(*call, r)))
			*call = h;
	}
	return true;
}

static struct pair find_late(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits)
{
	const struct half *call = NULL;

	if (!late_is_alone(t, r, r, limits, &call) || call == NULL || !half_fits(call, r) ||
		!late_is_alone(t, call, r, limits, &call))
		return no_pair(r);
	return pair_of(call, r, LINK_LATE);
}

static struct pair find_call(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits)
{
	struct pair found = find_traced(t, r, limits);

	if (found.call == NULL)
		found = find_near(t, r, limits);
	if (found.call == NULL)
		found = find_late(t, r, limits);
	return found;
}

/* The call of each result: as it was without the fresh halves, and as it is. */
struct finding {
	struct half *halves;
	const struct pairing_limits *limits;
	struct timeline before, after;
};

/* The pair of a result; true if it is to be reported. A call that loses the result is marked. */
static bool finding_of(const struct finding *f, struct half *r, struct pair *out)
{
	struct pair was = no_pair(r);

	*out = find_call(&f->after, r, f->limits);
	if (!r->fresh || r->known)
		was = find_call(&f->before, r, f->limits);
	/* Copies are paired as well, which restores a link that was lost. */
	if (was.call == out->call && (!r->fresh || out->call == NULL))
		return false;
	if (was.call != NULL && was.call != out->call &&
		(out->call == NULL || !half_is_copy(was.call, out->call))) {
		out->lost = was.call;
		f->halves[was.call - f->halves].loses = true;
	}
	r->changed = true;
	return true;
}

bool pairing_find(struct half *halves, size_t count, const struct pairing_limits *limits,
	struct arena *arena, struct pairs *out)
{
	struct pair *is = arena_alloc(arena, (count + 1) * sizeof(*is));
	struct finding f = {.halves = halves, .limits = limits};
	size_t results = 0;

	*out = (struct pairs){.pairs = arena_alloc(arena, (2 * count + 1) * sizeof(*out->pairs))};
	if (is == NULL || out->pairs == NULL ||
		!timeline_make(&f.before, halves, count, false, arena) ||
		!timeline_make(&f.after, halves, count, true, arena))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (halves[i].is_call)
			continue;
		if (finding_of(&f, &halves[i], &is[results]))
			out->pairs[out->count++] = is[results];
		results++;
	}
	for (size_t i = 0; i < results; i++) {
		if (is[i].call != NULL && is[i].call->loses && !is[i].result->changed)
			out->pairs[out->count++] = is[i];
	}
	return true;
}

/* ---- answers that count for several calls ---- */

/* True if there is a call at all. */
static bool all_of_result(const struct timeline *t, const struct half *r,
	const struct pairing_limits *limits, struct pairs *out)
{
	struct place p = place_by_time(t, r, limits);
	const struct half *calls[PAIRING_ALL_MAX];
	size_t before = place_look(&p, SIDE_BEFORE, calls, PAIRING_ALL_EACH_SIDE), count = before;
	struct pair traced = no_pair(r);

	count += place_look(&p, SIDE_AFTER, calls + before, PAIRING_ALL_EACH_SIDE);
	if (count == 0)
		traced = find_traced(t, r, limits);
	if (traced.call != NULL)
		calls[count++] = traced.call;
	for (size_t i = 0; i < count; i++) {
		int32_t kind = i < before ? LINK_AFTER : LINK_BEFORE;

		if (r->fresh || calls[i]->fresh)
			out->pairs[out->count++] =
				pair_of(calls[i], r, traced.call != NULL ? LINK_TRACED : kind);
	}
	return count > 0;
}

bool pairing_find_all(struct half *halves, size_t count, const struct pairing_limits *limits,
	struct arena *arena, struct pairs *out)
{
	struct timeline t;

	*out = (struct pairs){.pairs = arena_alloc(arena,
				      ((size_t)PAIRING_ALL_MAX * count + 1) * sizeof(*out->pairs))};
	if (out->pairs == NULL || !timeline_make(&t, halves, count, true, arena))
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct half *r = &halves[i];

		if (!r->is_call && !all_of_result(&t, r, limits, out) && r->fresh)
			out->pairs[out->count++] = no_pair(r);
	}
	return true;
}
