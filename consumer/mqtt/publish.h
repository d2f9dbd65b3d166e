#ifndef MQTT_PUBLISH_H
#define MQTT_PUBLISH_H

#include "mqtt/mqtt.h"

#include <signal.h>

/*
 * A connection that publishes, for `replay --publish`. When it breaks, or the broker says nothing
 * for a minute, another one is made, after a while that grows from 0.1 to 5 s, however often it
 * takes; then everything is sent again that was not acknowledged. So the broker gets every message
 * at least once, and those around a break perhaps twice or later than what followed them.
 *
 * Blocking; one thread. Messages in flight are bounded by number and bytes, so memory is.
 */
struct mqtt_publisher;

/*
 * Of the options: the first url, client id, user, password, TLS, keep alive, timeout and version
 * (auto = 5, then 3.1.1). They are borrowed until the end. *stop: a signal that ends all waiting,
 * once it is not 0; or NULL. False with err: TRANSIENT if there is no connection at once, or FATAL
 * for options that cannot be.
 */
MUST_CHECK bool mqtt_publisher_open(struct mqtt_publisher **out, const struct mqtt_options *options,
	const volatile sig_atomic_t *stop, struct error *err);

/* Never retained: that would stay at the broker. Waits while too much is in flight. False with err:
 * STOPPED, or FATAL if the broker refuses a message. */
MUST_CHECK bool mqtt_publisher_send(struct mqtt_publisher *p, const struct mqtt_message *m,
	struct error *err);

/* Until the broker has acknowledged everything; as above. */
MUST_CHECK bool mqtt_publisher_flush(struct mqtt_publisher *p, struct error *err);

struct mqtt_publisher_progress {
	uint64_t acknowledged; /* those of QoS 0 count once they are sent */
	uint64_t settled;      /* of the first so many all are */
	uint64_t resent;
};

void mqtt_publisher_progress(struct mqtt_publisher *p, struct mqtt_publisher_progress *out);

/* NULL is fine. */
void mqtt_publisher_close(struct mqtt_publisher **publisher);

#endif
