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
 * The contract with paho, taken from the source of 1.3.12 and proved by
 * tests/integration/test_mqtt.py:
 *
 *   - For a QoS 1 message it calls us first and sends PUBACK after we return, whatever we return.
 *     So a message is acknowledged when on_message() returns, and never before. There is no other
 *     way to acknowledge or to refuse: for a message that cannot be kept, on_message() must never
 *     return.
 *   - What it sends passes through a gate (mqtt/gate.h), which calls before_acknowledging() first.
 *     So one sync serves all messages whose acknowledgements are sent together.
 *   - It calls us with its global mutex held: while on_message() blocks, every other call into
 *     paho blocks too. So the loop calls mqtt_connect() only while there is no connection, and
 *     mqtt_disconnect() does its work on a thread of its own.
 *   - QoS 2 under MQTT 3.1.1 is acknowledged before we are called. So we subscribe with QoS 1 at
 *     most, and the broker delivers QoS 2 messages as QoS 1.
 *   - A client made for MQTT 5 cannot speak 3.1.1: the fallback needs a new one.
 *   - Its own reconnecting hides whether the broker kept the session: ours does not.
 *
 * Threads: on_message() is called on paho's receive thread, before_acknowledging() on the gate's,
 * on_change() on any. All functions are for the loop.
 */
struct mqtt;

/* What to do if no broker answers and nothing more is known. */
extern const char mqtt_hint_no_answer[];

enum mqtt_version { MQTT_VERSION_AUTO, MQTT_VERSION_5, MQTT_VERSION_311 };

/* Text is borrowed and must outlive the client. "" = not set. */
struct mqtt_options {
	char *const *urls; /* mqtt://host:port, mqtts://host:port; tried in turn */
	size_t urls_count;
	const char *client_id;
	const char *user;
	const char *password;
	char *const *filters; /* prefixed with $share/<group>/ if shared */
	size_t filters_count;
	/* Filters of an earlier run that are no longer wanted: unsubscribed. */
	char *const *old_filters;
	size_t old_filters_count;
	int qos;
	int64_t keep_alive_us;
	int64_t session_expiry_us;
	int64_t connect_timeout_us;
	int64_t receive_maximum;
	enum mqtt_version version;
	/*
	 * Subscribe to nothing: unsubscribe the filters, and take everything that the broker still
	 * queues for our session (mqtt_status.drained). mqtt_end_session() then ends the session
	 * itself.
	 */
	bool drain;
	/* Only find out whether the broker accepts us (mqtt/probe.h), in a session that ends with
	 * the connection. The outcome is for the prober alone. */
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
	uint16_t packet;           /* packet id; 0 for QoS 0, which has none */
	uint32_t session;          /* changes when the broker begins a new session */
	enum mqtt_content content; /* MQTT 5 content type */
	struct slice trace;        /* W3C trace id in the MQTT 5 correlation data, or "" */
};

struct mqtt_events {
	/* Return once the message is safe; do not call mqtt_ functions. */
	void (*on_message)(void *context, const struct mqtt_message *m);
	/*
	 * Something is about to be sent to the broker: return once every message for which
	 * on_message() has returned may be acknowledged. False: none may be, and the connection
	 * ends.
	 */
	bool (*before_acknowledging)(void *context);
	/* mqtt_status() has changed. */
	void (*on_change)(void *context);
	void *context;
};

/* SUBSCRIBING: connected, and waiting for the answer to our subscription. A broker that kept our
 * session delivers what it has queued before it answers, so the first message also means UP. */
enum mqtt_state { MQTT_DOWN, MQTT_CONNECTING, MQTT_SUBSCRIBING, MQTT_UP };

struct mqtt_status {
	enum mqtt_state state;
	bool session_present; /* for the last connection: the broker had kept our session */
	bool subscribed;      /* the broker has answered: every filter is subscribed */
	bool drained;         /* nothing is subscribed and nothing is queued for us */
	bool session_ended;   /* after mqtt_end_session() */
	bool speaks_5;
	uint32_t packet_bytes_max; /* the largest it accepts from a publisher; 0: unknown */
	/* Why it is down: TRANSIENT, or FATAL if retrying cannot help. Valid if failed. */
	bool failed;
	struct error failure;
	uint64_t connects;     /* successful ones, including the subscription */
	int64_t connecting_us; /* monotonic: when the current state began, unless it is UP */
};

MUST_CHECK bool mqtt_new(struct mqtt **out, const struct mqtt_options *options,
	struct mqtt_events events, struct error *err);

/*
 * Replace the client by one with other options, which continues the session that the broker keeps.
 * Only when down. Texts of the previous options are no longer needed. False with err: nothing is
 * changed.
 */
MUST_CHECK bool mqtt_renew(struct mqtt **mqtt, const struct mqtt_options *options,
	struct error *err);

/* Only when down, or after mqtt_disconnect() has finished. */
void mqtt_free(struct mqtt **mqtt);

/* Begin to connect; on_change() reports the outcome. Only when down. */
void mqtt_connect(struct mqtt *m);

/* Begin to disconnect; the broker keeps the session. on_change() reports when it is down. If
 * on_message() never returns, that never happens. */
void mqtt_disconnect(struct mqtt *m);

/* Begin to connect, only to find out whether the broker has a session of ours: session_present says
 * so once it is down, and there is one from then on. What is queued in it is delivered, unless
 * before_acknowledging() keeps it from being acknowledged. Only when down. */
void mqtt_ask_for_session(struct mqtt *m);

/* Begin to connect once more, only to make the broker forget our session: session_ended says when
 * it has. Only when down. */
void mqtt_end_session(struct mqtt *m);

void mqtt_status(struct mqtt *m, struct mqtt_status *out);

#endif
