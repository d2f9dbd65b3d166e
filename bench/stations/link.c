#include "base/clock.h"
#include "base/log.h"
#include "stations/link_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t LINK_RETRY_BASE_US = 100 * US_PER_MS;
static const int64_t LINK_RETRY_CAP_US = 3 * US_PER_SECOND;
static const int64_t LINK_CONNECT_US = 5 * US_PER_SECOND;

/* How often to look for acknowledgements that are too few to wake us; see link_tune(). */
static const int64_t LINK_LOOK_US = 2 * US_PER_MS;

/* Packets made ahead of the socket: enough to keep it busy, little to hold up. */
enum { LINK_WAITING_MAX = 1024 };

/* A window from which on acknowledgements are gathered; see link_tune(). */
enum { LINK_WIDE_WINDOW = 256 };

struct link *link_new(const struct link_options *options)
{
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->o = *options;
	l->fd = -1;
	l->address = options->addresses;
	backoff_init(&l->backoff, LINK_RETRY_BASE_US, LINK_RETRY_CAP_US, options->seed);
	if (!link_flow_init(l))
		link_free(&l);
	return l;
}

static void link_close(struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void link_free(struct link **link)
{
	struct link *l = *link;

	if (l == NULL)
		return;
	if (l->state == LINK_UP && l->piece == l->pieces_count) {
		uint8_t packet[PACKET_SMALL_BYTES];
		ssize_t n = write(l->fd, packet, (size_t)(packet_put_disconnect(packet) - packet));

		(void)n; /* a courtesy */
	}
	link_close(l);
	link_flow_fini(l);
	free(l);
	*link = NULL;
}

bool link_has_room(const struct link *l)
{
	return l->waiting < LINK_WAITING_MAX && l->unrouted < LINK_WAITING_MAX;
}

bool link_publish(struct link *l, const struct packet_publish *p, uint64_t first, uint32_t count,
	int64_t now_us)
{
	size_t size = packet_publish_bytes(p), id_at;
	uint8_t *at;

	if (!link_has_room(l))
		return false;
	at = window_reserve(&l->window, size, now_us - l->o.republish_us);
	if (at == NULL)
		return false;
	CHECK(packet_put_publish(at, p, &id_at) == at + size);
	window_add(&l->window, size, id_at, first, count);
	l->waiting++;
	return true;
}

static void link_lost(struct link *l, int64_t now_us, const char *why)
{
	int64_t wait_us = backoff_next_us(&l->backoff);

	link_close(l);
	if (l->state == LINK_UP)
		link_flow_lost(l, now_us);
	l->state = LINK_DOWN;
	l->retry_us = now_us + wait_us;
	l->input_size = 0;
	/* Another address next time: "localhost" may be ::1 with the broker on 127.0.0.1 only. */
	l->address = l->address->ai_next != NULL ? l->address->ai_next : l->o.addresses;
	log_warn("broker_lost", why, "client_id=%s retry_ms=%lld", l->o.connect.client_id,
		(long long)(wait_us / US_PER_MS));
}

static void link_connect(struct link *l, int64_t now_us)
{
	const struct addrinfo *a = l->address;
	int one = 1;

	l->state = LINK_CONNECTING;
	l->deadline_us = now_us + LINK_CONNECT_US;
	l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0) {
		link_lost(l, now_us, "could not make a socket");
		return;
	}
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(l->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
		link_lost(l, now_us, "could not connect");
}

static void link_greet(struct link *l, int64_t now_us)
{
	uint8_t packet[PACKET_CONNECT_BYTES];
	size_t size = (size_t)(packet_put_connect(packet, &l->o.connect) - packet);
	struct pollfd p = {.fd = l->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int failure = 0;

	if (poll(&p, 1, 0) != 1)
		return;
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &failure, &length) != 0 || failure != 0) {
		link_lost(l, now_us, "could not connect");
		return;
	}
	/* The socket's buffer is empty and larger than any CONNECT. */
	if (write(l->fd, packet, size) != (ssize_t)size) {
		link_lost(l, now_us, "could not write");
		return;
	}
	l->state = LINK_GREETING;
	l->deadline_us = now_us + LINK_CONNECT_US;
}

