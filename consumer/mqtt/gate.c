#include "mqtt/gate_private.h"

#include "base/clock.h"
#include "base/hex.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	GATE_UP_BYTES = 64 * 1024,
	GATE_DOWN_BYTES = 256 * 1024,
	GATE_SECRET_BYTES = 16,
	GATE_TEXT_BYTES = 128,
	GATE_TRIED_BYTES = 8192,
	GATE_BACKLOG = 16,
	GATE_GUESTS = 16,      /* connections that have not sent a request yet */
	GATE_LINGER_MS = 2000, /* for the broker, after paho has left */
	GATE_RETRY_MS = 100,   /* when out of descriptors */
	GATE_PACE_US = 500,    /* minimum between two sends in one direction */
	GATE_JOIN_S = 5,       /* a name lookup cannot be interrupted */
};

static const int64_t GATE_GUEST_US = 30 * US_PER_SECOND;

struct gate_guest {
	int fd;
	int64_t until_us;
};

struct gate {
	struct gate_events events;
	int64_t connect_timeout_us;
	int listener;
	char proxy[2][GATE_TEXT_BYTES];
	char authorization[GATE_TEXT_BYTES];
	pthread_t thread;
	bool runs;
	_Atomic bool carries;
	_Atomic bool client_ended, broker_ended; /* which one was first */
	_Atomic bool stopping;

	struct gate_guest guests[GATE_GUESTS]; /* oldest first */
	size_t guests_count;

	pthread_mutex_t lock; /* for the sockets (to end them), and what follows */
	int client, broker;   /* -1: none */
	struct gate_fault fault;
	char tried[GATE_TRIED_BYTES]; /* each target once, as " host:port " */
	char target[GATE_TARGET_BYTES];
	uint8_t beginning[GATE_BEGINNING_BYTES]; /* of what the broker sent */
	size_t beginning_size;

	uint8_t up[GATE_UP_BYTES];
	uint8_t down[GATE_DOWN_BYTES];
};

/* ---- moving bytes ---- */

/* Send all of it. False: the receiver is gone, or does not read and the sender is gone. Sender: -1
 * if it does not matter whether it is there. */
