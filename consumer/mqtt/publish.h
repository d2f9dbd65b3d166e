#ifndef MQTT_PUBLISH_H
#define MQTT_PUBLISH_H

#include "mqtt/mqtt.h"

#include <signal.h>

/*
 * A connection that publishes, for `replay --publish`. If it breaks, or the broker is silent for a
 * minute, a new one is made after a delay that grows from 0.1 to 5 s, as often as needed; then
 * everything unacknowledged is sent again. So the broker gets every message at least once; around a
 * break a message may come twice, or after its successors.
 */
struct mqtt_publisher;

/*
 * Uses these options: the first url, client id, user, password, TLS, keep alive, timeout and
 * version (auto = 5, then 3.1.1). They are borrowed until the end. *stop: a signal that ends all
 * waiting once it is not 0; or NULL. False with err: TRANSIENT if the first attempt to connect
 * fails, or FATAL for impossible options.
 */
MUST_CHECK bool mqtt_publisher_open(struct mqtt_publisher **out, const struct mqtt_options *options,
	const volatile sig_atomic_t *stop, struct error *err);

/* Never retained: the message would stay at the broker. Waits while too much is in flight. False
 * with err: STOPPED, or FATAL if the broker refuses a message. */
MUST_CHECK bool mqtt_publisher_send(struct mqtt_publisher *p, const struct mqtt_message *m,
	struct error *err);

/* Waits until the broker has acknowledged everything; errors as above. */
MUST_CHECK bool mqtt_publisher_flush(struct mqtt_publisher *p, struct error *err);

struct mqtt_publisher_progress {
	uint64_t acknowledged; /* QoS 0 messages count once they are sent */
	uint64_t settled;      /* that many from the beginning are, without a gap */
	uint64_t resent;
};

void mqtt_publisher_progress(struct mqtt_publisher *p, struct mqtt_publisher_progress *out);

/* NULL is fine. */
void mqtt_publisher_close(struct mqtt_publisher **publisher);

#endif