/*
 * Brokers write each PUBACK alone, and to wake up for each would cost more than the rest of our
 * work. So the socket counts as readable only when a part of the window is acknowledged;
 * link_deadline_us() sees to it that fewer are found, too. Not so with a narrow window, which
 * would stand still meanwhile.
 */
static void link_tune(struct link *l)
{
	int bytes = (int)(l->in_flight_max / 4 * PACKET_SMALL_BYTES);

	if (l->in_flight_max >= LINK_WIDE_WINDOW)
		(void)setsockopt(l->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/* Reasons for which another try may succeed. 3.1.1 has six codes of its own (its section
 * 3.2.2.3). */
static bool link_may_retry(const struct link *l, uint8_t reason)
{
	if (l->o.connect.version == MQTT_311)
		return reason == 3;
	return reason == REASON_REFUSED || reason == REASON_SERVER_UNAVAILABLE ||
	       reason == REASON_SERVER_BUSY || reason == REASON_QUOTA_EXCEEDED ||
	       reason == 0x9f; /* connection rate exceeded */
}

static bool link_connack(struct link *l, const struct packet *p, int64_t now_us, struct error *err)
{
	struct packet_connack c;

	if (l->state != LINK_GREETING || !packet_parse_connack(p, l->o.connect.version, &c)) {
		link_lost(l, now_us, "the broker's answer to CONNECT makes no sense");
		return true;
	}
	if (c.reason != REASON_SUCCESS) {
		if (!link_may_retry(l, c.reason))
			return error_set(err, ERROR_FATAL, REASON_broker_refused,
				"the broker refuses the connection with reason 0x%02x", c.reason);
		link_lost(l, now_us, "the broker takes no connection now");
		return true;
	}
	if (c.qos_max < l->o.qos)
		return error_set(err, ERROR_FATAL, REASON_broker_refused,
			"the broker takes messages up to QoS %u only", c.qos_max);
	l->state = LINK_UP;
	l->stats.connects++;
	l->received_us = l->written_us = now_us;
	l->ping_awaited = false;
	l->keep_alive_us =
		US_PER_SECOND * (c.keep_alive_s > 0 ? c.keep_alive_s : l->o.connect.keep_alive_s);
	l->packet_bytes_max = c.packet_bytes_max;
	backoff_reset(&l->backoff);
	link_flow_start(l, c.receive_max);
	link_tune(l);
	if (l->stats.connects > 1)
		log_info("broker_back", "connected to the broker again", "client_id=%s",
			l->o.connect.client_id);
	return true;
}

/* False with err if the broker refuses us; the link is DOWN if the packet broke it. */
static bool link_packet(struct link *l, const struct packet *p, int64_t now_us, struct error *err)
{
	struct packet_ack ack;

	if (p->type == PACKET_CONNACK)
		return link_connack(l, p, now_us, err);
	if (l->state != LINK_UP) {
		link_lost(l, now_us, "the broker speaks before CONNACK");
	} else if (p->type == PACKET_PUBACK || p->type == PACKET_PUBREC ||
		   p->type == PACKET_PUBCOMP) {
		if (!packet_parse_ack(p, &ack) || !link_flow_ack(l, p->type, &ack, now_us))
			link_lost(l, now_us, "the broker acknowledges what was not sent");
	} else if (p->type == PACKET_PINGRESP) {
		l->ping_awaited = false;
	} else if (p->type == PACKET_DISCONNECT) {
		link_lost(l, now_us, "the broker ends the connection");
	} else {
		link_lost(l, now_us, "the broker sends what it may not");
	}
	return true;
}

static bool link_parse(struct link *l, int64_t now_us, struct error *err)
{
	struct slice in = slice_of(l->input, l->input_size);
	struct packet packet;

	for (;;) {
		enum packet_next next = packet_next(&in, &packet);

		if (next == PACKET_NEXT_OK) {
			if (!link_packet(l, &packet, now_us, err))
				return false;
			if (l->state == LINK_DOWN)
				return true;
			continue;
		}
		if (next == PACKET_NEXT_BAD || in.size == sizeof(l->input)) {
			link_lost(l, now_us, "the broker does not speak MQTT");
			return true;
		}
		memmove(l->input, in.data, in.size);
		l->input_size = in.size;
		return true;
	}
}

static bool link_read(struct link *l, int64_t now_us, struct error *err)
{
	while (l->state == LINK_GREETING || l->state == LINK_UP) {
		ssize_t n =
			recv(l->fd, l->input + l->input_size, sizeof(l->input) - l->input_size, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0) {
			link_lost(l, now_us, "the connection is broken");
			return true;
		}
		l->input_size += (size_t)n;
		l->received_us = now_us;
		if (!link_parse(l, now_us, err))
			return false;
	}
	return true;
}

static void link_keep_alive(struct link *l, int64_t now_us)
{
	int64_t half_us = l->keep_alive_us / 2;
	uint8_t packet[PACKET_SMALL_BYTES];

	if (l->keep_alive_us == 0)
		return;
	if (l->ping_awaited) {
		if (now_us - l->received_us > l->keep_alive_us)
			link_lost(l, now_us, "the broker is silent");
		return;
	}
	if (now_us - l->written_us > half_us || now_us - l->received_us > half_us) {
		link_flow_control(l,
			slice_of(packet, (size_t)(packet_put_pingreq(packet) - packet)));
		l->ping_awaited = true;
	}
}

bool link_service(struct link *l, int64_t now_us, struct error *err)
{
	if (l->state == LINK_DOWN && now_us >= l->retry_us)
		link_connect(l, now_us);
	if (l->state == LINK_CONNECTING)
		link_greet(l, now_us);
	if (!link_read(l, now_us, err))
		return false;
	if ((l->state == LINK_CONNECTING || l->state == LINK_GREETING) && now_us > l->deadline_us)
		link_lost(l, now_us, "no answer from the broker");
	if (l->state != LINK_UP)
		return true;
	link_flow_resend(l, now_us);
	link_keep_alive(l, now_us);
	if (l->state == LINK_UP && !link_flow_write(l, now_us))
		link_lost(l, now_us, "the connection is broken");
	return true;
}

int link_fd(const struct link *l)
{
	return l->fd;
}

short link_events(const struct link *l)
{
	switch (l->state) {
	case LINK_DOWN:
		return 0;
	case LINK_CONNECTING:
		return POLLOUT;
	case LINK_GREETING:
		return POLLIN;
	case LINK_UP:
		return l->piece < l->pieces_count ? POLLIN | POLLOUT : POLLIN;
	}
	return 0;
}

int64_t link_deadline_us(const struct link *l, int64_t now_us)
{
	int64_t at = l->received_us < l->written_us ? l->received_us : l->written_us;

	switch (l->state) {
	case LINK_DOWN:
		return l->retry_us;
	case LINK_CONNECTING:
	case LINK_GREETING:
		return l->deadline_us;
	case LINK_UP:
		break;
	}
	if (l->in_flight > 0)
		return now_us + LINK_LOOK_US;
	if (l->keep_alive_us == 0)
		at += US_PER_DAY;
	else
		at += l->ping_awaited ? l->keep_alive_us : l->keep_alive_us / 2;
	return l->resend_us > 0 && l->resend_us < at ? l->resend_us : at;
}

bool link_is_up(const struct link *l)
{
	return l->state == LINK_UP;
}

bool link_is_idle(const struct link *l)
{
	return l->waiting == 0 && l->unrouted == 0 && l->in_flight == 0 &&
	       l->piece == l->pieces_count;
}

struct link_stats link_stats(const struct link *l)
{
	struct link_stats stats = l->stats;

	stats.early = l->window.early;
	return stats;
}
