#include "mqtt/publish.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "mqtt/address.h"
#include "mqtt/answers.h"
#include "mqtt/paho.h"
#include "mqtt/probe.h"
#include "mqtt/properties.h"
#include "mqtt/publish_window.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	/* Brokers accept 65,535 in flight unless they say otherwise; paho takes care of that. */
	PUBLISH_IN_FLIGHT_MAX = PUBLISH_WINDOW_MAX,
	PUBLISH_ATTEMPTS = 16 * PUBLISH_WINDOW_MAX,
	PUBLISH_DISCONNECT_MS = 2000,
};

/* How long the broker may stay without acknowledging anything. */
static const int64_t PUBLISH_PATIENCE_US = 60 * US_PER_SECOND;
static const int64_t PUBLISH_LOOK_US = 200 * US_PER_MS; /* how often to check for a stop */
static const int64_t PUBLISH_RETRY_US = 100 * US_PER_MS, PUBLISH_RETRY_MAX_US = 5 * US_PER_SECOND;

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
	struct publish_window window;
	struct publish_attempt attempts[PUBLISH_ATTEMPTS];
};

/* ---- paho's callbacks ---- */

/* why: TRANSIENT if a new connection may help. code: of an answer, or paho's. */
static void publish_fail(struct mqtt_publisher *p, int code, const struct error *why)
{
	pthread_mutex_lock(&p->lock);
	if (!p->dropping) {
		if (!p->failed)
			p->failure = *why;
		if (!p->failed && !p->connected && code < 0) /* paho's own: nobody answered */
			error_hint(&p->failure, "%s", mqtt_hint_no_answer);
		p->failed = true;
		p->refused_version = !p->connected && answer_refuses_version(code);
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

static void publish_refused(struct mqtt_publisher *p, int code, const char *message)
{
	struct error err;

	error_set(&err, ERROR_TRANSIENT, REASON_broker, "could not connect to the broker: %s",
		answer_to_connect_text(p->version == MQTTVERSION_5, code, message));
	publish_fail(p, code, &err);
}

static void publish_on_refused5(void *context, MQTTAsync_failureData5 *data)
{
	publish_refused(context, answer_to_connect(data), data->message);
}

static void publish_on_refused(void *context, MQTTAsync_failureData *data)
{
	publish_refused(context, data->code, data->message);
}

static void publish_on_lost(void *context, char *cause)
{
	struct error err;

	error_set(&err, ERROR_TRANSIENT, REASON_broker, "the connection to the broker broke: %s",
		cause != NULL ? cause : "closed");
	publish_fail(context, 0, &err);
}

static void publish_acknowledged(const struct publish_attempt *attempt)
{
	struct mqtt_publisher *p = attempt->publisher;

	pthread_mutex_lock(&p->lock);
	if (!p->dropping && publish_window_acknowledge(&p->window, attempt->number))
		pthread_cond_broadcast(&p->changed);
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

/* The connection broke before the broker answered, or paho does not accept the message. */
static void publish_unsent(struct mqtt_publisher *p, int code, const char *why)
{
	struct error err;

	error_set(&err, ERROR_TRANSIENT, REASON_broker, "could not publish a message: %s", why);
	publish_fail(p, code, &err);
}

static void publish_on_unsent5(void *context, MQTTAsync_failureData5 *data)
{
	const struct publish_attempt *attempt = context;
	struct error err;

	if (!answer_is_refusal(data)) {
		publish_unsent(attempt->publisher, data->code, answer_why(data));
		return;
	}
	error_set(&err, ERROR_FATAL, REASON_broker, "the broker refused a message: %s",
		answer_why(data));
	publish_fail(attempt->publisher, data->code, &err);
}

static void publish_on_unsent(void *context, MQTTAsync_failureData *data)
{
	const struct publish_attempt *attempt = context;

	publish_unsent(attempt->publisher, data->code, answer_why_311(data));
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
	uint64_t seen = p->window.acknowledged;

	while (!p->failed && !done(p)) {
		int64_t look_us = clock_mono_us() + PUBLISH_LOOK_US;
		struct timespec look = {look_us / US_PER_SECOND, look_us % US_PER_SECOND * 1000};

		if (publish_is_stopped(p, err))
			return false;
		if (p->window.acknowledged != seen) {
			seen = p->window.acknowledged;
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
	return publish_window_has_room(&p->window);
}

static bool publish_is_done(const struct mqtt_publisher *p)
{
	return publish_window_is_empty(&p->window);
}

static int publish_start(struct mqtt_publisher *p)
{
	MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions *c = p->version == MQTTVERSION_5 ? &v5 : &v3;
	MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

	paho_connect_options(p->options, p->version, c, &tls);
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

/* paho says little about why it failed; the code that `run` connects with finds out. Should the
 * broker accept that attempt, it is asked for a topic that nobody publishes to. */
static void publish_explain(const struct mqtt_options *options, struct error *err)
{
	/* A probe that is late may go on using it. */
	static char *filters[1];
	struct mqtt_options own = *options;
	struct mqtt_probe_result result;
	struct error why;

	filters[0] = (char *)(uintptr_t)options->client_id;
	own.filters = filters;
	own.filters_count = 1;
	own.old_filters_count = 0;
	if (!mqtt_probe(&own, &result, &why) && !result.connected && why.kind != ERROR_FATAL)
		*err = why;
}

bool mqtt_publisher_open(struct mqtt_publisher **out, const struct mqtt_options *options,
	const volatile sig_atomic_t *stop, struct error *err)
{
	struct mqtt_publisher *p = calloc(1, sizeof(*p));
	pthread_condattr_t monotonic;
	bool ok;

	if (p == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	paho_prepare();
	p->options = options;
	p->stop = stop;
	backoff_init(&p->backoff, PUBLISH_RETRY_US, PUBLISH_RETRY_MAX_US,
		(uint64_t)clock_mono_us());
	p->version = paho_version(options->version);
	p->uri = address_for_paho(options->urls[0]);
	ok = p->uri != NULL ? publish_connect(p, err)
			    : error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	if (!ok && p->refused_version && options->version == MQTT_VERSION_AUTO) {
		publish_drop(p, true);
		p->version = MQTTVERSION_3_1_1;
		ok = publish_connect(p, err);
	}
	if (ok) {
		*out = p;
		return true;
	}
	mqtt_publisher_close(&p);
	if (err->kind == ERROR_TRANSIENT && !err->slow && (stop == NULL || *stop == 0))
		publish_explain(options, err);
	return false;
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
	publish_window_fini(&p->window);
	free(p->uri);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- publishing ---- */

static int publish_to_paho(struct publish_attempt *attempt)
{
	MQTTAsync_message message = MQTTAsync_message_initializer;
	MQTTAsync_callOptions call = MQTTAsync_callOptions_initializer;
	struct mqtt_publisher *p = attempt->publisher;
	const struct mqtt_message *m = &publish_window_slot(&p->window, attempt->number)->message;
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
	if (p->version != MQTTVERSION_5 || properties_write(&message.properties, m))
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
		publish_unsent(p, code, MQTTAsync_strerror(code));
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
	for (uint64_t i = settled; i < p->window.sent; i++) {
		/* Cannot change before we have sent it. */
		if (publish_window_slot(&p->window, i)->acknowledged)
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
				p->window.sent - now.acknowledged);
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

bool mqtt_publisher_send(struct mqtt_publisher *p, const struct mqtt_message *m, struct error *err)
{
	bool ok;

	if (!publish_until(p, publish_has_room, err))
		return false;
	pthread_mutex_lock(&p->lock);
	ok = publish_window_add(&p->window, m, err);
	pthread_mutex_unlock(&p->lock);
	if (ok)
		publish_hand_over(p, p->window.sent - 1);
	return ok;
}

bool mqtt_publisher_flush(struct mqtt_publisher *p, struct error *err)
{
	return publish_until(p, publish_is_done, err);
}

void mqtt_publisher_progress(struct mqtt_publisher *p, struct mqtt_publisher_progress *out)
{
	pthread_mutex_lock(&p->lock);
	*out = (struct mqtt_publisher_progress){p->window.acknowledged, p->window.settled,
		p->resent};
	pthread_mutex_unlock(&p->lock);
}