static bool gate_send(int to, int sender, const uint8_t *bytes, size_t size)
{
	struct pollfd fds[] = {{.fd = to, .events = POLLOUT}, {.fd = sender, .events = POLLRDHUP}};
	int timeout_ms = -1;

	while (size > 0) {
		ssize_t n = send(to, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return false;
		n = poll(fds, 2, timeout_ms);
		if (n == 0)
			return false;
		if (n > 0 && fds[1].revents != 0) {
			fds[1].fd = -1;
			timeout_ms = GATE_LINGER_MS;
		}
	}
	return true;
}

static ssize_t gate_receive(int from, uint8_t *out, size_t size)
{
	ssize_t n;

	do
		n = recv(from, out, size, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

/*
 * Collects more bytes until it is time to send again. Under heavy traffic, sending each piece alone
 * costs more than its content: it wakes a thread here, one in paho, and the broker. Returns how
 * many bytes there are then.
 */
static size_t gate_gather(int from, uint8_t *bytes, size_t have, size_t size, int64_t sent_us)
{
	int64_t left_us = sent_us + GATE_PACE_US - clock_mono_us();
	ssize_t n;

	if (left_us <= 0 || have == size)
		return have;
	nanosleep(&(struct timespec){.tv_nsec = left_us * 1000}, NULL);
	n = recv(from, bytes + have, size - have, MSG_DONTWAIT);
	return n > 0 ? have + (size_t)n : have;
}

static void gate_note_beginning(struct gate *g, const uint8_t *bytes, size_t size)
{
	pthread_mutex_lock(&g->lock);
	g->beginning_size = size < sizeof(g->beginning) ? size : sizeof(g->beginning);
	memcpy(g->beginning, bytes, g->beginning_size);
	pthread_mutex_unlock(&g->lock);
}

/* From the broker to paho, on a thread of its own. */
static void *gate_down(void *context)
{
	struct gate *g = context;
	int64_t sent_us = 0;
	ssize_t n;
	size_t have;

	do {
		n = gate_receive(g->broker, g->down, sizeof(g->down));
		if (n <= 0) {
			g->broker_ended = !g->client_ended;
			break;
		}
		have = gate_gather(g->broker, g->down, (size_t)n, sizeof(g->down), sent_us);
		if (sent_us == 0)
			gate_note_beginning(g, g->down, have);
		sent_us = clock_mono_us();
	} while (gate_send(g->client, -1, g->down, have));
	shutdown(g->client, SHUT_WR); /* paho reads what is on its way, and closes */
	return NULL;
}

/* From paho to the broker, beginning with the bytes that came with its request. */
static void gate_up(struct gate *g, size_t size)
{
	ssize_t n = (ssize_t)size;
	int64_t sent_us = 0; /* or a little earlier: the time of the sync counts, too */

	if (n == 0)
		n = gate_receive(g->client, g->up, sizeof(g->up));
	for (; n > 0; n = gate_receive(g->client, g->up, sizeof(g->up))) {
		size = gate_gather(g->client, g->up, (size_t)n, sizeof(g->up), sent_us);
		sent_us = clock_mono_us();
		if (!g->events.before_sending(g->events.context)) {
			g->stopping = true;
			return;
		}
		if (!gate_send(g->broker, g->client, g->up, size)) {
			/* Before paho can notice. If paho is there, the broker is not. */
			if (poll(&(struct pollfd){.fd = g->client, .events = POLLRDHUP}, 1, 0) == 0)
				g->broker_ended = true;
			return;
		}
	}
	g->client_ended = true;
	if (n == 0 && shutdown(g->broker, SHUT_WR) == 0)
		(void)poll(&(struct pollfd){.fd = g->broker, .events = POLLRDHUP}, 1,
			GATE_LINGER_MS);
}

/* ---- a connection ---- */

static void gate_set(struct gate *g, int *fd, int value)
{
	pthread_mutex_lock(&g->lock);
	if (value < 0 && *fd >= 0)
		close(*fd);
	*fd = value;
	/* gate_close() has ended the connections that existed. */
	if (value >= 0 && g->stopping)
		shutdown(value, SHUT_RDWR);
	pthread_mutex_unlock(&g->lock);
}

static void gate_add_fault(struct gate *g, const struct gate_fault *why)
{
	struct gate_fault *f = &g->fault;
	size_t used;

	pthread_mutex_lock(&g->lock);
	used = strlen(f->text);
	f->unknown_host = why->unknown_host && (used == 0 || f->unknown_host);
	snprintf(f->text + used, sizeof(f->text) - used, "%s%s", used > 0 ? "; " : "", why->text);
	pthread_mutex_unlock(&g->lock);
}

/* Notes that it is tried. More than fit are not counted: as if they had not been tried. */
static void gate_note_target(struct gate *g, const struct gate_target *target)
{
	char name[GATE_TARGET_BYTES + 2];
	size_t size = (size_t)snprintf(name, sizeof(name), " %s:%s ", target->host, target->port);
	size_t used;

	pthread_mutex_lock(&g->lock);
	used = strlen(g->tried);
	if (strstr(g->tried, name) == NULL && used + size < sizeof(g->tried)) {
		memcpy(g->tried + used, name, size + 1);
		g->fault.hosts++;
	}
	if (!g->fault.reached)
		snprintf(g->target, sizeof(g->target), "%s:%s", target->host, target->port);
	pthread_mutex_unlock(&g->lock);
}

static void gate_note_reached(struct gate *g, const struct gate_target *target)
{
	pthread_mutex_lock(&g->lock);
	g->fault.reached = true;
	snprintf(g->target, sizeof(g->target), "%s:%s", target->host, target->port);
	pthread_mutex_unlock(&g->lock);
}

static void gate_carry(struct gate *g, size_t size)
{
	pthread_t down;

	g->client_ended = g->broker_ended = false;
	gate_note_beginning(g, g->down, 0);
	g->carries = true;
	if (pthread_create(&down, NULL, gate_down, g) == 0) {
		gate_up(g, size);
		g->carries = false;
		shutdown(g->broker, SHUT_RDWR);
		shutdown(g->client, SHUT_RDWR);
		pthread_join(down, NULL);
	} else {
		gate_add_fault(g, &(struct gate_fault){.text = "could not start a thread"});
	}
	g->carries = false;
}

/* Connects to the broker that the request names, and forwards the bytes in `up` after the request;
 * size: all of them. */
static void gate_serve(struct gate *g, const struct gate_target *target, size_t head, size_t size)
{
	struct gate_fault why;
	int fd;

	gate_note_target(g, target);
	fd = gate_dial(target, g->connect_timeout_us, g->client, &why);
	if (fd < 0) {
		gate_add_fault(g, &why);
		return;
	}
	gate_note_reached(g, target);
	gate_no_delay(fd);
	memmove(g->up, g->up + head, size - head);
	gate_set(g, &g->broker, fd);
	gate_carry(g, size - head);
}

/* ---- new connections ---- */

/* The i-th guest leaves, or is served. */
static int gate_take_guest(struct gate *g, size_t i)
{
	int fd = g->guests[i].fd;

	g->guests_count--;
	memmove(g->guests + i, g->guests + i + 1, (g->guests_count - i) * sizeof(*g->guests));
	return fd;
}

/*
 * The answer is sent before there is a connection to the broker, even before the request: while
 * waiting for it, paho would hold its lock and sleep a quarter of a second at a time. What paho
 * sends meanwhile waits here; if no broker is reached, its connection is closed.
 */
static void gate_welcome(struct gate *g)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
	int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		/* Out of descriptors or memory: nothing signals when that ends. */
		if (!g->stopping && errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
			(void)poll(NULL, 0, GATE_RETRY_MS);
		return;
	}
	gate_no_delay(fd);
	if (!gate_send(fd, -1, (const uint8_t *)answer, sizeof(answer) - 1)) {
		close(fd);
		return;
	}
	if (g->guests_count == GATE_GUESTS)
		close(gate_take_guest(g, 0));
	g->guests[g->guests_count++] = (struct gate_guest){fd, clock_mono_us() + GATE_GUEST_US};
}

/* A guest has sent something. paho sends its request in one piece; anybody else is disconnected. */
static void gate_hear(struct gate *g, size_t i)
{
	int fd = gate_take_guest(g, i);
	ssize_t n = gate_receive(fd, g->up, sizeof(g->up));
	const uint8_t *end = n > 0 ? memmem(g->up, (size_t)n, "\r\n\r\n", 4) : NULL;
	size_t head = end != NULL ? (size_t)(end - g->up) + 4 : 0;
	struct gate_target target;

	gate_set(g, &g->client, fd);
	if (head > 0 && gate_parse(slice_of(g->up, head), g->authorization, &target))
		gate_serve(g, &target, head, (size_t)n);
	gate_set(g, &g->broker, -1);
	gate_set(g, &g->client, -1);
}

static int gate_patience_ms(const struct gate *g)
{
	int64_t left_us;

	if (g->guests_count == 0)
		return -1;
	left_us = g->guests[0].until_us - clock_mono_us();
	return left_us > 0 ? (int)(left_us / US_PER_MS) + 1 : 0;
}

/* A silent guest keeps nobody else waiting. */
static void *gate_main(void *context)
{
	struct gate *g = context;
	struct pollfd fds[GATE_GUESTS + 1];

	while (!g->stopping) {
		size_t count = g->guests_count;

		fds[count] = (struct pollfd){.fd = g->listener, .events = POLLIN};
		for (size_t i = 0; i < count; i++)
			fds[i] = (struct pollfd){.fd = g->guests[i].fd, .events = POLLIN};
		if (poll(fds, count + 1, gate_patience_ms(g)) < 0)
			continue;
		for (size_t i = count; i-- > 0 && !g->stopping;) {
			if (fds[i].revents != 0)
				gate_hear(g, i);
			else if (g->guests[i].until_us <= clock_mono_us())
				close(gate_take_guest(g, i));
		}
		if (fds[count].revents != 0)
			gate_welcome(g);
	}
	while (g->guests_count > 0)
		close(gate_take_guest(g, 0));
	return NULL;
}

/* ---- opening and closing ---- */

static bool gate_make_secret(struct gate *g, struct error *err)
{
	uint8_t random[GATE_SECRET_BYTES];
	char text[GATE_TEXT_BYTES] = "gate:", *end;
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_set_errno(err, ERROR_FATAL, REASON_random, "no random numbers");
	end = hex_put(text + strlen(text), random, sizeof(random));
	*end = '\0';
	EVP_EncodeBlock((unsigned char *)g->authorization, (const unsigned char *)text,
		(int)(end - text));
	if (getsockname(g->listener, (struct sockaddr *)&at, &size) != 0)
		return error_set_errno(err, ERROR_FATAL, REASON_gate, "no port on 127.0.0.1");
	for (int tls = 0; tls < 2; tls++)
		snprintf(g->proxy[tls], GATE_TEXT_BYTES, "http%s://%s@127.0.0.1:%u", tls ? "s" : "",
			text, (unsigned)ntohs(at.sin_port));
	return true;
}

static bool gate_listen(struct gate *g, struct error *err)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	g->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (g->listener >= 0 && bind(g->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		listen(g->listener, GATE_BACKLOG) == 0)
		return true;
	error_set_errno(err, ERROR_FATAL, REASON_gate, "could not listen on 127.0.0.1");
	return error_hint(err, "the connection to the broker passes through a port of this process "
			       "on the loopback: is there one?");
}

bool gate_open(struct gate **out, struct gate_events events, int64_t connect_timeout_us,
	struct error *err)
{
	struct gate *g = calloc(1, sizeof(*g));
	int failed;

	if (g == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	g->events = events;
	g->connect_timeout_us = connect_timeout_us;
	g->listener = g->client = g->broker = -1;
	pthread_mutex_init(&g->lock, NULL);
	if (gate_listen(g, err) && gate_make_secret(g, err)) {
		failed = pthread_create(&g->thread, NULL, gate_main, g);
		g->runs = failed == 0;
		if (g->runs) {
			*out = g;
			return true;
		}
		errno = failed;
		error_set_errno(err, ERROR_FATAL, REASON_thread, "could not start a thread");
	}
	gate_close(&g);
	return false;
}

/* Gives up waiting for the thread if it is looking up a name, which nothing can interrupt: then it
 * is left alone. */
static bool gate_join(struct gate *g)
{
	struct timespec until;

	if (!g->runs)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += GATE_JOIN_S;
	/* ThreadSanitizer of gcc 12 knows only the other one. */
#ifdef __SANITIZE_THREAD__
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GATE_JOIN_S;
	return pthread_timedjoin_np(g->thread, NULL, &until) == 0;
#endif
	return pthread_clockjoin_np(g->thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}

void gate_cut(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	if (g->client >= 0)
		shutdown(g->client, SHUT_RDWR);
	if (g->broker >= 0)
		shutdown(g->broker, SHUT_RDWR);
	pthread_mutex_unlock(&g->lock);
}

void gate_close(struct gate **gate)
{
	struct gate *g = *gate;

	*gate = NULL;
	if (g == NULL)
		return;
	g->stopping = true;
	if (g->listener >= 0)
		shutdown(g->listener, SHUT_RDWR);
	gate_cut(g);
	if (!gate_join(g))
		return;
	if (g->listener >= 0)
		close(g->listener);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

const char *gate_proxy(const struct gate *g, bool tls)
{
	return g->proxy[tls];
}

void gate_begin(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->fault = (struct gate_fault){.text = ""};
	g->tried[0] = g->target[0] = '\0';
	g->broker_ended = false;
	g->beginning_size = 0;
	pthread_mutex_unlock(&g->lock);
}

void gate_fault(struct gate *g, struct gate_fault *out)
{
	pthread_mutex_lock(&g->lock);
	*out = g->fault;
	pthread_mutex_unlock(&g->lock);
}

void gate_last_target(struct gate *g, char out[static GATE_TARGET_BYTES])
{
	pthread_mutex_lock(&g->lock);
	memcpy(out, g->target, GATE_TARGET_BYTES);
	pthread_mutex_unlock(&g->lock);
}

bool gate_broker_ended(const struct gate *g)
{
	return g->broker_ended;
}

size_t gate_broker_began(struct gate *g, uint8_t out[static GATE_BEGINNING_BYTES])
{
	size_t size;

	pthread_mutex_lock(&g->lock);
	size = g->beginning_size;
	memcpy(out, g->beginning, size);
	pthread_mutex_unlock(&g->lock);
	return size;
}

bool gate_carries(const struct gate *g)
{
	return g->carries;
}
