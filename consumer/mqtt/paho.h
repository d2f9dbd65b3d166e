#ifndef MQTT_PAHO_H
#define MQTT_PAHO_H

#include "mqtt/mqtt.h"

#include <MQTTAsync.h>

/* How clients of paho are set up, the subscriber's and the publisher's. On the thread that makes
 * them. */

/* Before the first client, and harmless before others. */
void paho_prepare(void);

/* The version to try first: MQTTVERSION_5 or MQTTVERSION_3_1_1. */
int paho_version(enum mqtt_version version);

/* Fills in c from the settings, and gives it tls. Both borrow from the options. */
void paho_connect_options(const struct mqtt_options *o, int version, MQTTAsync_connectOptions *c,
	MQTTAsync_SSLOptions *tls);

#endif
