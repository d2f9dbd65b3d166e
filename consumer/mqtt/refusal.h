#ifndef MQTT_REFUSAL_H
#define MQTT_REFUSAL_H

#include "mqtt/mqtt_private.h"

/*
 * Why an attempt to connect failed, found out and put into words: no host could be reached, what
 * answers is no broker, a certificate is wrong, one of our files is unusable, or the broker
 * refused. paho knows few of these, so the gate (mqtt/gate.h) and mqtt/tls_check.h are asked, too.
 *
 * Sets the connection down (mqtt_set_down()) with an error that says what to do, and whether a
 * person is needed. If the broker does not speak MQTT 5, the next client will be for 3.1.1
 * (fall_back).
 *
 * code: of the answer, or paho's (answer_to_connect()); message: paho's, or NULL. On the thread on
 * which paho reports it.
 */
void refusal_report(struct mqtt *m, int code, const char *message);

#endif
