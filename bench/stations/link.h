#ifndef STATIONS_LINK_H
#define STATIONS_LINK_H

#include "base/error.h"
#include "stations/packet.h"

#include <netdb.h>
#include <stdint.h>

/*
 * One connection to the broker, and what a gateway with patient stations behind it does with one:
 * publish up to a window's worth at a time; after a broken connection come back with growing
 * waits and publish again what was not acknowledged, and what was published shortly before (a
 * broker that died may have lost messages it had acknowledged). A PUBACK that says "no matching
 * subscribers" means that the message is gone: it is published again until somebody is there, and
 * then also what was published shortly before the first such answer.
 *
 * Never blocks: the owner polls link_fd() and calls link_service(). One thread.
 */
struct link;

/* Told once per packet: its OCPP messages first .. first + count - 1 are acknowledged (QoS 0:
 * written to the socket). */
typedef void (*link_acknowledged_cb)(void *context, uint64_t first, uint32_t count);

struct link_options {
	const struct addrinfo *addresses; /* tried in turn; must outlive the link */
	struct packet_connect connect;    /* its texts must outlive the link */
	uint8_t qos;
	uint16_t in_flight_max;
	int64_t republish_us; /* "shortly before"; 0 = only what was not acknowledged */
	size_t window_bytes;
	bool accept_unrouted; /* "no matching subscribers" is good enough */
	uint64_t seed;        /* of the waits between tries */
	link_acknowledged_cb acknowledged;
	void *context;
};

struct link_stats {
	uint64_t connects;
	uint64_t packets;     /* PUBLISH packets written, repeats included */
	uint64_t republished; /* OCPP messages written again */
	uint64_t unrouted;    /* PUBACKs that said "no matching subscribers" */
	uint64_t refused;     /* OCPP messages that the broker will not take */
	uint64_t early;       /* OCPP messages no longer kept although young enough to be wanted */
};

/* NULL only if memory cannot be had. Nothing is connected yet. */
struct link *link_new(const struct link_options *options);
void link_free(struct link **link);

/* Enough room in the queue to try link_publish(). */
bool link_has_room(const struct link *l);

/* Encode and queue. False if there is no room now: try again after link_service(). */
MUST_CHECK
bool link_publish(struct link *l, const struct packet_publish *p, uint64_t first, uint32_t count,
	int64_t now_us);

/*
 * Connect, read, write, watch over time: whatever can be done now. False with err if the broker
 * refuses us for good; everything else may succeed when tried again.
 */
MUST_CHECK
bool link_service(struct link *l, int64_t now_us, struct error *err);

/* For poll(2): -1 and 0 while there is nothing to wait for but time. */
int link_fd(const struct link *l);
short link_events(const struct link *l);

/* When link_service() has something to do even if the socket stays silent. */
int64_t link_deadline_us(const struct link *l, int64_t now_us);

bool link_is_up(const struct link *l);

/* Nothing is waiting for the broker. */
bool link_is_idle(const struct link *l);

struct link_stats link_stats(const struct link *l);

#endif
