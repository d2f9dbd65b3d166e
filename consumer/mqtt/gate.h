#ifndef MQTT_GATE_H
#define MQTT_GATE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A gate on the loopback between paho and the broker. It makes sure that a message is acknowledged
 * only once it is on disk, with one sync for many messages.
 *
 * paho sends a PUBACK as soon as it has handed us the message, and cannot be asked to wait, so each
 * message would need its own sync before that. But by the time paho sends any bytes, it has handed
 * us every message that they could acknowledge. So the gate takes what paho has sent, lets
 * before_sending() sync the log, and forwards the bytes; meanwhile paho takes the next messages.
 *
 * In each direction, sends are at least half a millisecond apart, so under load each carries much.
 *
 * The gate knows neither MQTT nor TLS; it moves bytes. paho finds it through its options httpProxy
 * and httpsProxy, which work for tcp:// and ssl:// too: it sends "CONNECT host:port" (RFC 9110,
 * section 9.3.6), with a secret that no other program knows, and then what it would have sent to
 * the broker. TLS stays between paho and the broker, with the broker's own name.
 *
 * If a name has several addresses, each is tried.
 *
 * Threads: two of its own, one per direction, because while one waits the other must continue: paho
 * does not read while it waits for the log, nor does the broker while it waits for us. Functions:
 * any thread.
 */
struct gate;

struct gate_events {
	/* On a gate's thread; may block. False: nothing may be sent, now or later. */
	bool (*before_sending)(void *context);
	void *context;
};

/* connect_timeout_us: to reach the broker, for all addresses of a name together. */
MUST_CHECK bool gate_open(struct gate **out, struct gate_events events, int64_t connect_timeout_us,
	struct error *err);

/* Ends the connection, if there is one. NULL is fine. */
void gate_close(struct gate **gate);

/* For paho's httpProxy (tls = false) and httpsProxy. Borrowed until gate_close(). */
const char *gate_proxy(const struct gate *gate, bool tls);

/* Ends the connection as a broken network would, if there is one; the gate stays open. */
void gate_cut(struct gate *gate);

/* Before each attempt to connect: forget why the previous one failed. */
void gate_begin(struct gate *gate);

/* Which brokers could not be reached since gate_begin(), and why. */
enum { GATE_FAULT_BYTES = 400 };
struct gate_fault {
	char text[GATE_FAULT_BYTES]; /* with each address; "" if that was not the problem */
	bool unknown_host;           /* none of their names exists, says the name server */
	bool reached;                /* another one could be reached */
	size_t hosts;                /* how many were tried: each "host:port" counts once */
};
void gate_fault(struct gate *gate, struct gate_fault *out);

/* The "host:port" that was reached last since gate_begin(), or else that paho last asked for; "" if
 * none. */
enum { GATE_TARGET_BYTES = 264 };
void gate_last_target(struct gate *gate, char out[static GATE_TARGET_BYTES]);

/* Whether it was the broker, or the network, that ended the last connection since gate_begin(), and
 * not paho. */
bool gate_broker_ended(const struct gate *gate);

/* How the first thing begins that the broker sent over that connection: how many bytes of it, 0 if
 * it has sent nothing. */
enum { GATE_BEGINNING_BYTES = 2 };
size_t gate_broker_began(struct gate *gate, uint8_t out[static GATE_BEGINNING_BYTES]);

/* Whether a connection passes through the gate. If false while paho is connected, this paho
 * bypasses it, and acknowledges what may be lost. */
bool gate_carries(const struct gate *gate);

#endif
