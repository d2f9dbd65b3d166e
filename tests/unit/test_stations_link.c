#include "unit.h"

#include "base/clock.h"
#include "base/log.h"
#include "stations/link.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A link against a broker made of this test: a listening socket on the loopback, and answers as
 * each test wants them. The link's time is ours, so nothing waits.
 */
enum { DEADLINE_MS = 10000, TOLD_MAX = 64 };

struct broker {
	int listener, fd;
	struct sockaddr_in address;
	struct addrinfo info;
	uint8_t in[65536];
	size_t size;
};

static struct broker broker;
static struct link *the_link;
static int64_t now_us;
static uint64_t told[TOLD_MAX];
static size_t told_count;

static void tell(void *context, uint64_t first, uint32_t count)
{
	assert_ptr_equal(context, &broker);
	for (uint32_t i = 0; i < count; i++)
		told[told_count++] = first + i;
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

static void service(void)
{
	struct error err;

	assert_true(link_service(the_link, now_us, &err));
}

static void broker_say(const char *bytes, size_t size)
{
	assert_int_equal(write(broker.fd, bytes, size), size);
	/* The other end of a loopback connection has it immediately; make sure anyway. */
	if (link_fd(the_link) >= 0) {
		int low = 1;

		(void)setsockopt(link_fd(the_link), SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
		wait_for(link_fd(the_link), POLLIN);
	}
	service();
}

#define SAY(literal) broker_say(literal, sizeof(literal) - 1)

/* The next packet that the link sent. */
static struct packet broker_hear(void)
{
	static uint8_t body[65536];
	struct packet p;

	for (;;) {
		struct slice in = slice_of(broker.in, broker.size);
		ssize_t n;

		if (packet_next(&in, &p) == PACKET_NEXT_OK) {
			memcpy(body, p.body.data, p.body.size);
			p.body.data = body;
			memmove(broker.in, in.data, in.size);
			broker.size = in.size;
			return p;
		}
		wait_for(broker.fd, POLLIN);
		n = read(broker.fd, broker.in + broker.size, sizeof(broker.in) - broker.size);
		assert_true(n > 0);
		broker.size += (size_t)n;
	}
}

/* Packet id of the next PUBLISH, whose payload must be this. Topic "t" throughout. */
static unsigned broker_hear_publish(const char *text)
{
	struct packet p = broker_hear();
	size_t size = strlen(text);

	assert_int_equal(p.type, PACKET_PUBLISH);
	assert_true(p.body.size > size);
	assert_memory_equal(p.body.data + p.body.size - size, text, size);
	return (unsigned)(p.body.data[3] << 8 | p.body.data[4]);
}

static void broker_hear_nothing(void)
{
	struct pollfd p = {.fd = broker.fd, .events = POLLIN};

	service();
	assert_int_equal(broker.size, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void broker_acknowledge(unsigned id, unsigned reason)
{
	char bytes[5] = {0x40, 3, (char)(id >> 8), (char)id, (char)reason};

	broker_say(bytes, sizeof(bytes));
}

/* Take the link's connection and say yes to it. */
static void broker_accept(const char *connack, size_t size)
{
	service(); /* connect */
	broker.fd = accept(broker.listener, NULL, NULL);
	broker.size = 0;
	assert_true(broker.fd >= 0);
	wait_for(link_fd(the_link), POLLOUT);
	service(); /* CONNECT */
	assert_int_equal(broker_hear().type, PACKET_CONNECT);
	broker_say(connack, size);
}

#define ACCEPT(literal) broker_accept(literal, sizeof(literal) - 1)

static void broker_break(void)
{
	close(broker.fd);
	wait_for(link_fd(the_link), POLLIN);
	service();
	assert_false(link_is_up(the_link));
	now_us += 10 * US_PER_SECOND; /* longer than any wait between tries */
}

static void publish(const char *text, uint64_t number)
{
	struct slice payload = slice_from_cstr(text);
	struct packet_publish p = {.version = MQTT_5,
		.qos = 1,
		.topic = {SLICE("t"), SLICE("")},
		.payload = &payload,
		.payload_count = 1};

	assert_true(link_publish(the_link, &p, number, 1, now_us));
}

static struct link_options options(void)
{
	return (struct link_options){
		.addresses = &broker.info,
		.connect = {.version = MQTT_5, .client_id = "c", .keep_alive_s = 20},
		.qos = 1,
		.in_flight_max = 3,
		.republish_us = 30 * US_PER_SECOND,
		.window_bytes = 1 << 20,
		.acknowledged = tell,
		.context = &broker,
	};
}

static void start(struct link_options o)
{
	socklen_t length = sizeof(broker.address);

	broker = (struct broker){.address = {.sin_family = AF_INET}};
	broker.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	broker.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(
		bind(broker.listener, (struct sockaddr *)&broker.address, sizeof(broker.address)),
		0);
	assert_int_equal(listen(broker.listener, 4), 0);
	assert_int_equal(getsockname(broker.listener, (struct sockaddr *)&broker.address, &length),
		0);
	broker.info = (struct addrinfo){.ai_family = AF_INET,
		.ai_addr = (struct sockaddr *)&broker.address,
		.ai_addrlen = length};
	told_count = 0;
	now_us = 1000 * US_PER_SECOND;
	the_link = link_new(&o);
	assert_non_null(the_link);
}

static int stop(void **state)
{
	(void)state;
	link_free(&the_link);
	close(broker.fd);
	close(broker.listener);
	return 0;
}

static void link_publishes_and_tells_what_is_acknowledged(void **state)
{
	unsigned id;

	(void)state;
	start(options());
	assert_false(link_is_up(the_link));
	publish("one", 1); /* before there is a connection */
	ACCEPT("\x20\x03\x00\x00\x00");
	assert_true(link_is_up(the_link));
	publish("two", 2);
	service();
	id = broker_hear_publish("one");
	assert_true(id > 0);
	broker_acknowledge(id, 0);
	assert_int_equal(told_count, 1);
	assert_int_equal(told[0], 1);
	assert_false(link_is_idle(the_link));
	broker_acknowledge(broker_hear_publish("two"), 0);
	assert_int_equal(told_count, 2);
	assert_true(link_is_idle(the_link));
	assert_int_equal(link_stats(the_link).republished, 0);
}

static void link_keeps_to_the_smaller_window(void **state)
{
	unsigned id;

	(void)state;
	start(options()); /* three in flight */
	for (uint64_t i = 1; i <= 5; i++)
		publish("x", i);
	ACCEPT("\x20\x06\x00\x00\x03\x21\x00\x02"); /* the broker takes two */
	id = broker_hear_publish("x");
	broker_hear_publish("x");
	broker_hear_nothing();
	broker_acknowledge(id, 0);
	broker_hear_publish("x");
	broker_hear_nothing();
}

static void link_publishes_the_last_seconds_again_after_a_broken_connection(void **state)
{
	(void)state;
	start(options());
	ACCEPT("\x20\x03\x00\x00\x00");
	publish("old", 1);
	service();
	broker_acknowledge(broker_hear_publish("old"), 0);
	now_us += 31 * US_PER_SECOND;
	SAY("\xd0\x00"); /* it is alive */
	assert_int_equal(broker_hear().type, PACKET_PINGREQ);
	publish("acknowledged", 2);
	publish("in flight", 3);
	service();
	broker_acknowledge(broker_hear_publish("acknowledged"), 0);
	broker_hear_publish("in flight");
	broker_break();
	publish("new", 4);
	ACCEPT("\x20\x03\x00\x00\x00");
	broker_acknowledge(broker_hear_publish("acknowledged"), 0);
	broker_acknowledge(broker_hear_publish("in flight"), 0);
	broker_acknowledge(broker_hear_publish("new"), 0);
	broker_hear_nothing();
	assert_int_equal(told_count, 4); /* each once */
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(told[i], i + 1);
	assert_int_equal(link_stats(the_link).republished, 2);
	assert_int_equal(link_stats(the_link).connects, 2);
	assert_true(link_is_idle(the_link));
}

static void link_publishes_only_what_is_unacknowledged_if_asked_so(void **state)
{
	struct link_options o = options();

	(void)state;
	o.republish_us = 0;
	start(o);
	ACCEPT("\x20\x03\x00\x00\x00");
	publish("acknowledged", 1);
	publish("in flight", 2);
	service();
	broker_acknowledge(broker_hear_publish("acknowledged"), 0);
	broker_hear_publish("in flight");
	broker_break();
	ACCEPT("\x20\x03\x00\x00\x00");
	broker_hear_publish("in flight");
	broker_hear_nothing();
	assert_int_equal(told_count, 1);
}

static void link_repeats_until_somebody_subscribes(void **state)
{
	(void)state;
	start(options());
	ACCEPT("\x20\x03\x00\x00\x00");
	publish("before", 1);
	service();
	broker_acknowledge(broker_hear_publish("before"), 0);
	now_us += US_PER_SECOND;
	publish("nobody", 2);
	service();
	broker_acknowledge(broker_hear_publish("nobody"), REASON_NO_SUBSCRIBERS);
	broker_hear_nothing(); /* not immediately */
	now_us += 5 * US_PER_SECOND;
	service();
	broker_acknowledge(broker_hear_publish("nobody"), REASON_NO_SUBSCRIBERS);
	assert_int_equal(told_count, 1);
	assert_false(link_is_idle(the_link));
	now_us += 5 * US_PER_SECOND;
	service();
	broker_acknowledge(broker_hear_publish("nobody"), 0);
	assert_int_equal(told_count, 2);
	/* The subscription may have been gone when "before" was acknowledged. */
	broker_acknowledge(broker_hear_publish("before"), 0);
	broker_hear_nothing();
	assert_int_equal(told_count, 2);
	assert_int_equal(link_stats(the_link).unrouted, 2);
	assert_true(link_is_idle(the_link));
}

static void link_can_do_without_subscribers(void **state)
{
	struct link_options o = options();

	(void)state;
	o.accept_unrouted = true;
	start(o);
	ACCEPT("\x20\x03\x00\x00\x00");
	publish("nobody", 1);
	service();
	broker_acknowledge(broker_hear_publish("nobody"), REASON_NO_SUBSCRIBERS);
	assert_int_equal(told_count, 1);
	assert_true(link_is_idle(the_link));
}

static void link_does_not_repeat_what_is_refused(void **state)
{
	(void)state;
	start(options());
	ACCEPT("\x20\x03\x00\x00\x00");
	publish("not authorized", 1);
	service();
	broker_acknowledge(broker_hear_publish("not authorized"), 0x87);
	now_us += 5 * US_PER_SECOND;
	broker_hear_nothing();
	assert_int_equal(told_count, 0);
	assert_int_equal(link_stats(the_link).refused, 1);
	assert_true(link_is_idle(the_link));
}

static void link_goes_all_the_way_of_qos_2(void **state)
{
	struct link_options o = options();
	struct slice payload = SLICE("x");
	struct packet_publish p = {.version = MQTT_5,
		.qos = 2,
		.topic = {SLICE("t"), SLICE("")},
		.payload = &payload,
		.payload_count = 1};
	struct packet heard;

	(void)state;
	o.qos = 2;
	start(o);
	assert_true(link_publish(the_link, &p, 1, 2, now_us));
	ACCEPT("\x20\x03\x00\x00\x00");
	assert_int_equal(broker_hear_publish("x"), 1);
	SAY("\x50\x02\x00\x01");
	assert_int_equal(told_count, 0);
	heard = broker_hear();
	assert_int_equal(heard.type, PACKET_PUBREL);
	assert_memory_equal(heard.body.data, "\x00\x01", 2);
	SAY("\x70\x02\x00\x01");
	assert_int_equal(told_count, 2);
	assert_true(link_is_idle(the_link));
}

static void link_notices_a_broker_that_is_silent(void **state)
{
	(void)state;
	start(options());
	ACCEPT("\x20\x03\x00\x00\x00");
	now_us += 11 * US_PER_SECOND;
	service();
	assert_int_equal(broker_hear().type, PACKET_PINGREQ);
	assert_true(link_is_up(the_link));
	now_us += 11 * US_PER_SECOND;
	service();
	assert_false(link_is_up(the_link));
}

static void link_gives_up_when_refused_for_good(void **state)
{
	struct error err = {0};

	(void)state;
	start(options());
	service();
	broker.fd = accept(broker.listener, NULL, NULL);
	wait_for(link_fd(the_link), POLLOUT);
	service();
	assert_int_equal(broker_hear().type, PACKET_CONNECT);
	assert_int_equal(write(broker.fd, "\x20\x03\x00\x87\x00", 5), 5);
	wait_for(link_fd(the_link), POLLIN);
	assert_false(link_service(the_link, now_us, &err));
	assert_non_null(strstr(err.message, "0x87"));
}

static void link_breaks_with_a_broker_that_talks_nonsense(void **state)
{
	(void)state;
	start(options());
	ACCEPT("\x20\x03\x00\x00\x00");
	publish("x", 1);
	service();
	SAY("\x40\x02\x00\x03"); /* an id that is not in use */
	assert_false(link_is_up(the_link));
	assert_int_equal(told_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(link_publishes_and_tells_what_is_acknowledged, stop),
		cmocka_unit_test_teardown(link_keeps_to_the_smaller_window, stop),
		cmocka_unit_test_teardown(
			link_publishes_the_last_seconds_again_after_a_broken_connection, stop),
		cmocka_unit_test_teardown(link_publishes_only_what_is_unacknowledged_if_asked_so,
			stop),
		cmocka_unit_test_teardown(link_repeats_until_somebody_subscribes, stop),
		cmocka_unit_test_teardown(link_can_do_without_subscribers, stop),
		cmocka_unit_test_teardown(link_does_not_repeat_what_is_refused, stop),
		cmocka_unit_test_teardown(link_goes_all_the_way_of_qos_2, stop),
		cmocka_unit_test_teardown(link_notices_a_broker_that_is_silent, stop),
		cmocka_unit_test_teardown(link_gives_up_when_refused_for_good, stop),
		cmocka_unit_test_teardown(link_breaks_with_a_broker_that_talks_nonsense, stop),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
