#ifndef MQTT_PUBLISH_H
#define MQTT_PUBLISH_H

#include "mqtt/mqtt.h"

/*
 * A connection that publishes, for `replay --publish`. It is given up when it breaks: what was
 * acknowledged until then is counted, and the caller says so.
 *
 * Blocking; one thread. Messages in flight are bounded, so memory is.
 */
struct mqtt_publisher;

/*
 * Of the options: the first url, client id, user, password, TLS, keep alive, timeout and version
 * (auto = 5, then 3.1.1). False with err: TRANSIENT, or FATAL for options that cannot be.
 */
MUST_CHECK bool mqtt_publisher_open(struct mqtt_publisher **out, const struct mqtt_options *options,
	struct error *err);

/* Never retained: that would stay at the broker. Waits while too much is in flight. */
MUST_CHECK bool mqtt_publisher_send(struct mqtt_publisher *p, const struct mqtt_message *m,
	struct error *err);

/* Until the broker has acknowledged everything. */
MUST_CHECK bool mqtt_publisher_flush(struct mqtt_publisher *p, struct error *err);

/* Messages that the broker has; those of QoS 0 count once they are sent. */
uint64_t mqtt_publisher_acknowledged(struct mqtt_publisher *p);

/* NULL is fine. */
void mqtt_publisher_close(struct mqtt_publisher **publisher);

#endif
