#include "unit.h"

#include "base/clock.h"
#include "mqtt/gate_private.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A gate between this test, which is paho on one side, and a socket of its own, which is the
 * broker, on the other.
 */
enum { MANY = 8 << 20, PIECE = 10000, HANGS_MS = 60000 };

struct world {
	struct gate *gate;
	int listener, client, broker;
	unsigned port;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held; /* before_sending() waits */
	bool fails;
	unsigned asked;
};

static struct world world;

static bool before_sending(void *context)
{
	struct world *w = context;
	bool ok;

	pthread_mutex_lock(&w->lock);
	w->asked++;
	pthread_cond_broadcast(&w->changed);
	while (w->held)
		pthread_cond_wait(&w->changed, &w->lock);
	ok = !w->fails;
	pthread_mutex_unlock(&w->lock);
	return ok;
}

static void hold(struct world *w, bool held)
{
	pthread_mutex_lock(&w->lock);
	w->held = held;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void wait_asked(struct world *w, unsigned more_than)
{
	pthread_mutex_lock(&w->lock);
	while (w->asked <= more_than)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static int connect_to(unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void send_all(int fd, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += n;
		size -= (size_t)n;
	}
}

static void receive_all(int fd, void *out, size_t size)
{
	assert_int_equal(recv(fd, out, size, MSG_WAITALL), size);
}

static bool is_quiet(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static bool is_over(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&p, 1, HANGS_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

/* As paho does: the request, then what is for the broker, without waiting for an answer. */
static void request(struct world *w, const char *host, unsigned port, const char *more)
{
	const char *proxy = gate_proxy(w->gate, false);
	const char *at = strchr(proxy, '@');
	char secret[128], coded[256], text[1024], answer[19];
	unsigned gate_port;

	assert_int_equal(sscanf(proxy, "http://%127[^@]", secret), 1);
	assert_int_equal(sscanf(at, "@127.0.0.1:%u", &gate_port), 1);
	EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)secret, (int)strlen(secret));
	snprintf(text, sizeof(text),
		"CONNECT %s:%u HTTP/1.1\r\nHost: %s\r\nProxy-authorization: Basic %s\r\n\r\n%s",
		host, port, host, coded, more);
	w->client = connect_to(gate_port);
	receive_all(w->client, answer, sizeof(answer));
	assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n\r\n", sizeof(answer));
	send_all(w->client, text, strlen(text));
}

static int setup(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);

	(void)state;
	world = (struct world){.client = -1, .broker = -1};
	pthread_mutex_init(&world.lock, NULL);
	pthread_cond_init(&world.changed, NULL);
	world.listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(world.listener, (struct sockaddr *)&at, size) != 0 ||
		listen(world.listener, 4) != 0 ||
		getsockname(world.listener, (struct sockaddr *)&at, &size) != 0)
		return -1;
	world.port = ntohs(at.sin_port);
	return !gate_open(&world.gate, (struct gate_events){before_sending, &world},
		10 * US_PER_SECOND, NULL);
}

static int teardown(void **state)
{
	(void)state;
	hold(&world, false);
	gate_close(&world.gate);
	close(world.listener);
	if (world.client >= 0)
		close(world.client);
	if (world.broker >= 0)
		close(world.broker);
	return 0;
}

static void pass(struct world *w)
{
	char hello[5];

	request(w, "127.0.0.1", w->port, "hello");
	w->broker = accept(w->listener, NULL, NULL);
	assert_true(w->broker >= 0);
	receive_all(w->broker, hello, sizeof(hello));
	assert_memory_equal(hello, "hello", sizeof(hello));
	assert_true(gate_carries(w->gate));
}

static void gate_holds_what_is_sent_and_lets_through_what_comes(void **state)
{
	struct world *w = &world;
	char text[8];
	unsigned asked;

	(void)state;
	pass(w);
	asked = w->asked;
	hold(w, true);
	send_all(w->client, "acks", 4);
	wait_asked(w, asked);
	send_all(w->broker, "messages", 8);
	receive_all(w->client, text, 8);
	assert_memory_equal(text, "messages", 8);
	assert_true(is_quiet(w->broker));
	hold(w, false);
	receive_all(w->broker, text, 4);
	assert_memory_equal(text, "acks", 4);
}

static void gate_that_may_not_send_ends_the_connection_for_good(void **state)
{
	struct world *w = &world;

	(void)state;
	pass(w);
	w->fails = true;
	send_all(w->client, "acks", 4);
	assert_true(is_over(w->client));
	assert_true(is_over(w->broker)); /* and not a byte before that */
	assert_false(gate_carries(w->gate));
}

static void *send_many(void *context)
{
	uint8_t piece[PIECE];
	int fd = *(int *)context;

	for (size_t sent = 0; sent < MANY; sent += sizeof(piece)) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = (uint8_t)((sent + i) * 31 >> 3);
		send_all(fd, piece, sizeof(piece));
	}
	return NULL;
}

static void *receive_many(void *context)
{
	uint8_t piece[PIECE];
	int fd = *(int *)context;

	for (size_t got = 0; got < MANY; got += sizeof(piece)) {
		receive_all(fd, piece, sizeof(piece));
		for (size_t i = 0; i < sizeof(piece); i++)
			assert_int_equal(piece[i], (uint8_t)((got + i) * 31 >> 3));
	}
	return NULL;
}

