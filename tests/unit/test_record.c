#include "unit.h"

#include "base/bytes.h"
#include "spool/record.h"

static const struct record sample = {
	.seq = 42,
	.received_us = 1700000000123456,
	.flags = 1 | RECORD_DUP | RECORD_JSON,
	.topic = SLICE("cs/in/ocpp1.6/cs001"),
	.trace = SLICE("0af7651916cd43dd8448eb211c80319c"),
	.payload = SLICE("{\"type\":2}\0\xff"),
};

/* The bytes of version 1. A change here makes every log on disk unreadable. */
static void record_bytes_of_version_1_never_change(void **state)
{
	uint8_t out[256];
	char hex[600];
	uint8_t *end = record_put(out, &sample, 7);

	(void)state;
	assert_int_equal(end - out, record_bytes(&sample));
	for (size_t i = 0; i < (size_t)(end - out); i++)
		snprintf(hex + 2 * i, 3, "%02x", out[i]);
	assert_string_equal(hex,
		"9ace4f505201ce0000007bcf0000000000000007cf000000000000002a"
		"d300060a2418202240cd0015da001363732f696e2f6f637070312e362f6373303031"
		"d920306166373635313931366364343364643834343865623231316338303331"
		"3963"
		"c60000000c7b2274797065223a327d00ffcf8b5048269af8bcc8");
}

static void record_put_and_get_are_inverse(void **state)
{
	uint8_t out[256];
	struct record back;
	size_t size = 0;

	(void)state;
	record_put(out, &sample, 7);
	assert_int_equal(record_get(slice_of(out, sizeof(out)), 7, &back, &size), RECORD_OK);
	assert_int_equal(size, record_bytes(&sample));
	assert_int_equal(back.seq, 42);
	assert_int_equal(back.received_us, sample.received_us);
	assert_int_equal(back.flags, sample.flags);
	assert_true(slice_equal(back.topic, sample.topic));
	assert_true(slice_equal(back.trace, sample.trace));
	assert_true(slice_equal(back.payload, sample.payload));
	assert_int_equal(record_get(slice_of(out, sizeof(out)), 8, &back, &size), RECORD_END);
}

static void record_get_sees_every_flipped_bit(void **state)
{
	uint8_t out[256];
	struct record back;
	size_t bytes = record_bytes(&sample), size;

	(void)state;
	record_put(out, &sample, 7);
	for (size_t bit = 0; bit < bytes * 8; bit++) {
		enum record_status status;

		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		status = record_get(slice_of(out, bytes), 7, &back, &size);
		assert_int_not_equal(status, RECORD_OK);
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* Else the reader of a large segment would ask for more than any batch has room for, forever. */
static void record_get_does_not_wait_for_what_cannot_be(void **state)
{
	uint8_t out[256];
	struct record back;
	size_t size = 0;

	(void)state;
	record_put(out, &sample, 7);
	put_be32(out + 7, RECORD_BYTES_MAX);
	assert_int_equal(record_get(slice_of(out, sizeof(out)), 7, &back, &size), RECORD_PARTIAL);
	assert_int_equal(size, RECORD_BYTES_MAX);
	put_be32(out + 7, RECORD_BYTES_MAX + 1);
	assert_int_equal(record_get(slice_of(out, sizeof(out)), 7, &back, &size), RECORD_DAMAGED);
}

static void record_get_asks_for_what_is_missing(void **state)
{
	uint8_t out[256];
	struct record back;
	size_t bytes = record_bytes(&sample), size;

	(void)state;
	record_put(out, &sample, 7);
	for (size_t have = 0; have < bytes; have++) {
		uint8_t *exact = malloc(have + 1); /* so that ASan sees a read past it */

		memcpy(exact, out, have);
		assert_int_equal(record_get(slice_of(exact, have), 7, &back, &size),
			RECORD_PARTIAL);
		assert_int_equal(size, have < RECORD_PREFIX_BYTES ? RECORD_PREFIX_BYTES : bytes);
		free(exact);
	}
}

static void record_lengths_that_lie_are_damage(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} lies[] = {{7, 0xff}, {10, 1}, {42, 0xff}, {43, 0xff}, {44 + 19 + 1, 0xff}};
	uint8_t out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		struct record back;
		size_t size = 0;
		enum record_status status;

		record_put(out, &sample, 7);
		out[lies[i].offset] = lies[i].value;
		status = record_get(slice_of(out, sizeof(out)), 7, &back, &size);
		assert_true(status == RECORD_DAMAGED || status == RECORD_PARTIAL);
	}
}

static void record_candidate_finds_the_next_beginning(void **state)
{
	uint8_t out[512];
	struct slice all = {out, sizeof(out)};

	(void)state;
	memset(out, 0x9a, sizeof(out));
	record_put(out + 100, &sample, 7);
	assert_int_equal(record_candidate(all, 7), 100);
	assert_int_equal(record_candidate(all, 6), sizeof(out));
	assert_int_equal(record_candidate(slice_of(out, 100 + RECORD_PREFIX_BYTES), 7), 100);
	assert_int_equal(record_candidate(slice_of(out, 100 + RECORD_PREFIX_BYTES - 1), 7),
		100 + RECORD_PREFIX_BYTES - 1);
	assert_int_equal(record_candidate(slice_of(out, 3), 7), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_bytes_of_version_1_never_change),
		cmocka_unit_test(record_put_and_get_are_inverse),
		cmocka_unit_test(record_get_sees_every_flipped_bit),
		cmocka_unit_test(record_get_does_not_wait_for_what_cannot_be),
		cmocka_unit_test(record_get_asks_for_what_is_missing),
		cmocka_unit_test(record_lengths_that_lie_are_damage),
		cmocka_unit_test(record_candidate_finds_the_next_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
