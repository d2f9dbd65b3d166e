#include "unit.h"

#include "copy/encode.h"
#include "rows/transaction.h"

#include <time.h>

enum { EVENTS_MAX = 12, ROUNDS = 300, PACKED_BYTES_MAX = 16384 };

static struct arena arena;
static uint64_t seed;

static int make_arena(void **state)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
	const char *text = getenv("TEST_SEED");

	(void)state;
	seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	seed += seed == 0; /* from 0 nothing but 0 comes */
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	return arena_init(&arena, 64 << 20, 0) ? 0 : -1;
}

static int free_arena(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* xorshift64*: the same on every machine. */
static uint32_t pick(uint32_t below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (uint32_t)((seed * UINT64_C(2685821657736338717)) >> 32) % below;
}

static void maybe_text(struct row *row, int column, const char *a, const char *b)
{
	if (pick(3) > 0)
		cell_set_text(row, column, slice_from_cstr(pick(2) ? a : b));
}

/* Few different times and numbers, so that events often tie and only their digest decides. */
static struct row *make_event(void)
{
	static const char *const types[] = {"Started", "Updated", "Ended"};
	struct row *row = row_new(&arena, TABLE_transaction_events);

	assert_non_null(row);
	cell_set_text(row, KEY_STATION, slice_from_cstr("cs001"));
	cell_set_number(row, KEY_TIME, pick(8) == 0 ? TIME_UNDATED : 1769853600000000 + pick(4));
	cell_set_number(row, KEY_EVSE, (int64_t)pick(3) - 1);
	cell_set_number(row, KEY_DIGEST, ((int64_t)pick(UINT32_MAX) << 31) + pick(UINT32_MAX));
	cell_set_text(row, TABLE_transaction_events_event_type, slice_from_cstr(types[pick(3)]));
	cell_set_text(row, TABLE_transaction_events_ocpp_version, slice_from_cstr("2.0.1"));
	if (pick(4) > 0)
		cell_set_number(row, TABLE_transaction_events_seq_no, pick(10));
	if (pick(2) > 0)
		cell_set_number(row, TABLE_transaction_events_remote_start_id, pick(5));
	maybe_text(row, TABLE_transaction_events_trigger_reason, "Authorized", "CablePluggedIn");
	maybe_text(row, TABLE_transaction_events_charging_state, "Charging", "EVConnected");
	maybe_text(row, TABLE_transaction_events_id_token, "T1", "T2");
	maybe_text(row, TABLE_transaction_events_stopped_reason, "Local", "Remote");
	maybe_text(row, TABLE_transaction_events_meter_start, "100", "100.0");
	maybe_text(row, TABLE_transaction_events_meter_stop, "90", "1500.5");
	return row;
}

static struct transaction *of_event(const struct row *event)
{
	struct transaction *t =
		transaction_new(&arena, slice_from_cstr("cs001"), slice_from_cstr("t1"));

	assert_non_null(t);
	assert_true(transaction_add_event(t, event, NULL, &arena));
	return t;
}

/* A pass through the database: what is packed is all that is left. */
static void store_and_read(struct transaction *t)
{
	struct error err;

	assert_true(transaction_pack(t, &arena));
	memset(t->ranks, 0, sizeof(t->ranks));
	t->ranges = NULL;
	t->ranges_count = 0;
	assert_true(transaction_unpack(t, &arena, &err));
}

/*
 * All events in a random order, some of them again, in groups as batches would have them, and
 * now and then through the database.
 */
static struct transaction *merge_somehow(struct row *const *events, size_t count)
{
	struct transaction *groups[3] = {NULL}, *all = NULL;
	size_t order[2 * EVENTS_MAX], total = count;

	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (uint32_t again = pick((uint32_t)count + 1); again > 0; again--)
		order[total++] = pick((uint32_t)count);
	for (size_t i = total; i > 1; i--) {
		size_t other = pick((uint32_t)i), kept = order[i - 1];

		order[i - 1] = order[other];
		order[other] = kept;
	}
	for (size_t i = 0; i < total; i++) {
		struct transaction **group = &groups[pick(3)], *t = of_event(events[order[i]]);

		if (*group != NULL)
			assert_true(transaction_merge(*group, t, &arena));
		else
			*group = t;
		if (pick(4) == 0)
			store_and_read(*group);
	}
	for (int i = 0; i < 3; i++) {
		if (all == NULL)
			all = groups[i];
		else if (groups[i] != NULL)
			assert_true(transaction_merge(all, groups[i], &arena));
	}
	return all;
}

/* Every column as the database would get it, merge_state included. */
static size_t packed(struct transaction *t, uint8_t *out)
{
	uint8_t *at = out;

	assert_true(transaction_pack(t, &arena));
	for (size_t i = 0; i < t->row->table->columns_count; i++) {
		enum column_type type = t->row->table->columns[i].type;

		assert_true((size_t)(at - out) + encode_field_bytes_max(&t->row->cells[i], type) <=
			    PACKED_BYTES_MAX);
		at = encode_field(at, &t->row->cells[i], type);
	}
	return (size_t)(at - out);
}

static void any_order_repetition_and_grouping_gives_the_same_row(void **state)
{
	static uint8_t expected[PACKED_BYTES_MAX], actual[PACKED_BYTES_MAX];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct row *events[EVENTS_MAX];
		size_t count = 1 + pick(EVENTS_MAX), size;

		arena_reset(&arena);
		for (size_t i = 0; i < count; i++)
			events[i] = make_event();
		size = packed(merge_somehow(events, count), expected);
		for (int i = 0; i < 10; i++) {
			assert_int_equal(packed(merge_somehow(events, count), actual), size);
			assert_memory_equal(actual, expected, size);
		}
	}
}

