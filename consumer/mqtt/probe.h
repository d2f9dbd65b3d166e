#ifndef MQTT_PROBE_H
#define MQTT_PROBE_H

#include "mqtt/mqtt.h"

/*
 * What the command line asks a broker for, without a daemon.
 *
 * Does it take us, and may we subscribe? For `config check --connect`: the connection is
 * made as mqtt.h makes it for `run`, by the same code and with the same words for what is wrong,
 * but with a clean session that ends with it. Subscriptions are at QoS 0, without what the broker
 * keeps (RETAIN); messages that come meanwhile are copies and are thrown away. So the client id
 * must be one that nobody else uses, and the filters must not have $share/<group>/: as a member of
 * a group we would take messages away from the others.
 *
 * Blocking, bounded: connect_timeout_us for the connection, and as long again for the answer to the
 * subscription. One at a time.
 */
struct mqtt_probe_result {
	bool connected; /* the broker took us, whatever became of the subscription */
	bool subscribed;
	bool speaks_5;
	uint32_t packet_bytes_max; /* that it takes from a publisher; 0: it did not say */
};

/* False with err: not connected, or the subscription was refused. */
MUST_CHECK bool mqtt_probe(const struct mqtt_options *options, struct mqtt_probe_result *out,
	struct error *err);

/*
 * Makes the broker forget the session of options->client_id, with its subscriptions and all that is
 * queued for it: connects with that id and a clean session that ends with the connection. Whoever
 * is connected with the id is disconnected. True also if there was no session: MQTT does not say.
 * No message is taken. Blocking, for connect_timeout_us and a few seconds.
 */
MUST_CHECK bool mqtt_probe_end_session(const struct mqtt_options *options, struct error *err);

#endif
