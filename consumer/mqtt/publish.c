#include "mqtt/publish.h"

#include "base/clock.h"
#include "mqtt/mqtt_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	/* Brokers take at least 65,535 at once unless they say otherwise; paho sees to that. */
	PUBLISH_IN_FLIGHT_MAX = 500,
	PUBLISH_DISCONNECT_MS = 2000,
	PUBLISH_SPAN_BYTES = 16,
	PUBLISH_CORRELATION_BYTES = 96,
	REFUSED_VERSION_5 = 0x84, /* OASIS MQTT 5.0, section 3.2.2.2 */
	REFUSED_VERSION_311 = 1,
};

/* How long the broker may take to acknowledge anything. */
static const int64_t PUBLISH_PATIENCE_US = 60 * US_PER_SECOND;

struct mqtt_publisher {
	MQTTAsync client;
	char *uri;
	int version;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool connected;
	bool refused_version;
	bool failed;
	struct error failure;
	uint64_t sent, acknowledged;
};

/* ---- what paho says ---- */

static void publish_fail(struct mqtt_publisher *p, int code, const char *what, const char *why)
{
	pthread_mutex_lock(&p->lock);
	if (!p->failed)
		error_set(&p->failure, ERROR_TRANSIENT, "broker", "%s: %s", what,
			why != NULL ? why : MQTTAsync_strerror(code));
	p->failed = true;
	p->refused_version =
		!p->connected && (code == REFUSED_VERSION_5 || code == REFUSED_VERSION_311);
	pthread_cond_broadcast(&p->changed);
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
		publish_fail(context, code, "could not connect to the broker",
			MQTTReasonCode_toString(data->reasonCode));
	else
		publish_fail(context, data->code, "could not connect to the broker", data->message);
}

static void publish_on_refused(void *context, MQTTAsync_failureData *data)
{
	publish_fail(context, data->code, "could not connect to the broker", data->message);
}

static void publish_on_lost(void *context, char *cause)
{
	publish_fail(context, 0, "the connection to the broker broke",
		cause != NULL ? cause : "closed");
}