static struct row *event_of(const char *type, int64_t time_us, int64_t seq, int64_t digest)
{
	struct row *row = row_new(&arena, TABLE_transaction_events);

	assert_non_null(row);
	cell_set_number(row, KEY_TIME, time_us);
	cell_set_number(row, KEY_DIGEST, digest);
	cell_set_text(row, TABLE_transaction_events_event_type, slice_from_cstr(type));
	cell_set_number(row, TABLE_transaction_events_seq_no, seq);
	return row;
}

static void a_missing_number_is_counted(void **state)
{
	struct transaction *t;

	(void)state;
	arena_reset(&arena);
	t = of_event(event_of("Ended", 2000000, 4, 2));
	assert_true(transaction_merge(t, of_event(event_of("Started", 1000000, 0, 1)), &arena));
	assert_true(transaction_merge(t, of_event(event_of("Updated", 1500000, 2, 3)), &arena));
	assert_true(transaction_pack(t, &arena));
	assert_int_equal(t->row->cells[TABLE_transactions_seq_no_missing].number, 2);
	assert_int_equal(t->row->cells[TABLE_transactions_started_at].number, 1000000);
	assert_int_equal(t->row->cells[TABLE_transactions_stopped_at].number, 2000000);
}

/* A start with an answer of its own, of several. */
static struct transaction *answered(const char *status, int64_t received_us, uint64_t digest)
{
	struct transaction_link link = {.kind = LINK_AFTER,
		.distance_us = 1000,
		.received_us = received_us,
		.result_digest = digest};
	struct transaction *t =
		transaction_new(&arena, slice_from_cstr("cs001"), slice_from_cstr("9"));
	struct row *event = event_of("Started", 1000000, 0, 1);

	assert_non_null(t);
	assert_true(transaction_add_event(t, event, &link, &arena));
	transaction_add_answer(t, slice_from_cstr(status), (struct slice){NULL, 0}, &link);
	return t;
}

static void the_answer_received_last_counts(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct transaction *first, *last, *t;

		arena_reset(&arena);
		first = answered("Accepted", 5000000, i & 1 ? 1 : UINT64_MAX);
		last = answered("ConcurrentTx", 5000001, 2);
		t = i & 2 ? first : last;
		assert_true(transaction_merge(t, i & 2 ? last : first, &arena));
		assert_true(slice_equal_cstr(cell_text(t->row, TABLE_transactions_id_token_status),
			"ConcurrentTx"));
		assert_false(t->resplit);
	}
}

static void ids_of_0_and_below_stand_for_themselves_until_accepted(void **state)
{
	static const char *const ids[] = {"0", "-1", "-7"};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		struct transaction *t, *shared;

		arena_reset(&arena);
		t = transaction_new_16(&arena, slice_from_cstr("cs001"), slice_from_cstr(ids[i]),
			5);
		assert_non_null(t);
		assert_true(slice_equal_cstr(t->shared_id, ids[i]));
		shared = transaction_of_shared_id(t, &arena);
		assert_non_null(shared);
		assert_false(shared->resplit);
		cell_set_text(t->row, TABLE_transactions_id_token_status,
			slice_from_cstr("Accepted"));
		shared = transaction_of_shared_id(t, &arena);
		assert_non_null(shared);
		assert_true(shared->resplit);
	}
	assert_true(slice_is_absent(
		transaction_new_16(&arena, slice_from_cstr("cs001"), slice_from_cstr("1"), 5)
			->shared_id));
}

static void a_state_that_is_not_ours_is_refused(void **state)
{
	struct transaction *t;
	struct slice whole;
	struct error err;

	(void)state;
	arena_reset(&arena);
	t = of_event(event_of("Started", 1000000, 0, 1));
	assert_true(transaction_pack(t, &arena));
	whole = cell_text(t->row, TABLE_transactions_merge_state);
	assert_true(whole.size > 0);
	for (size_t size = 0; size < whole.size; size++) {
		cell_set_text(t->row, TABLE_transactions_merge_state, slice_of(whole.data, size));
		assert_false(transaction_unpack(t, &arena, &err));
		assert_int_equal(err.kind, ERROR_FATAL);
	}
	cell_set_text(t->row, TABLE_transactions_merge_state, whole);
	assert_true(transaction_unpack(t, &arena, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_repetition_and_grouping_gives_the_same_row),
		cmocka_unit_test(a_missing_number_is_counted),
		cmocka_unit_test(the_answer_received_last_counts),
		cmocka_unit_test(ids_of_0_and_below_stand_for_themselves_until_accepted),
		cmocka_unit_test(a_state_that_is_not_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, make_arena, free_arena);
}
