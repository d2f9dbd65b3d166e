#include "mqtt/address.h"
#include "mqtt/answers.h"
#include "mqtt/mqtt_private.h"
#include "mqtt/paho.h"
#include "mqtt/properties.h"
#include "mqtt/refusal.h"
#include "mqtt/tls_check.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { MQTT_PACKET_BYTES_MAX = 17 << 20 }; /* the largest mqtt.message_bytes_max plus a topic */

/* ---- the options, for paho ---- */

static bool mqtt_make_lists(struct mqtt *m)
{
	const struct mqtt_options *o = &m->options;

	m->uris = calloc(o->urls_count + 1, sizeof(*m->uris));
	m->qos = calloc(o->filters_count + 1, sizeof(*m->qos));
	m->subscribe_options = calloc(o->filters_count + 1, sizeof(*m->subscribe_options));
	m->all_filters = calloc(o->filters_count + o->old_filters_count + 1, sizeof(char *));
	if (m->uris == NULL || m->qos == NULL || m->subscribe_options == NULL ||
		m->all_filters == NULL)
		return false;
	for (size_t i = 0; i < o->filters_count; i++)
		m->all_filters[m->all_filters_count++] = o->filters[i];
	for (size_t i = 0; i < o->old_filters_count; i++)
		m->all_filters[m->all_filters_count++] = o->old_filters[i];
	for (size_t i = 0; i < o->urls_count; i++) {
		m->uris[i] = address_for_paho(o->urls[i]);
		if (m->uris[i] == NULL)
			return false;
	}
	m->hosts = address_count_hosts(m->uris, o->urls_count);
	for (size_t i = 0; i < o->filters_count; i++) {
		static const MQTTSubscribe_options defaults = MQTTSubscribe_options_initializer;

		m->qos[i] = o->qos;
		m->subscribe_options[i] = defaults;
		/* Retained messages come with a new subscription, not with every connection. */
		m->subscribe_options[i].retainHandling = o->probe ? 2
							 : strncmp(o->filters[i], "$share/", 7) == 0
								 ? 0
								 : 1;
	}
	return true;
}

