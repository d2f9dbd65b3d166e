#ifndef MQTT_PUBLISH_WINDOW_H
#define MQTT_PUBLISH_WINDOW_H

#include "mqtt/mqtt.h"

/*
 * Copies of the messages that a publisher has begun to send, until the broker has them: numbered
 * from 0 in the order of sending, acknowledged in any order, settled as far as none before is
 * missing. Bounded in number and, but for a single message, in bytes.
 *
 * They are kept as messages, and not as packets as in the simulator's window, because paho makes
 * the packets. Knows neither paho nor locks: the caller holds the publisher's, except for reading
 * messages, which stay as they are until they are settled.
 */
enum { PUBLISH_WINDOW_MAX = 500 };

struct publish_slot {
	struct mqtt_message message; /* its topic is terminated */
	uint8_t *bytes;              /* what message borrows */
	size_t room, size;
	bool acknowledged;
};

/* In the caller's memory, zeroed before use. */
struct publish_window {
	uint64_t sent;         /* number of the next message */
	uint64_t settled;      /* all before this one are acknowledged */
	uint64_t acknowledged; /* how many */
	size_t bytes;          /* of those that are not settled */
	struct publish_slot slots[PUBLISH_WINDOW_MAX];
};

void publish_window_fini(struct publish_window *w);

static inline bool publish_window_is_empty(const struct publish_window *w)
{
	return w->sent == w->settled;
}

bool publish_window_has_room(const struct publish_window *w);

/* Copies a message, which becomes number w->sent - 1; only if there is room. FATAL: no memory. */
MUST_CHECK bool publish_window_add(struct publish_window *w, const struct mqtt_message *m,
	struct error *err);

/* Only for numbers from settled on. */
static inline const struct publish_slot *publish_window_slot(const struct publish_window *w,
	uint64_t number)
{
	return &w->slots[number % PUBLISH_WINDOW_MAX];
}

/* False if it is already known, whatever the number. */
bool publish_window_acknowledge(struct publish_window *w, uint64_t number);

#endif
