#include "rows/transaction.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/digest.h"
#include "rows/flags.h"
#include "rows/transaction_state.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	/* Derived from what is merged. All others come from events or from merging. */
	DERIVED_FLAGS = FLAG_stop_before_start | FLAG_meter_backwards | FLAG_energy_implausible,
	/* The strongest connectors for cars deliver 350 to 400 kW. */
	ENERGY_POWER_MAX_W = 500000,
};

static const int64_t ENERGY_DURATION_MIN_US =
	60 * US_PER_SECOND; /* some clocks have whole minutes only */

/* The group of each column, and where an event has its value. */
static const struct {
	int column;
	enum transaction_group group;
	int event_column; /* -1: not from an event's column */
} transaction_facts[] = {
#define TABLE_transaction_events_NONE (-1)
#define FACT(column, group, event_column)                                                          \
	{TABLE_transactions_##column, GROUP_##group, TABLE_transaction_events_##event_column},
#include "rows/transaction.def"
#undef FACT
};

/* More than any two times of receipt are apart. */
static const int64_t LINK_DISTANCES = INT64_C(1) << 60;

enum { FACTS_COUNT = sizeof(transaction_facts) / sizeof(transaction_facts[0]) };

static int rank_compare(const struct rank *a, const struct rank *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	if (a->time_us != b->time_us)
		return a->time_us < b->time_us ? -1 : 1;
	return (a->digest > b->digest) - (a->digest < b->digest);
}

struct transaction *transaction_new(struct arena *arena, struct slice station, struct slice id)
{
	struct transaction *t = arena_zalloc(arena, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->row = row_new(arena, TABLE_transactions);
	if (t->row == NULL)
		return NULL;
	cell_set_text(t->row, TABLE_transactions_charge_station_id, station);
	cell_set_text(t->row, TABLE_transactions_transaction_id, id);
	cell_set_text(t->row, TABLE_transactions_start_key, slice_from_cstr(""));
	cell_set_number(t->row, TABLE_transactions_flags, 0);
	t->earliest_us = INT64_MAX;
	return t;
}

/* 0 or negative. Texts that look like that (00, -0) are ids of their own. */
static bool id_is_shared(struct slice id, int64_t *number)
{
	char text[32];

	if (!decimal_to_int64(id, INT64_MIN, 0, number))
		return false;
	snprintf(text, sizeof(text), "%" PRId64, *number);
	return slice_equal_cstr(id, text);
}

struct transaction *transaction_new_16(struct arena *arena, struct slice station, struct slice id,
	uint64_t event_digest)
{
	struct transaction *t;
	struct slice key = id;
	int64_t number;
	char text[64];
	bool shared = id_is_shared(id, &number);

	if (shared) {
		snprintf(text, sizeof(text), "%" PRId64 "@%016" PRIx64, number, event_digest);
		key = arena_copy(arena, slice_from_cstr(text));
	}
	t = slice_is_absent(key) ? NULL : transaction_new(arena, station, key);
	if (t != NULL && shared)
		t->shared_id = id;
	return t;
}

struct transaction *transaction_of_shared_id(const struct transaction *t, struct arena *arena)
{
	static const char accepted[] = "Accepted";
	struct transaction *shared = transaction_new(arena,
		cell_text(t->row, TABLE_transactions_charge_station_id), t->shared_id);

	if (shared == NULL)
		return NULL;
	shared->shared = true;
	shared->resplit =
		slice_equal_cstr(cell_text(t->row, TABLE_transactions_id_token_status), accepted);
	shared->earliest_us = t->earliest_us;
	return shared;
}

struct transaction *transaction_without_start(struct arena *arena, struct slice station,
	struct slice id, int64_t start_us)
{
	struct transaction *t = transaction_new(arena, station, id);
	int64_t number;

	if (t == NULL)
		return NULL;
	t->resplit = true;
	t->shared = id_is_shared(id, &number);
	t->earliest_us = start_us;
	return t;
}

bool transaction_has_events(const struct transaction *t)
{
	return t->ranks[GROUP_VERSION].kind > 0;
}

/* Distinguishes events of the same kind: the digest. The digest of an event without a valid time
 * includes its message id, so its repeats would be different events. */
static uint64_t event_identity(const struct row *event)
{
	static const int meters[] = {TABLE_transaction_events_meter_start,
		TABLE_transaction_events_meter_stop};
	uint64_t identity = 0;

	if (event->cells[KEY_TIME].number != TIME_UNDATED)
		return (uint64_t)event->cells[KEY_DIGEST].number;
	for (size_t i = 0; i < FACTS_COUNT + sizeof(meters) / sizeof(*meters); i++) {
		int column = i < FACTS_COUNT ? transaction_facts[i].event_column
					     : meters[i - FACTS_COUNT];
		const struct cell *cell = column < 0 ? NULL : &event->cells[column];

		identity *= UINT64_C(0x9e3779b97f4a7c15);
		if (cell == NULL || !cell->present)
			continue;
		if (event->table->columns[column].type == COLUMN_TEXT ||
			event->table->columns[column].type == COLUMN_NUMERIC)
			identity += digest64(cell->text.data, cell->text.size);
		else
			identity += digest64(&cell->number, sizeof(cell->number));
	}
	return identity;
}

/* An event has a group if it states any of its columns. */
static bool group_is_stated(enum transaction_group group, const struct row *event)
{
	for (size_t i = 0; i < FACTS_COUNT; i++) {
		int column = transaction_facts[i].event_column;

		if (transaction_facts[i].group == group && column >= 0 &&
			event->cells[column].present &&
			!(column == TABLE_transaction_events_evse_id &&
				event->cells[column].number == EVSE_NOT_STATED))
			return true;
	}
	return false;
}

static void group_take(struct transaction *t, enum transaction_group group, const struct row *event,
	const struct rank *rank)
{
	t->ranks[group] = *rank;
	for (size_t i = 0; i < FACTS_COUNT; i++) {
		if (transaction_facts[i].group == group && transaction_facts[i].event_column >= 0)
			t->row->cells[transaction_facts[i].column] =
				event->cells[transaction_facts[i].event_column];
	}
}

static void transaction_see_time(struct transaction *t, int64_t time_us)
{
	struct cell *first = &t->row->cells[TABLE_transactions_first_event_at];
	struct cell *last = &t->row->cells[TABLE_transactions_last_event_at];

	if (time_us == TIME_UNDATED)
		return;
	if (!first->present || time_us < first->number)
		cell_set_number(t->row, TABLE_transactions_first_event_at, time_us);
	if (!last->present || time_us > last->number)
		cell_set_number(t->row, TABLE_transactions_last_event_at, time_us);
}

static int64_t link_fit(const struct transaction_link *link)
{
	return link->kind * LINK_DISTANCES - link->distance_us;
}

int transaction_link_compare(const struct transaction_link *a, const struct transaction_link *b)
{
	return (link_fit(a) > link_fit(b)) - (link_fit(a) < link_fit(b));
}

/* The result received last wins, then the better fit. */
static struct rank link_rank(const struct transaction_link *link, uint64_t digest)
{
	return (struct rank){.kind = RANK_LINKED,
		.seq = link->received_us,
		.time_us = link_fit(link),
		.digest = digest};
}

/* The rank of a start; without a link, the event itself says which transaction it starts. */
static struct rank start_rank(const struct rank *event, const struct row *row,
	const struct transaction_link *link)
{
	struct rank r = *event;

	if (link != NULL)
		return link_rank(link, event->digest);
	/* Still before all times; orders several that look the same. */
	if (r.time_us == TIME_UNDATED)
		r.time_us += (int64_t)((uint64_t)row->cells[KEY_DIGEST].number >> 2);
	return r;
}

/* Who charges where is decided by the first event, not the last, so the order is reversed. A start
 * is the best source, an end the worst. */
static struct rank first_rank(const struct rank *event, bool start, bool stop,
	const struct transaction_link *link)
{
	struct rank r = *event;

	r.kind = start ? RANK_STARTED : stop ? RANK_STATED : RANK_UPDATED;
	r.seq = -event->seq;
	r.time_us = -(event->time_us + 1);
	return link != NULL ? link_rank(link, event->digest) : r;
}

bool transaction_add_event(struct transaction *t, const struct row *event,
	const struct transaction_link *link, struct arena *arena)
{
	static const enum transaction_group firsts[] = {GROUP_TOKEN, GROUP_PLACE, GROUP_REMOTE};
	struct slice type = cell_text(event, TABLE_transaction_events_event_type);
	struct slice meter_start = cell_text(event, TABLE_transaction_events_meter_start);
	struct slice meter_stop = cell_text(event, TABLE_transaction_events_meter_stop);
	const struct cell *seq = &event->cells[TABLE_transaction_events_seq_no];
	const struct cell *received = &event->cells[TABLE_transaction_events_received_at];
	struct reading stop_reading = {.kind = READING_METER, .wh = meter_stop};
	bool start = slice_equal_cstr(type, "Started"), stop = slice_equal_cstr(type, "Ended");
	struct rank rank = {
		.kind = RANK_STATED,
		.seq = seq->present ? seq->number : -1,
		.time_us = event->cells[KEY_TIME].number,
		.digest = event_identity(event),
	};
	struct rank first = first_rank(&rank, start, stop, link);
	struct rank of_start = start_rank(&rank, event, link);

	if (start)
		group_take(t, GROUP_START, event, &of_start);
	if (start && !slice_is_absent(meter_start)) {
		t->ranks[GROUP_METER_START] = first;
		t->ranks[GROUP_METER_START].kind = READING_METER_START;
		t->ranks[GROUP_METER_START].seq = 0;
		cell_set_text(t->row, TABLE_transactions_meter_start, meter_start);
	}
	if (stop)
		group_take(t, GROUP_STOP, event, &rank);
	stop_reading.time_us = rank.time_us;
	if (stop && !slice_is_absent(meter_stop))
		transaction_add_reading(t, false, &stop_reading, rank.digest);
	for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		if (group_is_stated(firsts[i], event))
			group_take(t, firsts[i], event, &first);
	}
	group_take(t, GROUP_VERSION, event, &rank);
	if (group_is_stated(GROUP_STATE, event))
		group_take(t, GROUP_STATE, event, &rank);
	transaction_see_time(t, rank.time_us);
	t->earliest_us = rank.time_us;
	if (rank.time_us == TIME_UNDATED && received->present)
		t->earliest_us = received->number;
	t->row->cells[TABLE_transactions_flags].number |=
		event->cells[TABLE_transaction_events_flags].number;
	if (seq->present) {
		t->ranges = arena_alloc(arena, sizeof(*t->ranges));
		if (t->ranges == NULL)
			return false;
		t->ranges[0] = (struct seq_range){(int32_t)seq->number, (int32_t)seq->number};
		t->ranges_count = 1;
	}
	return true;
}

static bool rank_is_elsewhere(const struct rank *rank)
{
	return rank->kind == READING_ELSEWHERE || rank->kind == READING_ELSEWHERE_MARKED;
}

void transaction_add_reading(struct transaction *t, bool at_start, const struct reading *reading,
	uint64_t digest)
{
	enum transaction_group group = at_start ? GROUP_METER_START : GROUP_METER_STOP;
	int column = at_start ? TABLE_transactions_meter_start : TABLE_transactions_meter_stop;
	struct rank rank = {.kind = reading->kind,
		.seq = reading->place,
		.time_us = at_start ? -(reading->time_us + 1) : reading->time_us,
		.digest = digest};

	if (rank_compare(&rank, &t->ranks[group]) <= 0)
		return;
	t->ranks[group] = rank;
	cell_set_text(t->row, column, reading->wh);
}

/* The reading is at one of several places. */
static void reading_drop(struct transaction *t, enum transaction_group group)
{
	t->ranks[group] = (struct rank){.kind = READING_PLACES};
	cell_set_text(t->row,
		group == GROUP_METER_START ? TABLE_transactions_meter_start
					   : TABLE_transactions_meter_stop,
		(struct slice){NULL, 0});
}

/*
 * Start and end must be readings at the same place; otherwise one of them is dropped. It could
 * never count again: that there is a reading at the outlet, or that there were two other places,
 * stays true. For 1.6's meterStart and meterStop the place is unknown.
 */
static void readings_of_one_place(struct transaction *t)
{
	const struct rank *start = &t->ranks[GROUP_METER_START];
	const struct rank *stop = &t->ranks[GROUP_METER_STOP];
	bool start_elsewhere = rank_is_elsewhere(start), stop_elsewhere = rank_is_elsewhere(stop);

	if (start_elsewhere && stop_elsewhere && start->seq != stop->seq) {
		reading_drop(t, GROUP_METER_START);
		reading_drop(t, GROUP_METER_STOP);
	} else if (start_elsewhere &&
		   (stop->kind == READING_PLACES || stop->kind == READING_FROM_EVENT ||
			   stop->kind == READING_MARKED)) {
		reading_drop(t, GROUP_METER_START);
	} else if (stop_elsewhere &&
		   (start->kind == READING_PLACES || start->kind == READING_FROM_EVENT ||
			   start->kind == READING_MARKED)) {
		reading_drop(t, GROUP_METER_STOP);
	}
}

void transaction_add_cost(struct transaction *t, struct slice cost, int64_t received_us,
	uint64_t digest)
{
	t->ranks[GROUP_COST] =
		(struct rank){.kind = RANK_STATED, .time_us = received_us, .digest = digest};
	cell_set_text(t->row, TABLE_transactions_total_cost, cost);
}

struct transaction *transaction_new_flags(struct arena *arena, struct slice station,
	struct slice id, int64_t flags, int64_t at_us)
{
	struct transaction *t = transaction_new(arena, station, id);
	int64_t number;

	if (t == NULL)
		return NULL;
	t->row->cells[TABLE_transactions_flags].number = flags;
	t->earliest_us = at_us;
	t->shared = id_is_shared(id, &number);
	return t;
}

void transaction_add_answer(struct transaction *t, struct slice status, struct slice group_id_token,
	const struct transaction_link *link)
{
	t->ranks[GROUP_ANSWER] = link_rank(link, link->result_digest);
	cell_set_text(t->row, TABLE_transactions_id_token_status, status);
	cell_set_text(t->row, TABLE_transactions_group_id_token, group_id_token);
}

/* Union of two ascending lists; touching ranges are joined. */
static uint32_t ranges_union(const struct seq_range *a, uint32_t a_count, const struct seq_range *b,
	uint32_t b_count, struct seq_range *out)
{
	uint32_t i = 0, j = 0, n = 0;

	while (i < a_count || j < b_count) {
		struct seq_range r =
			j == b_count || (i < a_count && a[i].low <= b[j].low) ? a[i++] : b[j++];

		if (n > 0 && (int64_t)r.low <= (int64_t)out[n - 1].high + 1) {
			if (r.high > out[n - 1].high)
				out[n - 1].high = r.high;
		} else {
			out[n++] = r;
		}
	}
	while (n > SEQ_RANGES_MAX) {
		uint32_t closest = 0;

		for (uint32_t k = 1; k + 1 < n; k++) {
			if ((int64_t)out[k + 1].low - out[k].high <
				(int64_t)out[closest + 1].low - out[closest].high)
				closest = k;
		}
		out[closest].high = out[closest + 1].high;
		n--;
		memmove(&out[closest + 1], &out[closest + 2], (n - closest - 1) * sizeof(*out));
	}
	return n;
}

static bool transaction_merge_ranges(struct transaction *into, const struct transaction *from,
	struct arena *arena)
{
	struct seq_range *both;

	if (from->ranges_count == 0)
		return true;
	if (into->ranges_count == 0) {
		into->ranges = from->ranges;
		into->ranges_count = from->ranges_count;
		return true;
	}
	both = arena_alloc(arena, (into->ranges_count + from->ranges_count) * sizeof(*both));
	if (both == NULL)
		return false;
	into->ranges_count = ranges_union(into->ranges, into->ranges_count, from->ranges,
		from->ranges_count, both);
	into->ranges = both;
	return true;
}

/* Two different events of the same kind. */
static bool ranks_conflict(const struct rank *a, const struct rank *b)
{
	return a->kind != 0 && b->kind != 0 && a->digest != b->digest;
}

/*
 * A repeated start without a time looks like another start without one: only an end between them
 * tells, which needs all events of the id. The rank remembers that there may be two. Prepares the
 * ranks for comparison; true if there may be two.
 */
static bool merge_starts(struct transaction *into, const struct transaction *from,
	struct rank *from_start)
{
	struct rank *start = &into->ranks[GROUP_START];
	/* An event that stands for itself is found again with another answer; it has no other
	 * start. */
	bool alone = !slice_is_absent(into->shared_id) || !slice_is_absent(from->shared_id);
	bool again = !alone && ((start->kind | from->ranks[GROUP_START].kind) & RANK_AGAIN) != 0;

	*from_start = from->ranks[GROUP_START];
	from_start->kind &= ~RANK_AGAIN;
	start->kind &= ~RANK_AGAIN;
	if (ranks_conflict(start, from_start)) {
		into->row->cells[TABLE_transactions_flags].number |= FLAG_duplicate_start;
		into->resplit = true;
	} else if (!alone && start->kind != 0 && from_start->kind != 0 &&
		   into->row->cells[TABLE_transactions_started_at].number == TIME_UNDATED) {
		again |= rank_compare(start, from_start) != 0;
	}
	into->resplit |= again && (from_start->kind != 0 || from->ranks[GROUP_STOP].kind != 0);
	return again;
}

static void merge_places(struct transaction *into, const struct transaction *from,
	enum transaction_group group)
{
	const struct rank *a = &into->ranks[group], *b = &from->ranks[group];

	if (rank_is_elsewhere(a) && rank_is_elsewhere(b) && a->seq != b->seq)
		reading_drop(into, group);
}

bool transaction_merge(struct transaction *into, const struct transaction *from,
	struct arena *arena)
{
	struct cell *flags = &into->row->cells[TABLE_transactions_flags];
	const struct cell *from_cells = from->row->cells;
	struct rank from_start;
	bool takes[GROUP_COUNT], again;

	flags->number |= from_cells[TABLE_transactions_flags].number;
	into->resplit |= from->resplit;
	into->shared |= from->shared;
	if (from->earliest_us < into->earliest_us)
		into->earliest_us = from->earliest_us;
	merge_places(into, from, GROUP_METER_START);
	merge_places(into, from, GROUP_METER_STOP);
	again = merge_starts(into, from, &from_start);
	if (ranks_conflict(&into->ranks[GROUP_STOP], &from->ranks[GROUP_STOP]))
		flags->number |= FLAG_duplicate_stop;
	for (int g = 0; g < GROUP_COUNT; g++) {
		const struct rank *rank = g == GROUP_START ? &from_start : &from->ranks[g];

		takes[g] = rank_compare(rank, &into->ranks[g]) > 0;
		if (takes[g])
			into->ranks[g] = *rank;
	}
	if (again)
		into->ranks[GROUP_START].kind |= RANK_AGAIN;
	for (size_t i = 0; i < FACTS_COUNT; i++) {
		if (takes[transaction_facts[i].group])
			into->row->cells[transaction_facts[i].column] =
				from_cells[transaction_facts[i].column];
	}
	if (from_cells[TABLE_transactions_first_event_at].present) {
		transaction_see_time(into, from_cells[TABLE_transactions_first_event_at].number);
		transaction_see_time(into, from_cells[TABLE_transactions_last_event_at].number);
	}
	return transaction_merge_ranges(into, from, arena);
}

static bool meter_is_backwards(const struct transaction *t)
{
	struct slice start = cell_text(t->row, TABLE_transactions_meter_start);
	struct slice stop = cell_text(t->row, TABLE_transactions_meter_stop);

	return !slice_is_absent(start) && !slice_is_absent(stop) &&
	       decimal_compare(stop, start) < 0;
}

/* No connector delivers more, so the meter's unit or decimal point must be wrong. */
static bool energy_is_implausible(const struct transaction *t)
{
	const struct cell *start = &t->row->cells[TABLE_transactions_started_at];
	const struct cell *stop = &t->row->cells[TABLE_transactions_stopped_at];
	struct slice from = cell_text(t->row, TABLE_transactions_meter_start);
	struct slice to = cell_text(t->row, TABLE_transactions_meter_stop);
	int64_t duration_us;

	if (!start->present || !stop->present || slice_is_absent(from) || slice_is_absent(to) ||
		start->number == TIME_UNDATED || stop->number == TIME_UNDATED)
		return false;
	duration_us = stop->number - start->number;
	if (duration_us < ENERGY_DURATION_MIN_US)
		duration_us = ENERGY_DURATION_MIN_US;
	return decimal_to_double(to) - decimal_to_double(from) >
	       ENERGY_POWER_MAX_W / 3600. * (double)duration_us / (double)US_PER_SECOND;
}

static void transaction_derive(struct transaction *t)
{
	struct cell *cells = t->row->cells;
	const struct cell *start = &cells[TABLE_transactions_started_at];
	const struct cell *stop = &cells[TABLE_transactions_stopped_at];
	struct cell *flags = &cells[TABLE_transactions_flags];
	int64_t seen = 0, span = 0;

	if (!transaction_has_events(t))
		return;
	readings_of_one_place(t);
	flags->number &= ~(int64_t)DERIVED_FLAGS;
	if (start->present && stop->present && start->number != TIME_UNDATED &&
		stop->number != TIME_UNDATED && stop->number < start->number)
		flags->number |= FLAG_stop_before_start;
	if (meter_is_backwards(t))
		flags->number |= FLAG_meter_backwards;
	if (energy_is_implausible(t))
		flags->number |= FLAG_energy_implausible;
	cell_set_number(t->row, TABLE_transactions_partition_time,
		start->present && start->number != TIME_UNDATED ? start->number
		: cells[TABLE_transactions_first_event_at].present
			? cells[TABLE_transactions_first_event_at].number
			: TIME_UNDATED);
	for (uint32_t i = 0; i < t->ranges_count; i++)
		seen += (int64_t)t->ranges[i].high - t->ranges[i].low + 1;
	if (t->ranges_count > 0) {
		span = (int64_t)t->ranges[t->ranges_count - 1].high - t->ranges[0].low + 1;
		span = span - seen > INT32_MAX ? INT32_MAX : span - seen;
		cell_set_number(t->row, TABLE_transactions_seq_no_missing, span);
	}
}

bool transaction_pack(struct transaction *t, struct arena *arena)
{
	struct slice state;

	transaction_derive(t);
	state = transaction_state_write(t, arena);
	cell_set_text(t->row, TABLE_transactions_merge_state, state);
	return !slice_is_absent(state);
}

bool transaction_unpack(struct transaction *t, struct arena *arena, struct error *err)
{
	return transaction_state_read(t, cell_text(t->row, TABLE_transactions_merge_state), arena,
		err);
}