void mqtt_free(struct mqtt **mqtt)
{
	struct mqtt *m = *mqtt;

	*mqtt = NULL;
	if (m == NULL)
		return;
	pthread_mutex_lock(&m->lock);
	while (m->disconnecting > 0)
		pthread_cond_wait(&m->disconnected, &m->lock);
	pthread_mutex_unlock(&m->lock);
	if (m->client != NULL)
		MQTTAsync_destroy(&m->client);
	gate_close(&m->gate);
	for (size_t i = 0; m->uris != NULL && i < m->options.urls_count; i++)
		free(m->uris[i]);
	free(m->uris);
	free(m->qos);
	free(m->subscribe_options);
	free(m->all_filters);
	pthread_cond_destroy(&m->disconnected);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- connecting ---- */

static void mqtt_on_connect_failure5(void *context, MQTTAsync_failureData5 *data)
{
	refusal_report(context, answer_to_connect(data), data->message);
}

static void mqtt_on_connect_failure(void *context, MQTTAsync_failureData *data)
{
	refusal_report(context, data->code, data->message);
}

/* With a library that we cannot hook into, a revoked certificate would pass: refuse to connect. */
static bool mqtt_was_checked(struct mqtt *m)
{
	struct error err;

	if (m->options.tls_crl[0] == '\0' || tls_check_took_part())
		return true;
	for (size_t i = 0; i < m->options.urls_count; i++) {
		if (!address_is_tls(m->uris[i]))
			return true; /* perhaps it was this one */
	}
	error_set(&err, ERROR_FATAL, REASON_bad_setting,
		"mqtt.tls_crl has no effect with these versions of paho and OpenSSL");
	mqtt_set_down(m, &err);
	return false;
}

/* Messages that bypass the gate would be acknowledged before they are on disk. */
static bool mqtt_has_gate(struct mqtt *m)
{
	struct error err;

	if (gate_carries(m->gate))
		return true;
	error_set(&err, ERROR_FATAL, REASON_mqtt,
		"the connection to the broker does not pass through our gate: this build of paho "
		"does not follow httpProxy");
	error_hint(&err, "use paho.mqtt.c 1.3.12 or newer, built with its default options");
	mqtt_set_down(m, &err);
	return false;
}

static void mqtt_connected(struct mqtt *m, bool session_present)
{
	bool ending;

	if (!mqtt_has_gate(m) || !mqtt_was_checked(m))
		return;
	m->messages = 0;
	m->seen_message = false;
	/* paho calls this on its receive thread, before any message of the connection. */
	m->session += !session_present;
	pthread_mutex_lock(&m->lock);
	m->status.session_present = session_present;
	m->status.session_ended = m->purpose == MQTT_TO_END_SESSION;
	m->status.speaks_5 = m->version == MQTTVERSION_5;
	ending = m->ending || m->purpose != MQTT_FOR_MESSAGES;
	pthread_mutex_unlock(&m->lock);
	mqtt_set_subscribing(m);
	if (ending) {
		/* It was too early to disconnect when asked to, or everything is done. */
		mqtt_disconnect(m);
		return;
	}
	if (m->options.drain) {
		mqtt_drain(m);
		return;
	}
	/* Even with a session: a filter may be new, and a broker that lost its memory may not know
	 * it. Subscribing again changes nothing if the subscription exists. */
	mqtt_subscribe(m);
}

static void mqtt_on_connect5(void *context, MQTTAsync_successData5 *data)
{
	struct mqtt *m = context;
	MQTTProperty *limit = MQTTProperties_getProperty(&data->properties,
		MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE);

	pthread_mutex_lock(&m->lock);
	m->status.packet_bytes_max = limit != NULL ? (uint32_t)limit->value.integer4 : 0;
	pthread_mutex_unlock(&m->lock);
	mqtt_connected(context, data->alt.connect.sessionPresent != 0);
}

static void mqtt_on_connect(void *context, MQTTAsync_successData *data)
{
	mqtt_connected(context, data->alt.connect.sessionPresent != 0);
}

/* OpenSSL explains it in one line per call; the last says most. */
static int mqtt_on_tls_error(const char *text, size_t size, void *context)
{
	struct mqtt *m = context;

	pthread_mutex_lock(&m->lock);
	snprintf(m->tls_error, sizeof(m->tls_error), "%.*s", (int)size, text);
	m->tls_error[strcspn(m->tls_error, "\n")] = '\0';
	pthread_mutex_unlock(&m->lock);
	return 1;
}

static bool mqtt_add_property(MQTTProperties *properties, enum MQTTPropertyCodes code,
	uint32_t value)
{
	MQTTProperty p = {.identifier = code};

	if (code == MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
		p.value.integer2 = (unsigned short)value;
	else
		p.value.integer4 = value;
	return MQTTProperties_add(properties, &p) == 0;
}

static int mqtt_start_connect(struct mqtt *m, MQTTProperties *properties)
{
	const struct mqtt_options *o = &m->options;
	MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions *c = m->version == MQTTVERSION_5 ? &v5 : &v3;
	MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

	paho_connect_options(o, m->version, c, &tls);
	tls.ssl_error_cb = mqtt_on_tls_error;
	tls.ssl_error_context = m;
	c->maxInflight = 65535;
	c->context = m;
	c->serverURIcount = (int)o->urls_count;
	c->serverURIs = m->uris;
	if (m->version == MQTTVERSION_5) {
		c->cleanstart = m->purpose == MQTT_TO_END_SESSION || o->probe;
		c->connectProperties = properties;
		c->onSuccess5 = mqtt_on_connect5;
		c->onFailure5 = mqtt_on_connect_failure5;
	} else {
		c->cleansession = m->purpose == MQTT_TO_END_SESSION || o->probe;
		c->onSuccess = mqtt_on_connect;
		c->onFailure = mqtt_on_connect_failure;
	}
	if (!m->client_has_gate) {
		/* Only once per client: each time it would keep another copy. */
		m->client_has_gate = true;
		c->httpProxy = gate_proxy(m->gate, false);
		c->httpsProxy = gate_proxy(m->gate, true);
	}
	gate_begin(m->gate);
	return MQTTAsync_connect(m->client, c);
}

/* ---- losing the connection ---- */

static void mqtt_on_lost(void *context, char *cause)
{
	struct mqtt *m = context;
	char where[GATE_TARGET_BYTES];
	struct error err;

	gate_last_target(m->gate, where);
	error_set(&err, ERROR_TRANSIENT, REASON_broker,
		"the connection to the broker at %s is lost%s%s", where, cause != NULL ? ": " : "",
		cause != NULL ? cause : "");
	/* Over TLS, paho also closes because the broker said goodbye. */
	if (!gate_broker_ended(m->gate) && !tls_check_took_part())
		error_hint(&err, "we ended it: the broker sent what is not MQTT, or did not answer "
				 "a ping in time (mqtt.keep_alive)");
	mqtt_set_down(context, &err);
}

/* MQTT 5: the broker said goodbye, and why. */
static void mqtt_on_disconnected(void *context, MQTTProperties *properties,
	enum MQTTReasonCodes reason)
{
	struct mqtt *m = context;
	char where[GATE_TARGET_BYTES];
	struct error err;

	(void)properties;
	gate_last_target(m->gate, where);
	error_set(&err, ERROR_TRANSIENT, REASON_broker, "the broker at %s ended the connection: %s",
		where, answer_name((int)reason));
	if ((int)reason == ANSWER_TAKEN_OVER) {
		error_becomes(&err, ERROR_FATAL, REASON_client_id_used_twice);
		error_needs_person(&err);
		error_hint(&err,
			"another client connected as \"%s\": every worker needs an "
			"mqtt.client_id (or a spool.dir) of its own",
			m->options.client_id);
	}
	mqtt_set_down(m, &err);
}

/* ---- messages ---- */

static int mqtt_on_message(void *context, char *topic, int topic_size, MQTTAsync_message *message)
{
	struct mqtt *m = context;
	struct mqtt_message out = {
		.topic = slice_of(topic, topic_size > 0 ? (size_t)topic_size : strlen(topic)),
		.payload = slice_of(message->payload, (size_t)message->payloadlen),
		.qos = message->qos,
		.dup = message->dup != 0,
		.retain = message->retained != 0,
		.packet = message->qos > 0 ? (uint16_t)message->msgid : 0,
		.session = m->session,
		.trace = slice_from_cstr(""),
	};

	if (message->struct_version >= 1 && message->properties.count > 0)
		properties_read(&message->properties, &out);
	if (!m->seen_message) {
		m->seen_message = true;
		mqtt_set_handing_over(m);
	}
	m->events.on_message(m->events.context, &out);
	m->messages++;
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	return 1; /* 0 would keep it in memory, acknowledged all the same */
}

/* ---- the client ---- */

static bool mqtt_make_client(struct mqtt *m, struct error *err)
{
	MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
	int code;

	m->client_has_gate = false;
	create.MQTTVersion = m->version;
	code = MQTTAsync_createWithOptions(&m->client, m->uris[0], m->options.client_id,
		MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
	if (code == MQTTASYNC_SUCCESS)
		code = MQTTAsync_setCallbacks(m->client, m, mqtt_on_lost, mqtt_on_message, NULL);
	if (code == MQTTASYNC_SUCCESS)
		code = MQTTAsync_setDisconnected(m->client, m, mqtt_on_disconnected);
	if (code == MQTTASYNC_SUCCESS)
		return true;
	return error_set(err, ERROR_FATAL, REASON_mqtt,
		"could not make an MQTT client for \"%s\": %s", m->options.urls[0],
		MQTTAsync_strerror(code));
}

static void mqtt_connect_for(struct mqtt *m, enum mqtt_purpose purpose)
{
	MQTTProperties properties = MQTTProperties_initializer;
	int64_t expiry_s = purpose == MQTT_TO_END_SESSION || m->options.probe
				   ? 0
				   : m->options.session_expiry_us / US_PER_SECOND;
	struct error err;
	int code;

	pthread_mutex_lock(&m->lock);
	CHECK(m->status.state == MQTT_DOWN);
	m->status.state = MQTT_CONNECTING;
	m->status.connecting_us = clock_mono_us();
	m->status.failed = false;
	m->status.drained = m->status.session_ended = false;
	m->ending = false;
	m->purpose = purpose;
	m->tls_error[0] = '\0';
	pthread_mutex_unlock(&m->lock);
	if (m->fall_back) {
		m->fall_back = false;
		m->version = MQTTVERSION_3_1_1;
		MQTTAsync_destroy(&m->client);
		if (!mqtt_make_client(m, &err)) {
			mqtt_set_down(m, &err);
			return;
		}
	}
	if (!mqtt_add_property(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
		    (uint32_t)expiry_s) ||
		!mqtt_add_property(&properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM,
			(uint32_t)m->options.receive_maximum) ||
		!mqtt_add_property(&properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
			MQTT_PACKET_BYTES_MAX))
		code = MQTTASYNC_FAILURE;
	else
		code = mqtt_start_connect(m, &properties);
	MQTTProperties_free(&properties);
	if (code != MQTTASYNC_SUCCESS) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"could not connect to the broker: %s", MQTTAsync_strerror(code));
		mqtt_set_down(m, &err);
	}
}

void mqtt_ask_for_session(struct mqtt *m)
{
	mqtt_connect_for(m, MQTT_TO_ASK);
}

void mqtt_end_session(struct mqtt *m)
{
	mqtt_connect_for(m, MQTT_TO_END_SESSION);
}

void mqtt_connect(struct mqtt *m)
{
	mqtt_connect_for(m, MQTT_FOR_MESSAGES);
}

/* Make the new client before freeing the old one: with the last client, paho ends its threads and
 * waits for them. */
bool mqtt_renew(struct mqtt **mqtt, const struct mqtt_options *options, struct error *err)
{
	struct mqtt *old = *mqtt, *m;

	CHECK(old->status.state == MQTT_DOWN);
	if (!mqtt_new(&m, options, old->events, err))
		return false;
	m->session = old->session;
	m->status.connects = old->status.connects;
	if (options->version == MQTT_VERSION_AUTO && old->version == MQTTVERSION_3_1_1)
		m->fall_back = true; /* already found out */
	mqtt_free(&old);
	*mqtt = m;
	return true;
}

bool mqtt_new(struct mqtt **out, const struct mqtt_options *options, struct mqtt_events events,
	struct error *err)
{
	struct mqtt *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	m->options = *options;
	m->events = events;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->disconnected, NULL);
	m->version = paho_version(options->version);
	paho_prepare();
	if (!mqtt_make_lists(m)) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	} else if (gate_open(&m->gate,
			   (struct gate_events){events.before_acknowledging, events.context},
			   options->connect_timeout_us, err) &&
		   mqtt_make_client(m, err)) {
		*out = m;
		return true;
	}
	mqtt_free(&m);
	return false;
}
