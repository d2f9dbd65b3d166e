#ifndef MQTT_GATE_H
#define MQTT_GATE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A gate on the loopback that paho's connection to the broker passes through, so that a message is
 * acknowledged only once it is on disk, with one sync for many messages.
 *
 * paho sends a PUBACK as soon as it has handed us the message, and cannot be asked to wait. So each
 * message would need a sync of its own before that. But whatever bytes paho sends, every message
 * that they can acknowledge was handed to us before. So the gate takes what paho has sent, lets
 * before_sending() sync the log, and sends it on: while it does, paho takes the next messages.
 *
 * Sends of one direction are half a millisecond apart at least, so under load each carries much.
 *
 * The gate knows neither MQTT nor TLS, it moves bytes. paho finds it by its options httpProxy and
 * httpsProxy, which serve tcp:// and ssl:// as well: it sends "CONNECT host:port" (RFC 9110,
 * section 9.3.6), with a secret that no other program knows, and then what it would have sent to
 * the broker. TLS stays between paho and the broker, with the broker's own name.
 *
 * A name with several addresses is tried at each of them.
 *
 * Threads: two of its own, one for each direction: while one waits the other must go on, since paho
 * does not read while it waits for the log, nor the broker while it waits for us. Functions: any.
 */
struct gate;

struct gate_events {
	/* On a thread of the gate; may block. False: nothing may be sent any more, now or later. */
	bool (*before_sending)(void *context);
	void *context;
};

/* connect_timeout_us: to reach the broker, all addresses of a name together. */
MUST_CHECK bool gate_open(struct gate **out, struct gate_events events, int64_t connect_timeout_us,
	struct error *err);

/* Ends the connection, if there is one. NULL is fine. */
void gate_close(struct gate **gate);

/* For paho's httpProxy (tls = false) and httpsProxy. Borrowed until gate_close(). */
const char *gate_proxy(const struct gate *gate, bool tls);

/* Before each try to connect: forget why the one before failed. */
void gate_begin(struct gate *gate);

/* Why no broker was reached since gate_begin(), each with its address; "" if that was not it. */
enum { GATE_FAULT_BYTES = 400 };
void gate_fault(struct gate *gate, char out[static GATE_FAULT_BYTES]);

/* "host:port" that paho asked for last since gate_begin(); "" if it asked for none. */
enum { GATE_TARGET_BYTES = 264 };
void gate_last_target(struct gate *gate, char out[static GATE_TARGET_BYTES]);

/* Whether there is a connection that passes through it. False while paho is connected: this paho
 * goes its own way, and acknowledges what may be lost. */
bool gate_carries(const struct gate *gate);

#endif
