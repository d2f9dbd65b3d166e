#include "unit_spool.h"

#include "spool/tail.h"

/* Message i under its packet id; equal numbers are equal messages. */
static struct record make(uint64_t i)
{
	static uint64_t payload[8];
	static int next;
	uint64_t *p = &payload[next++ % 8];

	*p = i;
	return (struct record){.flags = 1,
		.topic = SLICE("cs/in/ocpp1.6/cs001"),
		.trace = SLICE(""),
		.payload = slice_of((const uint8_t *)p, sizeof(*p))};
}

static void take(struct spool *s, struct spool_tail *t, uint64_t i, uint16_t packet)
{
	struct record r = make(i);
	struct error err;

	r.flags |= (uint16_t)(RECORD_PACKET_KNOWN | (packet & 0xff) << RECORD_PACKET_SHIFT);
	assert_int_equal(spool_append(s, &r, true, &err), SPOOL_APPENDED);
	assert_true(spool_sync(s, &err));
	if (t != NULL)
		spool_tail_add(t, &r, packet);
}

static bool has(struct spool_tail *t, uint64_t i, uint16_t packet)
{
	struct record r = make(i);

	r.flags |= RECORD_DUP;
	return spool_tail_has(t, &r, packet);
}

static struct spool_tail *open_tail(struct spool *s, size_t window)
{
	struct spool_tail *t = NULL;
	struct error err;

	if (!spool_tail_open(&t, s, window, &err))
		fail_msg("%s", err.message);
	return t;
}

static void tail_knows_what_comes_again_however_often(void **state)
{
	struct spool *s = open_with(options());
	struct spool_tail *t = open_tail(s, 100);

	(void)state;
	for (uint16_t i = 1; i <= 50; i++)
		take(s, t, i, i);
	for (int time = 0; time < 3; time++) {
		for (uint16_t i = 1; i <= 50; i++)
			assert_true(has(t, i, i));
	}
	assert_false(has(t, 51, 51));
	spool_tail_close(&t);
	spool_close(&s);
}

/* Equal messages are told apart by their packet ids: one that never arrived is stored. */
static void tail_does_not_take_an_equal_message_for_the_same(void **state)
{
	struct spool *s = open_with(options());
	struct spool_tail *t = open_tail(s, 100);

	(void)state;
	take(s, t, 7, 1);
	take(s, t, 7, 2);
	assert_true(has(t, 7, 1) && has(t, 7, 2));
	assert_false(has(t, 7, 3));
	/* The packet id was used again since: the older message was acknowledged. */
	take(s, t, 8, 1);
	assert_false(has(t, 7, 1));
	assert_true(has(t, 8, 1));
	spool_tail_forget(t);
	assert_false(has(t, 8, 1));
	spool_tail_close(&t);
	spool_close(&s);
}

static void tail_forgets_what_is_behind_the_window(void **state)
{
	struct spool *s = open_with(options());
	struct spool_tail *t = open_tail(s, 10);

	(void)state;
	for (uint16_t i = 1; i <= 30; i++)
		take(s, t, i, i);
	assert_false(has(t, 20, 20));
	assert_true(has(t, 21, 21) && has(t, 30, 30));
	spool_tail_close(&t);
	t = open_tail(s, 10);
	assert_false(has(t, 20, 20));
	assert_true(has(t, 21, 21) && has(t, 30, 30));
	take(s, t, 31, 31);
	assert_false(has(t, 21, 21));
	assert_true(has(t, 22, 22));
	spool_tail_close(&t);
	spool_close(&s);
}

/* After a kill -9, over several segments, with messages of QoS 0 between. */
static void tail_is_read_from_the_log_at_the_start(void **state)
{
	struct spool *s = open_with(options());
	struct spool_tail *t;
	struct error err;

	(void)state;
	for (uint16_t i = 1; i <= 2000; i++) {
		struct record none = make(99999);

		take(s, NULL, i % 2 == 0 ? 4711 : i, i);
		none.flags = 0;
		for (int n = 0; n < 2; n++)
			assert_int_equal(spool_append(s, &none, false, &err), SPOOL_APPENDED);
	}
	spool_close(&s);
	s = open_with(options());
	t = open_tail(s, 1000);
	assert_false(has(t, 4711, 1001)); /* equal messages have even ones */
	for (uint16_t i = 1001; i <= 2000; i++)
		assert_true(has(t, i % 2 == 0 ? 4711 : i, i));
	for (uint16_t i = 2000; i > 1000; i--) /* and again, in any order */
		assert_true(has(t, i % 2 == 0 ? 4711 : i, i));
	assert_false(has(t, 4711, 2002));
	assert_false(has(t, 99999, 2001));
	spool_tail_close(&t);
	spool_close(&s);
}

/* What the program wrote before it noted packet ids: each record stands for one message. */
static void tail_uses_records_without_packet_ids_once(void **state)
{
	struct spool *s = open_with(options());
	struct spool_tail *t;
	struct error err;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct record r = make(5);

		assert_int_equal(spool_append(s, &r, true, &err), SPOOL_APPENDED);
		assert_true(spool_sync(s, &err));
	}
	t = open_tail(s, 100);
	for (uint16_t packet = 10; packet < 13; packet++)
		assert_true(has(t, 5, packet));
	assert_false(has(t, 5, 13));
	assert_true(has(t, 5, 10)); /* learned */
	spool_tail_close(&t);
	spool_close(&s);
}

/* A log of messages without a QoS may be of any size: a start reads no more than its end. */
static void tail_does_not_read_all_of_a_log_without_qos(void **state)
{
	struct spool *s = open_with(options());
	struct spool_tail *t;
	struct error err;

	(void)state;
	take(s, NULL, 7, 7);
	for (int i = 0; i < 2000; i++) {
		struct record none = make(99999);

		none.flags = 0;
		assert_int_equal(spool_append(s, &none, false, &err), SPOOL_APPENDED);
	}
	t = open_tail(s, 10);
	assert_false(has(t, 7, 7));
	spool_tail_close(&t);
	spool_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(tail_knows_what_comes_again_however_often),
		SPOOL_TEST(tail_does_not_take_an_equal_message_for_the_same),
		SPOOL_TEST(tail_forgets_what_is_behind_the_window),
		SPOOL_TEST(tail_is_read_from_the_log_at_the_start),
		SPOOL_TEST(tail_uses_records_without_packet_ids_once),
		SPOOL_TEST(tail_does_not_read_all_of_a_log_without_qos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