static void publish_acknowledged(struct mqtt_publisher *p)
{
	pthread_mutex_lock(&p->lock);
	p->acknowledged++;
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

static void publish_on_unsent5(void *context, MQTTAsync_failureData5 *data)
{
	publish_fail(context, data->code, "the broker refused a message",
		(int)data->reasonCode >= REASON_FAILURE ? MQTTReasonCode_toString(data->reasonCode)
							: data->message);
}

static void publish_on_unsent(void *context, MQTTAsync_failureData *data)
{
	publish_fail(context, data->code, "the broker refused a message", data->message);
}

static int publish_on_message(void *context, char *topic, int size, MQTTAsync_message *message)
{
	(void)context;
	(void)size;
	MQTTAsync_freeMessage(&message); /* nothing is subscribed to */
	MQTTAsync_free(topic);
	return 1;
}

/* ---- connecting ---- */

/* Under the lock: until *what, a failure, or the broker has said nothing for too long. */
static bool publish_wait(struct mqtt_publisher *p, bool (*done)(const struct mqtt_publisher *p),
	struct error *err)
{
	uint64_t seen = p->acknowledged;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PUBLISH_PATIENCE_US / US_PER_SECOND;
	while (!p->failed && !done(p)) {
		if (p->acknowledged != seen) {
			seen = p->acknowledged;
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += PUBLISH_PATIENCE_US / US_PER_SECOND;
		}
		if (pthread_cond_timedwait(&p->changed, &p->lock, &until) == ETIMEDOUT)
			return error_set(err, ERROR_TRANSIENT, "broker",
				"the broker has not answered for a minute");
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
	return p->sent - p->acknowledged < PUBLISH_IN_FLIGHT_MAX;
}

static bool publish_is_done(const struct mqtt_publisher *p)
{
	return p->sent == p->acknowledged;
}

static int publish_start(struct mqtt_publisher *p, const struct mqtt_options *o)
{
	MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions *c = p->version == MQTTVERSION_5 ? &v5 : &v3;
	MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

	c->keepAliveInterval = (int)(o->keep_alive_us / US_PER_SECOND);
	c->connectTimeout = (int)(o->connect_timeout_us / US_PER_SECOND);
	c->maxInflight = PUBLISH_IN_FLIGHT_MAX;
	c->context = p;
	c->MQTTVersion = p->version;
	c->username = o->user[0] != '\0' ? o->user : NULL;
	c->password = o->password[0] != '\0' ? o->password : NULL;
	if (p->version == MQTTVERSION_5) {
		c->cleanstart = 1;
		c->onSuccess5 = publish_on_connect5;
		c->onFailure5 = publish_on_refused5;
	} else {
		c->cleansession = 1;
		c->onSuccess = publish_on_connect;
		c->onFailure = publish_on_refused;
	}
	mqtt_tls_options(o, &tls);
	c->ssl = &tls;
	return MQTTAsync_connect(p->client, c);
}

static bool publish_connect(struct mqtt_publisher *p, const struct mqtt_options *o,
	struct error *err)
{
	MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
	int code;
	bool ok;

	create.MQTTVersion = p->version;
	create.maxBufferedMessages = PUBLISH_IN_FLIGHT_MAX; /* 100 otherwise */
	code = MQTTAsync_createWithOptions(&p->client, p->uri, o->client_id,
		MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
	if (code == MQTTASYNC_SUCCESS)
		code = MQTTAsync_setCallbacks(p->client, p, publish_on_lost, publish_on_message,
			NULL);
	if (code == MQTTASYNC_SUCCESS)
		code = publish_start(p, o);
	if (code != MQTTASYNC_SUCCESS)
		return error_set(err, ERROR_FATAL, "mqtt", "could not connect to \"%s\": %s",
			o->urls[0], MQTTAsync_strerror(code));
	pthread_mutex_lock(&p->lock);
	ok = publish_wait(p, publish_is_connected, err);
	pthread_mutex_unlock(&p->lock);
	return ok;
}

bool mqtt_publisher_open(struct mqtt_publisher **out, const struct mqtt_options *options,
	struct error *err)
{
	struct mqtt_publisher *p = calloc(1, sizeof(*p));
	bool ok;

	if (p == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
	p->version = options->version == MQTT_VERSION_311 ? MQTTVERSION_3_1_1 : MQTTVERSION_5;
	p->uri = mqtt_uri(options->urls[0]);
	ok = p->uri != NULL ? publish_connect(p, options, err)
			    : error_set(err, ERROR_FATAL, "bad_setting",
				      "\"%s\" is no address of a broker", options->urls[0]);
	if (!ok && p->refused_version && options->version == MQTT_VERSION_AUTO) {
		MQTTAsync_destroy(&p->client);
		p->version = MQTTVERSION_3_1_1;
		p->failed = p->refused_version = false;
		ok = publish_connect(p, options, err);
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

/* As MaEVE writes them; a span of which only the trace id is known is called by it. */
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

static int publish_hand_over(struct mqtt_publisher *p, const char *topic,
	const struct mqtt_message *m)
{
	MQTTAsync_message message = MQTTAsync_message_initializer;
	MQTTAsync_callOptions call = MQTTAsync_callOptions_initializer;
	union {
		const uint8_t *bytes;
		void *payload;
	} borrowed = {m->payload.data}; /* paho copies it */
	int code = MQTTASYNC_FAILURE;

	message.payload = borrowed.payload;
	message.payloadlen = (int)m->payload.size;
	message.qos = m->qos;
	call.context = p;
	if (p->version == MQTTVERSION_5) {
		call.onSuccess5 = publish_on_sent5;
		call.onFailure5 = publish_on_unsent5;
	} else {
		call.onSuccess = publish_on_sent;
		call.onFailure = publish_on_unsent;
	}
	if (p->version != MQTTVERSION_5 || publish_properties(m, &message.properties))
		code = MQTTAsync_sendMessage(p->client, topic, &message, &call);
	MQTTProperties_free(&message.properties);
	return code;
}

bool mqtt_publisher_send(struct mqtt_publisher *p, const struct mqtt_message *m, struct error *err)
{
	char *topic = strndup((const char *)m->topic.data, m->topic.size);
	int code;
	bool ok;

	if (topic == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	pthread_mutex_lock(&p->lock);
	ok = publish_wait(p, publish_has_room, err);
	if (ok)
		p->sent++;
	pthread_mutex_unlock(&p->lock);
	if (ok) {
		code = publish_hand_over(p, topic, m);
		ok = code == MQTTASYNC_SUCCESS ||
		     error_set(err, ERROR_TRANSIENT, "broker", "could not publish: %s",
			     MQTTAsync_strerror(code));
	}
	free(topic);
	return ok;
}

bool mqtt_publisher_flush(struct mqtt_publisher *p, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&p->lock);
	ok = publish_wait(p, publish_is_done, err);
	pthread_mutex_unlock(&p->lock);
	return ok;
}

uint64_t mqtt_publisher_acknowledged(struct mqtt_publisher *p)
{
	uint64_t count;

	pthread_mutex_lock(&p->lock);
	count = p->acknowledged;
	pthread_mutex_unlock(&p->lock);
	return count;
}
