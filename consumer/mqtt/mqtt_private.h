#ifndef MQTT_MQTT_PRIVATE_H
#define MQTT_MQTT_PRIVATE_H

#include "mqtt/gate.h"
#include "mqtt/mqtt.h"

#include <MQTTAsync.h>
#include <pthread.h>

/* Shared by the files of mqtt/ only. */

/* OASIS MQTT 5.0, section 2.4, and what 3.1.1 answers to a subscription: this and above. */
enum { REASON_FAILURE = 0x80 };

struct mqtt {
	struct mqtt_options options;
	struct mqtt_events events;
	MQTTAsync client;
	bool client_has_gate; /* it knows the gate, and keeps that */
	struct gate *gate;
	int version;    /* MQTTVERSION_5 or MQTTVERSION_3_1_1 that the client is made for */
	bool fall_back; /* make the next client for 3.1.1 */
	char **uris;    /* as paho spells them */
	int *qos;
	MQTTSubscribe_options *subscribe_options;
	char **all_filters; /* wanted and old ones */
	size_t all_filters_count;

	/* Of this connection; receive thread. */
	uint64_t messages;
	uint64_t messages_before; /* the request to unsubscribe that is under way */
	unsigned quiet_rounds;
	bool seen_message;

	uint32_t session; /* receive thread only: how often the broker began a new one */

	pthread_mutex_t lock; /* for the fields below */
	struct mqtt_status status;
	bool ending;         /* mqtt_disconnect() was called */
	bool ending_session; /* mqtt_end_session() was called */
	char tls_error[256];
};

/* mqtt_state.c: tell the daemon. Of several reasons for being down the first counts, since what
 * follows from it says less, unless it is final. */
void mqtt_set_subscribing(struct mqtt *m);
void mqtt_set_subscribed(struct mqtt *m);
void mqtt_set_drained(struct mqtt *m);
void mqtt_set_handing_over(struct mqtt *m); /* a message came */
void mqtt_set_down(struct mqtt *m, const struct error *why);

/* There is a connection, and it is of no use: it ends, and is down then because of that. */
void mqtt_end_because(struct mqtt *m, const struct error *why);

/* As paho spells it, with its port; malloc'ed. NULL if it is not an address of a broker. */
char *mqtt_uri(const char *url);

/* http_proxy and https_proxy of the environment are not for MQTT, but paho would follow them. */
void mqtt_ignore_proxies(void);

/* What the settings say of a connection; c gets tls. Borrows from the options. */
void mqtt_connect_options(const struct mqtt_options *o, int version, MQTTAsync_connectOptions *c,
	MQTTAsync_SSLOptions *tls);

/* mqtt_subscribe.c: to the filters that are wanted, and then no more to those that are not; answers
 * by mqtt_set_subscribed(), or mqtt_set_down(). */
void mqtt_subscribe(struct mqtt *m);

/* mqtt_drain.c: unsubscribe everything and take what is queued; answers by mqtt_set_drained(). */
void mqtt_drain(struct mqtt *m);

#endif
