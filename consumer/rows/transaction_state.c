#include "rows/transaction_state.h"

#include "base/bytes.h"

/*
 * merge_state, big-endian: version (1 byte), then per known group its number (1) and rank (4 + 8 +
 * 8 + 8), 0xff, number of ranges (2) and low, high (4 + 4) of each.
 */
enum {
	STATE_VERSION = 2,
	/* Readings had no places, and of several answers the one with the highest digest
	 * counted. */
	STATE_VERSION_BEFORE = 1,
	STATE_READINGS_MOVED = 10,
	STATE_RANK_BYTES = 1 + 4 + 8 + 8 + 8,
	STATE_END = 0xff,
	STATE_RANGE_BYTES = 8,
};

struct slice transaction_state_write(const struct transaction *t, struct arena *arena)
{
	uint8_t *start, *at;

	start = at = arena_bytes(arena, 1 + GROUP_COUNT * STATE_RANK_BYTES + 1 + 2 +
						(size_t)t->ranges_count * STATE_RANGE_BYTES);
	if (start == NULL)
		return (struct slice){NULL, 0};
	at = put_u8(at, STATE_VERSION);
	for (int g = 0; g < GROUP_COUNT; g++) {
		const struct rank *r = &t->ranks[g];

		if (r->kind == 0)
			continue;
		at = put_be32(put_u8(at, (uint8_t)g), (uint32_t)r->kind);
		at = put_be64(at, (uint64_t)r->seq);
		at = put_be64(at, (uint64_t)r->time_us);
		at = put_be64(at, r->digest);
	}
	at = put_be16(put_u8(at, STATE_END), (uint16_t)t->ranges_count);
	for (uint32_t i = 0; i < t->ranges_count; i++) {
		at = put_be32(at, (uint32_t)t->ranges[i].low);
		at = put_be32(at, (uint32_t)t->ranges[i].high);
	}
	arena_trim(arena, at);
	return slice_of(start, (size_t)(at - start));
}

static bool state_error(const struct transaction *t, struct error *err)
{
	error_set(err, ERROR_FATAL, REASON_bad_merge_state,
		"merge_state of transaction \"%.*s\" of station \"%.*s\" cannot be read",
		SLICE_ARG(cell_text(t->row, TABLE_transactions_transaction_id)),
		SLICE_ARG(cell_text(t->row, TABLE_transactions_charge_station_id)));
	return error_hint(err, "it was changed by hand, or a newer version wrote it");
}

static void state_read_before(struct transaction *t)
{
	for (int g = 0; g < GROUP_COUNT; g++) {
		if (t->ranks[g].kind == RANK_LINKED)
			t->ranks[g].seq = 0;
	}
	for (int g = GROUP_METER_START; g <= GROUP_METER_STOP; g++) {
		if (t->ranks[g].kind > 0)
			t->ranks[g].kind += STATE_READINGS_MOVED;
		t->ranks[g].seq = 0;
	}
}

bool transaction_state_read(struct transaction *t, struct slice s, struct arena *arena,
	struct error *err)
{
	const uint8_t *at = s.data, *end = s.data + s.size;
	uint8_t version = s.size < 1 ? 0 : *at++;

	if (version != STATE_VERSION && version != STATE_VERSION_BEFORE)
		return state_error(t, err);
	while (at < end && *at != STATE_END) {
		struct rank *r;

		if (*at >= GROUP_COUNT || end - at < STATE_RANK_BYTES)
			return state_error(t, err);
		r = &t->ranks[*at];
		r->kind = (int32_t)get_be32(at + 1);
		r->seq = (int64_t)get_be64(at + 5);
		r->time_us = (int64_t)get_be64(at + 13);
		r->digest = get_be64(at + 21);
		at += STATE_RANK_BYTES;
	}
	if (version == STATE_VERSION_BEFORE)
		state_read_before(t);
	if (end - at < 3)
		return state_error(t, err);
	t->ranges_count = get_be16(at + 1);
	at += 3;
	if ((size_t)(end - at) != (size_t)t->ranges_count * STATE_RANGE_BYTES)
		return state_error(t, err);
	t->ranges = arena_alloc(arena, t->ranges_count * sizeof(*t->ranges));
	if (t->ranges == NULL)
		return error_set(err, ERROR_FULL, REASON_arena_full, "no room for a transaction");
	for (uint32_t i = 0; i < t->ranges_count; i++, at += STATE_RANGE_BYTES)
		t->ranges[i] = (struct seq_range){(int32_t)get_be32(at), (int32_t)get_be32(at + 4)};
	return true;
}
