#include "unit.h"

#include "copy/batch.h"

#include <time.h>

enum { ROWS_MAX = 300, ROUNDS = 300, STATION_BYTES_MAX = 24 };

static struct batch batch;
static uint64_t seed;

static int make_batch(void **state)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
	const char *text = getenv("TEST_SEED");
	struct error err;

	(void)state;
	seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	seed += seed == 0; /* from 0 nothing but 0 comes */
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	return batch_init(&batch, 4 << 20, 0, &err) ? 0 : -1;
}

static int free_batch(void **state)
{
	(void)state;
	batch_fini(&batch);
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

/* Made of few letters, some of which look like an end; many share a beginning or are equal. */
static struct slice make_station(struct slice prefix, uint32_t rest_max)
{
	static const char letters[] = {'\0', '\1', 'a', '\xff'};
	uint8_t bytes[2 * STATION_BYTES_MAX];
	size_t size = prefix.size;

	memcpy(bytes, prefix.data, prefix.size);
	for (uint32_t rest = pick(rest_max + 1); rest > 0; rest--)
		bytes[size++] = (uint8_t)letters[pick(sizeof(letters))];
	return arena_copy(&batch.arena, slice_of(bytes, size));
}

/* Few different values of each, so that often the next one decides. */
static struct row *make_row(struct slice prefix, uint32_t rest_max, int64_t digest)
{
	static const int64_t times[] = {TIME_UNDATED, -1, 0, 1, INT64_MAX};
	struct row *row = row_new(&batch.arena, TABLE_meter_values);

	assert_non_null(row);
	row->partition = pick(8) == 0 ? PARTITION_UNDATED : (int32_t)pick(3) - 1;
	cell_set_text(row, KEY_STATION, make_station(prefix, rest_max));
	cell_set_number(row, KEY_TIME, times[pick(5)]);
	cell_set_number(row, KEY_EVSE, (int64_t)pick(3) - 1);
	cell_set_number(row, KEY_DIGEST, pick(2) ? digest : -digest);
	return row;
}

static int order_numbers(int64_t x, int64_t y)
{
	return (x > y) - (x < y);
}

/* The order as it is promised, without a short cut. */
static int order(const struct row *x, const struct row *y)
{
	static const int numbers[] = {KEY_TIME, KEY_EVSE, KEY_DIGEST};
	int result = order_numbers(x->partition, y->partition);

	if (result == 0)
		result = slice_compare(x->cells[KEY_STATION].text, y->cells[KEY_STATION].text);
	for (int i = 0; i < 3 && result == 0; i++)
		result = order_numbers(x->cells[numbers[i]].number, y->cells[numbers[i]].number);
	return result;
}

static void add_rows(uint32_t count, struct row **rows_out)
{
	struct slice prefix = make_station((struct slice)SLICE(""), STATION_BYTES_MAX);
	uint32_t rest_max = pick(STATION_BYTES_MAX);

	for (uint32_t i = 0; i < count; i++) {
		rows_out[i] = make_row(prefix, rest_max, i);
		assert_true(batch_add_row(&batch, rows_out[i]));
	}
}

/* As many rows after a row as before: it is in its place, and none was lost. */
static void assert_sorted(struct row *const *rows, uint32_t count)
{
	const struct batch_rows *sorted = &batch.rows[TABLE_meter_values];

	assert_int_equal(sorted->count, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t before = 0;

		for (uint32_t j = 0; j < count; j++)
			before += order(rows[j], rows[i]) < 0;
		assert_ptr_equal(sorted->rows[before], rows[i]);
	}
}

static void batch_sort_gives_the_order_of_partition_and_key(void **state)
{
	struct row *rows[ROWS_MAX];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t count = pick(pick(2) ? 6 : ROWS_MAX);

		batch_reset(&batch);
		add_rows(count, rows);
		batch_sort(&batch);
		assert_sorted(rows, count);
		batch_sort(&batch); /* what is sorted stays so */
		assert_sorted(rows, count);
	}
}

static void batch_sort_needs_no_room(void **state)
{
	struct row *rows[ROWS_MAX];

	(void)state;
	batch_reset(&batch);
	add_rows(ROWS_MAX, rows);
	assert_non_null(arena_bytes(&batch.arena, arena_left(&batch.arena)));
	batch_sort(&batch);
	assert_sorted(rows, ROWS_MAX);
}

static void batch_sort_gives_its_room_back(void **state)
{
	struct row *rows[ROWS_MAX];
	size_t used;

	(void)state;
	batch_reset(&batch);
	add_rows(ROWS_MAX, rows);
	used = batch.arena.used;
	batch_sort(&batch);
	assert_int_equal(batch.arena.used, used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_sort_gives_the_order_of_partition_and_key),
		cmocka_unit_test(batch_sort_needs_no_room),
		cmocka_unit_test(batch_sort_gives_its_room_back),
	};

	return cmocka_run_group_tests(tests, make_batch, free_batch);
}
