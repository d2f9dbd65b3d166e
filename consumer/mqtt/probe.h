#ifndef MQTT_PROBE_H
#define MQTT_PROBE_H

#include "mqtt/mqtt.h"

/*
 * One-off requests to a broker from the command line, without a daemon.
 *
 * Does it accept us, and may we subscribe? For `config check --connect`: it connects as mqtt.h does
 * for `run`, with the same code and the same error texts, but with a clean session that ends with
 * the connection. Subscriptions are at QoS 0, without retained messages; messages that come
 * meanwhile are copies and are dropped. So the client id must be one that nobody else uses, and the
 * filters must not have $share/<group>/: as a member of a group we would take messages away from
 * the others.
 *
 * Blocking, bounded: connect_timeout_us for the connection, and as long again for the answer to the
 * subscription. One at a time.
 */
struct mqtt_probe_result {
	bool connected; /* the broker accepted us, whatever became of the subscription */
	bool subscribed;
	bool speaks_5;
	uint32_t packet_bytes_max; /* the largest it accepts from a publisher; 0: unknown */
};

/* False with err: not connected, or the subscription was refused. */
MUST_CHECK bool mqtt_probe(const struct mqtt_options *options, struct mqtt_probe_result *out,
	struct error *err);

/*
 * Makes the broker forget the session of options->client_id, with its subscriptions and everything
 * queued for it: connects with that id and a clean session that ends with the connection; and once
 * before that, to find out whether there is a session, which this leaves as it is. What the broker
 * delivers meanwhile is dropped, and not acknowledged. Whoever is connected with the id is
 * disconnected. True even if there was no session (found_out). Blocking, for twice
 * connect_timeout_us and a few seconds.
 */
MUST_CHECK bool mqtt_probe_end_session(const struct mqtt_options *options, bool *found_out,
	struct error *err);

#endif
