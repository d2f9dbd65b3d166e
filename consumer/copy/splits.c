#include "copy/splits.h"

#include "base/error.h"

static int split_order(const struct split *split, struct slice station, struct slice id)
{
	int order = slice_compare(split->station, station);

	return order != 0 ? order : slice_compare(split->id, id);
}

bool splits_add(struct splits **splits, struct arena *arena, size_t max,
	const struct transaction *t, bool shared_id)
{
	struct splits *s = *splits;

	if (s == NULL) {
		s = *splits = arena_zalloc(arena, sizeof(*s));
		if (s == NULL)
			return false;
		s->all = arena_zalloc(arena, max * sizeof(*s->all));
		if (s->all == NULL)
			return false;
	}
	CHECK(s->count < max);
	CHECK(s->count == 0 || split_order(&s->all[s->count - 1],
				       cell_text(t->row, TABLE_transactions_charge_station_id),
				       cell_text(t->row, TABLE_transactions_transaction_id)) < 0);
	s->all[s->count++] = (struct split){
		.station = cell_text(t->row, TABLE_transactions_charge_station_id),
		.id = cell_text(t->row, TABLE_transactions_transaction_id),
		.shared_id = shared_id,
		.earliest_us = t->earliest_us,
		.since_us = TIME_UNDATED,
	};
	return true;
}

static struct split *splits_find(const struct splits *splits, struct slice station, struct slice id)
{
	size_t low = 0, high = splits == NULL ? 0 : splits->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct split *split = &splits->all[middle];
		int order = split_order(split, station, id);

		if (order == 0)
			return split;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool splits_take(const struct splits *splits, const struct transaction *t)
{
	return !slice_is_absent(t->shared_id) &&
	       splits_find(splits, cell_text(t->row, TABLE_transactions_charge_station_id),
		       t->shared_id) != NULL;
}
