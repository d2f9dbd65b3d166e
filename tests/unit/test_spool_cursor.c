#include "unit_spool.h"

static void spool_reads_the_end_of_a_large_segment_in_little_memory(void **state)
{
	struct spool_options o = options();
	struct arena small;
	struct spool_cursor *c;
	struct spool *s;
	struct record r;
	struct error err;
	uint64_t lost;

	(void)state;
	o.segment_bytes = 8 << 20;
	o.sync = SPOOL_SYNC_NONE;
	s = open_with(o);
	for (uint64_t i = 0; i < 8000; i++)
		append(s, i, NULL);
	assert_true(arena_init(&small, 1 << 20, 0));
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, 7999, &lost, &err));
	assert_int_equal(spool_cursor_next(c, &small, &r, &err), SPOOL_RECORD);
	assert_int_equal(payload_number(&r), 7999);
	assert_int_equal(r.seq, 8000);
	spool_cursor_close(&c);
	arena_fini(&small);
	spool_close(&s);
}

static void spool_says_how_many_wait_and_since_when(void **state)
{
	struct spool *s = open_with(options());
	int64_t before_us, after_us, received_us = 0;
	uint64_t last;

	(void)state;
	assert_int_equal(spool_count_newer(s, 0), 0);
	assert_false(spool_received_newer(s, 0, &received_us));
	for (uint64_t i = 0; i < 300; i++)
		append(s, i, &last);
	before_us = clock_wall_us();
	append(s, 300, &last);
	after_us = clock_wall_us();
	append(s, 301, &last);
	assert_int_equal(spool_count_newer(s, 0), 302);
	assert_int_equal(spool_count_newer(s, last - 2), 2);
	assert_int_equal(spool_count_newer(s, last), 0);
	assert_true(spool_received_newer(s, last - 2, &received_us));
	assert_in_range(received_us, before_us, after_us);
	assert_false(spool_received_newer(s, last, &received_us));
	spool_close(&s);
	/* Numbers that a crash leaves out are not records. */
	assert_int_equal(append_until_killed(302, 10), 10);
	s = open_with(options());
	append(s, 312, NULL);
	assert_int_equal(spool_count_newer(s, last - 1), 12);
	spool_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(spool_reads_the_end_of_a_large_segment_in_little_memory),
		SPOOL_TEST(spool_says_how_many_wait_and_since_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
