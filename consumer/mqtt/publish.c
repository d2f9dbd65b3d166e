#include "mqtt/publish.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "mqtt/mqtt_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	/* Brokers accept 65,535 in flight unless they say otherwise; paho takes care of that. */
	PUBLISH_IN_FLIGHT_MAX = 500,
	PUBLISH_ATTEMPTS = 16 * PUBLISH_IN_FLIGHT_MAX,
	PUBLISH_IN_FLIGHT_BYTES = 32 << 20, /* above that, one at a time */
	PUBLISH_KEEP_BYTES = 64 * 1024,     /* memory that a free slot keeps */
	PUBLISH_DISCONNECT_MS = 2000,
	PUBLISH_SPAN_BYTES = 16,
	PUBLISH_CORRELATION_BYTES = 96,
	REFUSED_VERSION_5 = 0x84, /* OASIS MQTT 5.0, section 3.2.2.2 */
	REFUSED_VERSION_311 = 1,
};

/* How long the broker may stay without acknowledging anything. */
static const int64_t PUBLISH_PATIENCE_US = 60 * US_PER_SECOND;
static const int64_t PUBLISH_LOOK_US = 200 * US_PER_MS; /* how often to check for a stop */
static const int64_t PUBLISH_RETRY_US = 100 * US_PER_MS, PUBLISH_RETRY_MAX_US = 5 * US_PER_SECOND;

/*
 * A message until the broker has it. bytes holds what message borrows; the topic is terminated. It
 * is kept as a message, and not as a packet as in the simulator's window, because paho makes the
 * packets.
 */
struct publish_slot {
	struct mqtt_message message;
	uint8_t *bytes;
	size_t room, size;
	bool acknowledged;
};

/*
 * A message handed to paho. When a connection breaks, paho sends what it had queued over the next
 * one, beside the copies that we send again: the answer to one copy may come when the other has
 * been answered and its slot holds another message. Attempts are reused much later than slots.
 */
struct publish_attempt {
	struct mqtt_publisher *publisher;
	uint64_t number;
};

struct mqtt_publisher {
	const struct mqtt_options *options;
	const volatile sig_atomic_t *stop;
	MQTTAsync client;
	char *uri;
	int version;
	struct backoff backoff;
	uint64_t settled_before; /* at the last connect */
	uint64_t resent;

	pthread_mutex_t lock; /* for the fields below */
	pthread_cond_t changed;
	bool connected;
	bool refused_version;
	bool dropping; /* paho's callbacks now concern messages that will be sent again */
	bool failed;
	struct error failure;
	/* Messages are numbered from 0; those from settled on are in slots, by number. */
	uint64_t sent, settled, acknowledged;
	size_t bytes;
	struct publish_slot slots[PUBLISH_IN_FLIGHT_MAX];
	struct publish_attempt attempts[PUBLISH_ATTEMPTS];
};

/* ---- paho's callbacks ---- */

