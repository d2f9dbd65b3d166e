#ifndef MQTT_MQTT_H
#define MQTT_MQTT_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One connection to the broker, as a subscriber with a persistent session. The only code that knows
 * paho (MQTTAsync of paho.mqtt.c).
 *
 * The contract with paho, read in the source of 1.3.12, proved by tests/integration/test_mqtt.py:
 *
 *   - For a QoS 1 message it calls us first and sends PUBACK after we return, whatever we return.
 *     So a message is acknowledged when on_message() returns, and never before. There is no other
 *     way to acknowledge, or not to: for a message that cannot be kept, on_message() must never
 *     return.
 *   - What it sends passes through a gate (mqtt/gate.h), which calls before_acknowledging() first.
 *     So one sync serves all messages whose acknowledgements were sent meanwhile.
 *   - It calls us with its global mutex held: while on_message() blocks, every other call into
 *     paho blocks too. So the loop calls mqtt_connect() only while there is no connection, and
 *     mqtt_disconnect() does its work on a thread of its own.
 *   - QoS 2 under MQTT 3.1.1 is acknowledged before we are called. So we subscribe with QoS 1 at
 *     most, and the broker hands QoS 2 messages over as QoS 1.
 *   - A client made for MQTT 5 cannot speak 3.1.1: for the fallback a new one is made.
 *   - Its own reconnecting hides whether the broker kept the session: ours does not.
 *
 * Threads: on_message() is called on paho's receive thread, before_acknowledging() on the gate's,
 * on_change() on any. All functions are for the loop.
 */
struct mqtt;

enum mqtt_version { MQTT_VERSION_AUTO, MQTT_VERSION_5, MQTT_VERSION_311 };

/* Text is borrowed and must outlive the client. "" = not set. */
struct mqtt_options {
	char *const *urls; /* mqtt://host:port, mqtts://host:port; tried in turn */
	size_t urls_count;
	const char *client_id;
	const char *user;
	const char *password;
	char *const *filters; /* with $share/<group>/ before, where shared */
	size_t filters_count;
	/* Filters of an earlier run that are no longer wanted, to be unsubscribed. */
	char *const *old_filters;
	size_t old_filters_count;
	int qos;
	int64_t keep_alive_us;
	int64_t session_expiry_us;
	int64_t connect_timeout_us;
	int64_t receive_maximum;
	enum mqtt_version version;
	/* Subscribe to nothing: take the filters back, and all that the broker still queues for our
	 * session (mqtt_status.drained). mqtt_end_session() then ends the session itself. */
	bool drain;
	/* Only to see whether we are let in (mqtt/probe.h): a session that ends with the
	 * connection. What becomes of it is for the prober alone. */
	bool probe;
	const char *tls_ca;
	const char *tls_certificate;
	const char *tls_key;
	const char *tls_key_password;
	const char *tls_crl;
	bool tls_verify;
};

enum mqtt_content { MQTT_CONTENT_UNKNOWN, MQTT_CONTENT_JSON, MQTT_CONTENT_MSGPACK };

/* Valid during on_message() only. */
struct mqtt_message {
	struct slice topic;
	struct slice payload;
	int qos;
	bool dup;
	bool retain;
	uint16_t packet;           /* packet id; 0 with QoS 0, which has none */
	uint32_t session;          /* another number once the broker has begun a new session */
	enum mqtt_content content; /* MQTT 5 content type */
	struct slice trace;        /* W3C trace id in the MQTT 5 correlation data, or "" */
};

struct mqtt_events {
	/* Return once the message is kept; do not call mqtt_ functions. */
	void (*on_message)(void *context, const struct mqtt_message *m);
	/* Something is about to be sent to the broker: return once every message that on_message()
	 * has returned for may be acknowledged. False: none may be, the connection ends. */
	bool (*before_acknowledging)(void *context);
	/* mqtt_status() has something new. */
	void (*on_change)(void *context);
	void *context;
};

/*
 * SUBSCRIBING: there is a connection, and we wait for the answer to our subscription. A broker that
 * kept our session hands over what it has queued before it answers: with the first message we are
 * UP, for messages do come.
 */
enum mqtt_state { MQTT_DOWN, MQTT_CONNECTING, MQTT_SUBSCRIBING, MQTT_UP };

struct mqtt_status {
	enum mqtt_state state;
	bool session_present; /* of the last connection: the broker had kept our session */
	bool subscribed;      /* the broker has answered: every filter is subscribed */
	bool drained;         /* nothing is subscribed, and nothing is queued for us any more */
	bool session_ended;   /* after mqtt_end_session() */
	bool speaks_5;
	uint32_t packet_bytes_max; /* what it takes from a publisher; 0: it did not say */
	/* Why it is down: TRANSIENT, or FATAL if trying again cannot help. Valid if failed. */
	bool failed;
	struct error failure;
	uint64_t connects;     /* successful ones, subscription included */
	int64_t connecting_us; /* monotonic: since when the present state lasts, unless it is UP */
};

MUST_CHECK bool mqtt_new(struct mqtt **out, const struct mqtt_options *options,
	struct mqtt_events events, struct error *err);

/*
 * Another client in its place, by other options, which goes on with the session that the broker
 * keeps. Only when down. Texts of the options before are not needed any more. False with err:
 * nothing is changed.
 */
MUST_CHECK bool mqtt_renew(struct mqtt **mqtt, const struct mqtt_options *options,
	struct error *err);

/* Only when down, or after mqtt_disconnect() has come to its end. */
void mqtt_free(struct mqtt **mqtt);

/* Begin to connect; on_change() tells when there is an outcome. Only when down. */
void mqtt_connect(struct mqtt *m);

/*
 * Begin to end the connection; the broker keeps the session. on_change() tells when it is down.
 * If on_message() never returns, it never is.
 */
void mqtt_disconnect(struct mqtt *m);

/* Begin to connect once more, for no other purpose than that the broker forgets our session:
 * session_ended says that it has. Only when down. */
void mqtt_end_session(struct mqtt *m);

void mqtt_status(struct mqtt *m, struct mqtt_status *out);

#endif