/* Each side only reads once it has sent all: what is on its way must not get stuck. */
static void gate_passes_everything_both_ways_at_once(void **state)
{
	struct world *w = &world;
	pthread_t threads[4];

	(void)state;
	pass(w);
	assert_int_equal(pthread_create(&threads[0], NULL, send_many, &w->client), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, send_many, &w->broker), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, receive_many, &w->client), 0);
	assert_int_equal(pthread_create(&threads[3], NULL, receive_many, &w->broker), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void gate_passes_on_what_was_sent_before_the_end(void **state)
{
	struct world *w = &world;
	char text[7];

	(void)state;
	pass(w);
	send_all(w->client, "goodbye", 7);
	close(w->client);
	w->client = -1;
	receive_all(w->broker, text, 7);
	assert_memory_equal(text, "goodbye", 7);
	assert_true(is_over(w->broker));
	close(w->broker);
	pass(w); /* and takes the next one */
	send_all(w->broker, "the end", 7);
	close(w->broker);
	w->broker = -1;
	receive_all(w->client, text, 7);
	assert_memory_equal(text, "the end", 7);
	assert_true(is_over(w->client));
}

static void gate_says_why_there_is_no_broker(void **state)
{
	struct world *w = &world;
	char want[64];
	struct gate_fault fault;

	(void)state;
	close(w->listener);
	request(w, "127.0.0.1", w->port, "hello");
	assert_true(is_over(w->client));
	gate_fault(w->gate, &fault);
	snprintf(want, sizeof(want), "127.0.0.1:%u: Connection refused", w->port);
	assert_string_equal(fault.text, want);
	assert_false(fault.unknown_host);
	assert_int_equal(fault.hosts, 1);
	close(w->client);
	request(w, "no-such-host.invalid", 1, "");
	assert_true(is_over(w->client));
	gate_fault(w->gate, &fault);
	assert_non_null(strstr(fault.text, "; no-such-host.invalid:1: "));
	assert_false(fault.unknown_host); /* the first one is known */
	assert_int_equal(fault.hosts, 2);
	close(w->client);
	request(w, "127.0.0.1", w->port, "");
	assert_true(is_over(w->client));
	gate_fault(w->gate, &fault);
	assert_int_equal(fault.hosts, 2); /* again the first one */
	assert_false(fault.reached);
	gate_begin(w->gate);
	gate_fault(w->gate, &fault);
	assert_string_equal(fault.text, "");
	assert_int_equal(fault.hosts, 0);
	assert_int_equal(w->asked, 0);
}

static void gate_serves_one_who_asks_beside_others_who_do_not(void **state)
{
	const char *at = strchr(gate_proxy(world.gate, true), '@');
	unsigned port;
	int silent[40];

	(void)state;
	assert_int_equal(sscanf(at, "@127.0.0.1:%u", &port), 1);
	for (size_t i = 0; i < 40; i++)
		silent[i] = connect_to(port);
	pass(&world);
	for (size_t i = 0; i < 40; i++)
		close(silent[i]);
}

static void gate_parse_takes_paho_requests_alone(void **state)
{
	static const struct {
		const char *text, *host, *port;
	} cases[] = {
		{"CONNECT broker:1883 HTTP/1.1\r\nHost: broker\r\nProxy-authorization: Basic "
		 "c2VjcmV0\r\n\r\n",
			"broker", "1883"},
		{"CONNECT [::1:8883 HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n", "::1",
			"8883"},
		{"CONNECT [fe80::1]:1 HTTP/1.1\r\nproxy-authorization: basic c2VjcmV0\r\n\r\n",
			"fe80::1", "1"},
		{"CONNECT broker:1883 HTTP/1.1\r\n\r\n", NULL, NULL},
		{"CONNECT broker:1883 HTTP/1.1\r\nProxy-authorization: Basic c2VjcmV1\r\n\r\n",
			NULL, NULL},
		{"CONNECT broker:1883 HTTP/1.1\r\nProxy-authorization: Basic c2Vjcm\r\n\r\n", NULL,
			NULL},
		{"CONNECT broker:188388 HTTP/1.1\r\nProxy-authorization: Basic c2VjcmV0\r\n\r\n",
			NULL, NULL},
		{"CONNECT broker HTTP/1.1\r\nProxy-authorization: Basic c2VjcmV0\r\n\r\n", NULL,
			NULL},
		{"GET / HTTP/1.1\r\nProxy-authorization: Basic c2VjcmV0\r\n\r\n", NULL, NULL},
		{"CONNECT ", NULL, NULL},
		{"\r\n\r\n", NULL, NULL},
	};
	struct gate_target target;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool ok = gate_parse(slice_from_cstr(cases[i].text), "c2VjcmV0", &target);

		assert_int_equal(ok, cases[i].host != NULL);
		if (ok) {
			assert_string_equal(target.host, cases[i].host);
			assert_string_equal(target.port, cases[i].port);
		}
	}
}

#define GATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(gate_holds_what_is_sent_and_lets_through_what_comes),
		GATE_TEST(gate_that_may_not_send_ends_the_connection_for_good),
		GATE_TEST(gate_passes_everything_both_ways_at_once),
		GATE_TEST(gate_passes_on_what_was_sent_before_the_end),
		GATE_TEST(gate_says_why_there_is_no_broker),
		GATE_TEST(gate_serves_one_who_asks_beside_others_who_do_not),
		cmocka_unit_test(gate_parse_takes_paho_requests_alone),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
