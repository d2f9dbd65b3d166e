#include "copy/row_order.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

static int order_numbers(int64_t x, int64_t y)
{
	return (x > y) - (x < y);
}

/* By partition, then by key: each partition is one COPY, in the order of its index. */
static int order_event_rows(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
	int order = order_numbers(x->partition, y->partition);

	if (order == 0)
		order = slice_compare(x->cells[KEY_STATION].text, y->cells[KEY_STATION].text);
	if (order == 0)
		order = order_numbers(x->cells[KEY_TIME].number, y->cells[KEY_TIME].number);
	if (order == 0)
		order = order_numbers(x->cells[KEY_EVSE].number, y->cells[KEY_EVSE].number);
	if (order == 0)
		order = order_numbers(x->cells[KEY_DIGEST].number, y->cells[KEY_DIGEST].number);
	return order;
}

/*
 * What decides most comparisons, so that they need not go through the rows, which lie all over the
 * arena. The station: its first seven bytes after those that all have in common, zeros after its
 * end, and in the last byte how many it has there, ORDER_MORE = more than the seven.
 */
struct order_key {
	uint64_t station;
	int64_t time_us;
	struct row *row;
	int32_t partition;
};

enum { ORDER_MORE = 8 };

static size_t order_common(struct row *const *rows, size_t count)
{
	struct slice first = rows[0]->cells[KEY_STATION].text;
	size_t common = first.size;

	for (size_t i = 1; i < count && common > 0; i++) {
		struct slice station = rows[i]->cells[KEY_STATION].text;

		if (common > station.size)
			common = station.size;
		while (common > 0 && memcmp(first.data, station.data, common) != 0)
			common--;
	}
	return common;
}

static struct order_key order_key_of(struct row *row, size_t common)
{
	struct slice rest = slice_skip(row->cells[KEY_STATION].text, common);
	size_t size = rest.size < ORDER_MORE ? rest.size : ORDER_MORE;
	uint8_t bytes[ORDER_MORE] = {0};

	if (size > 0)
		memcpy(bytes, rest.data, size);
	bytes[ORDER_MORE - 1] = (uint8_t)size;
	return (struct order_key){.station = get_be64(bytes),
		.time_us = row->cells[KEY_TIME].number,
		.row = row,
		.partition = row->partition};
}

static bool order_is_before(const struct order_key *x, const struct order_key *y)
{
	if (x->partition != y->partition)
		return x->partition < y->partition;
	if (x->station != y->station)
		return x->station < y->station;
	if ((x->station & UINT8_MAX) < ORDER_MORE && x->time_us != y->time_us)
		return x->time_us < y->time_us;
	return order_event_rows(&x->row, &y->row) < 0;
}

/* By merging, where the halves are not in order as they are. spare: room for one of them. */
static void order_keys(struct order_key *keys, size_t count, struct order_key *spare)
{
	size_t half = count / 2, left = 0, right = half, to = 0;

	if (count < 2)
		return;
	order_keys(keys, half, spare);
	order_keys(keys + half, count - half, spare);
	if (!order_is_before(&keys[half], &keys[half - 1]))
		return;
	memcpy(spare, keys, half * sizeof(*keys));
	while (left < half && right < count) {
		if (order_is_before(&keys[right], &spare[left]))
			keys[to++] = keys[right++];
		else
			keys[to++] = spare[left++];
	}
	memcpy(keys + to, spare + left, (half - left) * sizeof(*keys));
}

void row_order(struct arena *arena, struct row **rows, size_t count)
{
	struct arena_mark mark = arena_mark(arena);
	struct order_key *keys = arena_alloc(arena, (count + count / 2) * sizeof(*keys));
	size_t common;

	if (keys == NULL) { /* slower, and with memory of its own */
		qsort(rows, count, sizeof(*rows), order_event_rows);
		return;
	}
	common = order_common(rows, count);
	for (size_t i = 0; i < count; i++)
		keys[i] = order_key_of(rows[i], common);
	order_keys(keys, count, keys + count);
	for (size_t i = 0; i < count; i++)
		rows[i] = keys[i].row;
	arena_rewind(arena, mark);
}