/* kind: TRANSIENT if a new connection may help. */
static void publish_fail(struct mqtt_publisher *p, enum error_kind kind, int code, const char *what,
	const char *why)
{
	pthread_mutex_lock(&p->lock);
	if (!p->dropping) {
		if (!p->failed)
			error_set(&p->failure, kind, REASON_broker, "%s: %s", what,
				why != NULL ? why : MQTTAsync_strerror(code));
		if (!p->failed && !p->connected && code < 0) /* paho's own: nobody answered */
			error_hint(&p->failure, "%s", mqtt_hint_no_answer);
		p->failed = true;
		p->refused_version =
			!p->connected && (code == REFUSED_VERSION_5 || code == REFUSED_VERSION_311);
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
}

static void publish_connected(struct mqtt_publisher *p)
{
	pthread_mutex_lock(&p->lock);
	p->connected = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void publish_on_connect5(void *context, MQTTAsync_successData5 *data)
{
	(void)data;
	publish_connected(context);
}

static void publish_on_connect(void *context, MQTTAsync_successData *data)
{
	(void)data;
	publish_connected(context);
}

static void publish_on_refused5(void *context, MQTTAsync_failureData5 *data)
{
	int code = (int)data->reasonCode;

	if (code >= REASON_FAILURE)
		publish_fail(context, ERROR_TRANSIENT, code, "could not connect to the broker",
			mqtt_reason_text((int)data->reasonCode));
	else
		publish_fail(context, ERROR_TRANSIENT, data->code,
			"could not connect to the broker", data->message);
}

static void publish_on_refused(void *context, MQTTAsync_failureData *data)
{
	publish_fail(context, ERROR_TRANSIENT, data->code, "could not connect to the broker",
		data->message);
}

static void publish_on_lost(void *context, char *cause)
{
	publish_fail(context, ERROR_TRANSIENT, 0, "the connection to the broker broke",
		cause != NULL ? cause : "closed");
}

/* Under the lock. */
static void publish_settle(struct mqtt_publisher *p)
{
	while (p->settled < p->sent) {
		struct publish_slot *slot = &p->slots[p->settled % PUBLISH_IN_FLIGHT_MAX];

		if (!slot->acknowledged)
			break;
		p->settled++;
		p->bytes -= slot->size;
		if (slot->room > PUBLISH_KEEP_BYTES) {
			free(slot->bytes);
			slot->bytes = NULL;
			slot->room = 0;
		}
	}
}

static void publish_acknowledged(const struct publish_attempt *attempt)
{
	struct mqtt_publisher *p = attempt->publisher;
	struct publish_slot *slot = &p->slots[attempt->number % PUBLISH_IN_FLIGHT_MAX];

	pthread_mutex_lock(&p->lock);
	if (!p->dropping && attempt->number >= p->settled && !slot->acknowledged) {
		slot->acknowledged = true;
		p->acknowledged++;
		publish_settle(p);
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
}

static void publish_on_sent5(void *context, MQTTAsync_successData5 *data)
{
	(void)data;
	publish_acknowledged(context);
}

static void publish_on_sent(void *context, MQTTAsync_successData *data)
{
	(void)data;
	publish_acknowledged(context);
}

/* The broker refused, or the connection broke before it answered. */
static void publish_on_unsent5(void *context, MQTTAsync_failureData5 *data)
{
	const struct publish_attempt *attempt = context;

	if ((int)data->reasonCode >= REASON_FAILURE)
		publish_fail(attempt->publisher, ERROR_FATAL, data->code,
			"the broker refused a message", mqtt_reason_text((int)data->reasonCode));
	else
		publish_fail(attempt->publisher, ERROR_TRANSIENT, data->code,
			"could not publish a message", data->message);
}

static void publish_on_unsent(void *context, MQTTAsync_failureData *data)
{
	const struct publish_attempt *attempt = context;

	publish_fail(attempt->publisher, ERROR_TRANSIENT, data->code, "could not publish a message",
		data->message);
}

static int publish_on_message(void *context, char *topic, int size, MQTTAsync_message *message)
{
	(void)context;
	(void)size;
	MQTTAsync_freeMessage(&message); /* we subscribe to nothing */
	MQTTAsync_free(topic);
	return 1;
}

/* ---- connecting ---- */

static bool publish_is_stopped(const struct mqtt_publisher *p, struct error *err)
{
	return p->stop != NULL && *p->stop != 0 &&
	       !error_set(err, ERROR_STOPPED, REASON_stopped, "stopped by signal %d",
		       (int)*p->stop);
}

/* Under the lock: wait until done, a failure, a signal, or the broker has been silent for too
 * long. */
static bool publish_wait(struct mqtt_publisher *p, bool (*done)(const struct mqtt_publisher *p),
	struct error *err)
{
	int64_t until_us = clock_mono_us() + PUBLISH_PATIENCE_US;
	uint64_t seen = p->acknowledged;

	while (!p->failed && !done(p)) {
		int64_t look_us = clock_wall_us() + PUBLISH_LOOK_US;
		struct timespec look = {look_us / US_PER_SECOND, look_us % US_PER_SECOND * 1000};

		if (publish_is_stopped(p, err))
			return false;
		if (p->acknowledged != seen) {
			seen = p->acknowledged;
			until_us = clock_mono_us() + PUBLISH_PATIENCE_US;
		}
		if (clock_mono_us() >= until_us)
			return error_set(err, ERROR_TRANSIENT, REASON_broker,
				"the broker has not answered for a minute");
		(void)pthread_cond_timedwait(&p->changed, &p->lock, &look);
	}
	if (p->failed)
		*err = p->failure;
	return !p->failed;
}

static bool publish_is_connected(const struct mqtt_publisher *p)
{
	return p->connected;
}

static bool publish_has_room(const struct mqtt_publisher *p)
{
	return p->sent == p->settled ||
	       (p->sent - p->settled < PUBLISH_IN_FLIGHT_MAX && p->bytes < PUBLISH_IN_FLIGHT_BYTES);
}

static bool publish_is_done(const struct mqtt_publisher *p)
{
	return p->sent == p->settled;
}

static int publish_start(struct mqtt_publisher *p)
{
	MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions *c = p->version == MQTTVERSION_5 ? &v5 : &v3;
	MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

	mqtt_connect_options(p->options, p->version, c, &tls);
	c->maxInflight = PUBLISH_IN_FLIGHT_MAX;
	c->context = p;
	if (p->version == MQTTVERSION_5) {
		c->cleanstart = 1;
		c->onSuccess5 = publish_on_connect5;
		c->onFailure5 = publish_on_refused5;
	} else {
		c->cleansession = 1;
		c->onSuccess = publish_on_connect;
		c->onFailure = publish_on_refused;
	}
	return MQTTAsync_connect(p->client, c);
}

static int publish_make_client(struct mqtt_publisher *p)
{
	MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
	int code;

	create.MQTTVersion = p->version;
	create.maxBufferedMessages = PUBLISH_IN_FLIGHT_MAX; /* the default is 100 */
	code = MQTTAsync_createWithOptions(&p->client, p->uri, p->options->client_id,
		MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
	if (code == MQTTASYNC_SUCCESS)
		code = MQTTAsync_setCallbacks(p->client, p, publish_on_lost, publish_on_message,
			NULL);
	return code;
}

/* paho's further callbacks about the messages in flight are ignored. The client is reused if
 * possible: destroying one with messages in flight leaks them (1.3.12). */
static void publish_drop(struct mqtt_publisher *p, bool for_good)
{
	pthread_mutex_lock(&p->lock);
	p->dropping = true;
	pthread_mutex_unlock(&p->lock);
	if (for_good || MQTTAsync_isConnected(p->client))
		MQTTAsync_destroy(&p->client);
	pthread_mutex_lock(&p->lock);
	p->dropping = p->failed = p->refused_version = p->connected = false;
	pthread_mutex_unlock(&p->lock);
}

static bool publish_connect(struct mqtt_publisher *p, struct error *err)
{
	int code = p->client == NULL ? publish_make_client(p) : MQTTASYNC_SUCCESS;
	bool ok;

	if (code == MQTTASYNC_SUCCESS)
		code = publish_start(p);
	if (code != MQTTASYNC_SUCCESS)
		return error_set(err, ERROR_FATAL, REASON_mqtt, "could not connect to \"%s\": %s",
			p->options->urls[0], MQTTAsync_strerror(code));
	pthread_mutex_lock(&p->lock);
	ok = publish_wait(p, publish_is_connected, err);
	pthread_mutex_unlock(&p->lock);
	return ok;
}

bool mqtt_publisher_open(struct mqtt_publisher **out, const struct mqtt_options *options,
	const volatile sig_atomic_t *stop, struct error *err)
{
	struct mqtt_publisher *p = calloc(1, sizeof(*p));
	bool ok;

	if (p == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	mqtt_ignore_proxies();
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
	p->options = options;
	p->stop = stop;
	backoff_init(&p->backoff, PUBLISH_RETRY_US, PUBLISH_RETRY_MAX_US,
		(uint64_t)clock_mono_us());
	p->version = options->version == MQTT_VERSION_311 ? MQTTVERSION_3_1_1 : MQTTVERSION_5;
	p->uri = mqtt_uri(options->urls[0]);
	ok = p->uri != NULL ? publish_connect(p, err)
			    : error_set(err, ERROR_FATAL, REASON_bad_setting,
				      "\"%s\" is not an address of a broker", options->urls[0]);
	if (!ok && p->refused_version && options->version == MQTT_VERSION_AUTO) {
		publish_drop(p, true);
		p->version = MQTTVERSION_3_1_1;
		ok = publish_connect(p, err);
	}
	if (ok)
		*out = p;
	else
		mqtt_publisher_close(&p);
	return ok;
}

void mqtt_publisher_close(struct mqtt_publisher **publisher)
{
	MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
	struct mqtt_publisher *p = *publisher;

	*publisher = NULL;
	if (p == NULL)
		return;
	if (p->client != NULL) {
		options.timeout = PUBLISH_DISCONNECT_MS;
		if (p->connected)
			(void)MQTTAsync_disconnect(p->client, &options);
		MQTTAsync_destroy(&p->client);
	}
	for (size_t i = 0; i < PUBLISH_IN_FLIGHT_MAX; i++)
		free(p->slots[i].bytes);
	free(p->uri);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- publishing ---- */

static bool publish_add(MQTTProperties *properties, enum MQTTPropertyCodes code, const char *text)
{
	union {
		const char *text;
		char *data;
	} borrowed = {text}; /* paho copies it */
	MQTTProperty p = {.identifier = code};

	p.value.data.data = borrowed.data;
	p.value.data.len = (int)strlen(text);
	return MQTTProperties_add(properties, &p) == 0;
}

/* In MaEVE's format; if only the trace id is known, the span gets an id made from it. */
static bool publish_properties(const struct mqtt_message *m, MQTTProperties *properties)
{
	static const char *const types[] = {
		[MQTT_CONTENT_UNKNOWN] = NULL,
		[MQTT_CONTENT_JSON] = "application/json",
		[MQTT_CONTENT_MSGPACK] = "application/msgpack",
	};
	char correlation[PUBLISH_CORRELATION_BYTES];
	bool ok = true;

	if (types[m->content] != NULL)
		ok = publish_add(properties, MQTTPROPERTY_CODE_CONTENT_TYPE, types[m->content]);
	if (!ok || m->trace.size < PUBLISH_SPAN_BYTES)
		return ok;
	snprintf(correlation, sizeof(correlation), "{\"traceparent\":\"00-%.*s-%.*s-01\"}",
		SLICE_ARG(m->trace), PUBLISH_SPAN_BYTES, (const char *)m->trace.data);
	return publish_add(properties, MQTTPROPERTY_CODE_CORRELATION_DATA, correlation);
}

static int publish_to_paho(struct publish_attempt *attempt)
{
	MQTTAsync_message message = MQTTAsync_message_initializer;
	MQTTAsync_callOptions call = MQTTAsync_callOptions_initializer;
	struct mqtt_publisher *p = attempt->publisher;
	const struct mqtt_message *m = &p->slots[attempt->number % PUBLISH_IN_FLIGHT_MAX].message;
	union {
		const uint8_t *bytes;
		void *payload;
	} borrowed = {m->payload.data}; /* paho copies it */
	int code = MQTTASYNC_FAILURE;

	message.payload = borrowed.payload;
	message.payloadlen = (int)m->payload.size;
	message.qos = m->qos;
	call.context = attempt;
	if (p->version == MQTTVERSION_5) {
		call.onSuccess5 = publish_on_sent5;
		call.onFailure5 = publish_on_unsent5;
	} else {
		call.onSuccess = publish_on_sent;
		call.onFailure = publish_on_unsent;
	}
	if (p->version != MQTTVERSION_5 || publish_properties(m, &message.properties))
		code = MQTTAsync_sendMessage(p->client, (const char *)m->topic.data, &message,
			&call);
	MQTTProperties_free(&message.properties);
	return code;
}

/* If paho does not accept it, the connection is useless. */
static void publish_hand_over(struct mqtt_publisher *p, uint64_t number)
{
	struct publish_attempt *attempt = &p->attempts[number % PUBLISH_ATTEMPTS];
	int code;

	*attempt = (struct publish_attempt){p, number};
	code = publish_to_paho(attempt);
	if (code != MQTTASYNC_SUCCESS)
		publish_fail(p, ERROR_TRANSIENT, code, "could not publish", NULL);
}

/* ---- reconnecting ---- */

static bool publish_pause(struct mqtt_publisher *p, int64_t us, struct error *err)
{
	int64_t until_us = clock_mono_us() + us;

	for (int64_t left_us; (left_us = until_us - clock_mono_us()) > 0;) {
		int64_t step_us = left_us < PUBLISH_LOOK_US ? left_us : PUBLISH_LOOK_US;
		struct timespec step = {0, step_us * 1000};

		if (publish_is_stopped(p, err))
			return false;
		(void)nanosleep(&step, NULL);
	}
	return true;
}

/* Send again what the broker has not acknowledged; it may have some of it. */
static void publish_resend(struct mqtt_publisher *p, uint64_t settled)
{
	for (uint64_t i = settled; i < p->sent; i++) {
		/* Cannot change before we have sent it. */
		if (p->slots[i % PUBLISH_IN_FLIGHT_MAX].acknowledged)
			continue;
		p->resent++;
		publish_hand_over(p, i);
	}
}

/* A new connection, however long it takes. */
static bool publish_again(struct mqtt_publisher *p, struct error *err)
{
	struct mqtt_publisher_progress now;

	log_warn("broker_lost", err->message, "%s", "");
	do {
		mqtt_publisher_progress(p, &now);
		if (now.settled > p->settled_before)
			backoff_reset(&p->backoff);
		p->settled_before = now.settled;
		if (!publish_pause(p, backoff_next_us(&p->backoff), err))
			return false;
		publish_drop(p, false);
		if (publish_connect(p, err)) {
			mqtt_publisher_progress(p, &now);
			log_info("broker_connected", "", "resending=%" PRIu64,
				p->sent - now.acknowledged);
			publish_resend(p, now.settled);
			return true;
		}
	} while (err->kind == ERROR_TRANSIENT);
	return false;
}

static bool publish_until(struct mqtt_publisher *p, bool (*done)(const struct mqtt_publisher *p),
	struct error *err)
{
	for (;;) {
		bool ok;

		pthread_mutex_lock(&p->lock);
		ok = publish_wait(p, done, err);
		pthread_mutex_unlock(&p->lock);
		if (ok)
			return true;
		if (err->kind != ERROR_TRANSIENT || !publish_again(p, err))
			return false;
	}
}

/* ---- the interface ---- */

static bool publish_keep(struct publish_slot *slot, const struct mqtt_message *m, struct error *err)
{
	size_t size = m->topic.size + 1 + m->trace.size + m->payload.size;
	uint8_t *at;

	if (size > slot->room) {
		at = realloc(slot->bytes, size);
		if (at == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		slot->bytes = at;
		slot->room = size;
	}
	slot->size = size;
	slot->acknowledged = false;
	slot->message = *m;
	at = slot->bytes;
	memcpy(at, m->topic.data, m->topic.size);
	at[m->topic.size] = '\0';
	slot->message.topic = slice_of(at, m->topic.size);
	at += m->topic.size + 1;
	if (m->trace.size > 0)
		memcpy(at, m->trace.data, m->trace.size);
	slot->message.trace = slice_of(at, m->trace.size);
	at += m->trace.size;
	if (m->payload.size > 0)
		memcpy(at, m->payload.data, m->payload.size);
	slot->message.payload = slice_of(at, m->payload.size);
	return true;
}

bool mqtt_publisher_send(struct mqtt_publisher *p, const struct mqtt_message *m, struct error *err)
{
	struct publish_slot *slot = &p->slots[p->sent % PUBLISH_IN_FLIGHT_MAX];

	if (!publish_until(p, publish_has_room, err) || !publish_keep(slot, m, err))
		return false;
	pthread_mutex_lock(&p->lock);
	p->sent++;
	p->bytes += slot->size;
	pthread_mutex_unlock(&p->lock);
	publish_hand_over(p, p->sent - 1);
	return true;
}

bool mqtt_publisher_flush(struct mqtt_publisher *p, struct error *err)
{
	return publish_until(p, publish_is_done, err);
}

void mqtt_publisher_progress(struct mqtt_publisher *p, struct mqtt_publisher_progress *out)
{
	pthread_mutex_lock(&p->lock);
	*out = (struct mqtt_publisher_progress){p->acknowledged, p->settled, p->resent};
	pthread_mutex_unlock(&p->lock);
}
