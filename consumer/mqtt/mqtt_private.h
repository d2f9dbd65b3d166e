#ifndef MQTT_MQTT_PRIVATE_H
#define MQTT_MQTT_PRIVATE_H

#include "mqtt/gate.h"
#include "mqtt/mqtt.h"

#include <MQTTAsync.h>
#include <pthread.h>

/* Shared by the files of mqtt/ only. */

/* A request to unsubscribe. Both calls come on the receive thread. */
struct mqtt_unsubscribing {
	char *const *filters;
	size_t count; /* 1 at least */
	void (*done)(struct mqtt *m);
	/* answered: the broker refused; otherwise the connection broke before it answered. */
	void (*failed)(struct mqtt *m, bool answered, const char *why);
};

/* What the connection is for: mqtt_connect(), mqtt_ask_for_session(), mqtt_end_session(). */
enum mqtt_purpose { MQTT_FOR_MESSAGES, MQTT_TO_ASK, MQTT_TO_END_SESSION };

struct mqtt {
	struct mqtt_options options;
	struct mqtt_events events;
	MQTTAsync client;
	bool client_has_gate; /* the client has been given the gate, for good */
	struct gate *gate;
	int version;    /* of the client: MQTTVERSION_5 or MQTTVERSION_3_1_1 */
	bool fall_back; /* make the next client for 3.1.1 */
	char **uris;    /* as paho spells them */
	size_t hosts;   /* how many different ones they name, ports included */
	int *qos;
	MQTTSubscribe_options *subscribe_options;
	char **all_filters; /* wanted and old ones */
	size_t all_filters_count;

	/* For this connection; receive thread. */
	uint64_t messages;
	uint64_t messages_before; /* the unsubscribe request in progress */
	unsigned quiet_rounds;
	bool seen_message;
	struct mqtt_unsubscribing unsubscribing;

	uint32_t session; /* receive thread only: how often the broker began a new one */

	pthread_mutex_t lock; /* for the fields below */
	struct mqtt_status status;
	bool ending;                 /* mqtt_disconnect() was called */
	int disconnecting;           /* threads of mqtt_disconnect() that run */
	pthread_cond_t disconnected; /* one of them has ended */
	enum mqtt_purpose purpose;
	char tls_error[256];
};

/* mqtt_state.c: reports to the daemon. Of several reasons for being down the first one counts,
 * because the rest follow from it, unless a later one is final. */
void mqtt_set_subscribing(struct mqtt *m);
void mqtt_set_subscribed(struct mqtt *m);
void mqtt_set_drained(struct mqtt *m);
void mqtt_set_handing_over(struct mqtt *m); /* a message came */
void mqtt_set_down(struct mqtt *m, const struct error *why);

/* The connection is useless: end it, and report it as down for this reason. */
void mqtt_end_because(struct mqtt *m, const struct error *why);

/* mqtt_unsubscribe.c: sends the request, one at a time; failed() may be called from here. */
void mqtt_unsubscribe(struct mqtt *m, const struct mqtt_unsubscribing *request);

/* mqtt_subscribe.c: subscribe to the wanted filters, then unsubscribe the others; ends in
 * mqtt_set_subscribed() or mqtt_set_down(). */
void mqtt_subscribe(struct mqtt *m);

/* mqtt_drain.c: unsubscribe everything and take what is queued; ends in mqtt_set_drained(). */
void mqtt_drain(struct mqtt *m);

#endif
