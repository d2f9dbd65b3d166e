#include "unit.h"

#include "mqtt/publish_window.h"

static struct publish_window window;

static int begin(void **state)
{
	(void)state;
	window = (struct publish_window){.sent = 0};
	return 0;
}

static int end(void **state)
{
	(void)state;
	publish_window_fini(&window);
	return 0;
}

static void add(const char *topic, struct slice payload)
{
	struct mqtt_message m = {.topic = slice_from_cstr(topic),
		.payload = payload,
		.trace = slice_from_cstr("t")};
	struct error err;

	assert_true(publish_window_has_room(&window));
	assert_true(publish_window_add(&window, &m, &err));
}

static void window_keeps_what_is_not_acknowledged(void **state)
{
	char topic[] = "a/b";
	const struct mqtt_message *m;

	(void)state;
	add(topic, slice_from_cstr("payload"));
	topic[0] = 'x';
	m = &publish_window_slot(&window, 0)->message;
	assert_slice_equal(m->topic, "a/b");
	assert_int_equal(m->topic.data[m->topic.size], '\0');
	assert_slice_equal(m->payload, "payload");
	assert_slice_equal(m->trace, "t");
	assert_false(publish_window_is_empty(&window));
}

static void window_settles_in_order_whatever_the_order_of_answers(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		add("t", slice_from_cstr("x"));
	assert_true(publish_window_acknowledge(&window, 2));
	assert_true(publish_window_acknowledge(&window, 1));
	assert_int_equal(window.settled, 0);
	assert_int_equal(window.acknowledged, 2);
	assert_true(publish_window_acknowledge(&window, 0));
	assert_int_equal(window.settled, 3);
	assert_int_equal(window.bytes, 0);
	assert_true(publish_window_is_empty(&window));
}

static void window_counts_each_answer_once(void **state)
{
	(void)state;
	add("t", slice_from_cstr("x"));
	add("t", slice_from_cstr("x"));
	assert_true(publish_window_acknowledge(&window, 1));
	assert_false(publish_window_acknowledge(&window, 1));
	assert_true(publish_window_acknowledge(&window, 0));
	/* From an earlier connection: its slot holds another message by now. */
	for (int i = 0; i < PUBLISH_WINDOW_MAX; i++)
		add("t", slice_from_cstr("x"));
	assert_false(publish_window_acknowledge(&window, 0));
	assert_int_equal(window.acknowledged, 2);
}

static void window_is_full_by_number_and_by_bytes(void **state)
{
	static uint8_t large[33 << 20];

	(void)state;
	for (int i = 0; i < PUBLISH_WINDOW_MAX; i++)
		add("t", slice_from_cstr("x"));
	assert_false(publish_window_has_room(&window));
	for (uint64_t i = 0; i < PUBLISH_WINDOW_MAX; i++)
		assert_true(publish_window_acknowledge(&window, i));
	add("t", slice_of(large, sizeof(large)));
	assert_false(publish_window_has_room(&window));
	assert_true(publish_window_acknowledge(&window, PUBLISH_WINDOW_MAX));
	assert_true(publish_window_has_room(&window));
	assert_int_equal(publish_window_slot(&window, PUBLISH_WINDOW_MAX)->room, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(window_keeps_what_is_not_acknowledged, begin, end),
		cmocka_unit_test_setup_teardown(
			window_settles_in_order_whatever_the_order_of_answers, begin, end),
		cmocka_unit_test_setup_teardown(window_counts_each_answer_once, begin, end),
		cmocka_unit_test_setup_teardown(window_is_full_by_number_and_by_bytes, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
