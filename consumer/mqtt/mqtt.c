#include "mqtt/mqtt_private.h"
#include "mqtt/tls_check.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	/* OASIS MQTT 5.0, section 2.4 */
	REASON_UNSUPPORTED_VERSION = 0x84,
	REASON_BAD_CLIENT_ID = 0x85,
	REASON_BAD_CREDENTIALS = 0x86,
	REASON_NOT_AUTHORIZED = 0x87,
	REASON_TAKEN_OVER = 0x8e,
	/* OASIS MQTT 3.1.1, section 3.2.2.3 */
	RETURN_UNSUPPORTED_VERSION = 1,
	RETURN_BAD_CLIENT_ID = 2,
	RETURN_UNAVAILABLE = 3,
	RETURN_BAD_CREDENTIALS = 4,
	RETURN_NOT_AUTHORIZED = 5,

	CONNACK_BYTE = 0x20, /* section 3.2.1, of both */

	/* RFC 8446, section 5.1 */
	TLS_ALERT = 21,
	TLS_VERSION_MAJOR = 3,

	MQTT_PACKET_BYTES_MAX = 17 << 20, /* the largest mqtt.message_bytes_max plus a topic */
	MQTT_SCHEME_BYTES = 6,            /* of paho's addresses: "tcp://", "ssl://" */
};

const char mqtt_hint_no_answer[] =
	"if this lasts, see mqtt.url: is the name right, does a broker listen at this port, with "
	"or without TLS as the URL says, and does the network let us through?";

/* ---- addresses and lists ---- */

void mqtt_ignore_proxies(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): nobody else sets variables; paho reads them later */
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	/* NOLINTEND(concurrency-mt-unsafe) */
}

static bool mqtt_has_port(const char *address)
{
	const char *bracket = strrchr(address, ']');

	return strchr(bracket != NULL ? bracket : address, ':') != NULL;
}

char *mqtt_uri(const char *url)
{
	static const struct {
		const char *ours, *paho, *port;
	} schemes[] = {{"mqtt://", "tcp://", ":1883"}, {"tcp://", "tcp://", ":1883"},
		{"mqtts://", "ssl://", ":8883"}, {"ssl://", "ssl://", ":8883"},
		{"", "tcp://", ":1883"}};
	char *uri = NULL;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t size = strlen(schemes[i].ours);

		if (strncmp(url, schemes[i].ours, size) != 0)
			continue;
		return asprintf(&uri, "%s%s%s", schemes[i].paho, url + size,
			       mqtt_has_port(url + size) ? "" : schemes[i].port) < 0
			       ? NULL
			       : uri;
	}
	return NULL;
}

static size_t mqtt_count_hosts(char *const *uris, size_t count)
{
	size_t hosts = 0, same;

	for (size_t i = 0; i < count; i++) {
		for (same = 0; same < i; same++) {
			if (strcmp(uris[same] + MQTT_SCHEME_BYTES, uris[i] + MQTT_SCHEME_BYTES) ==
				0)
				break;
		}
		hosts += same == i;
	}
	return hosts;
}

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
		m->uris[i] = mqtt_uri(o->urls[i]);
		if (m->uris[i] == NULL)
			return false;
	}
	m->hosts = mqtt_count_hosts(m->uris, o->urls_count);
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

/* The reason of a refusal by its code: paho's own text is only "CONNACK return code". */
static const char *mqtt_refusal(bool v5, int code, const char *message)
{
	static const char *const v3[] = {
		[RETURN_UNSUPPORTED_VERSION] = "unacceptable protocol version",
		[RETURN_BAD_CLIENT_ID] = "client id rejected",
		[RETURN_UNAVAILABLE] = "server unavailable",
		[RETURN_BAD_CREDENTIALS] = "bad user name or password",
		[RETURN_NOT_AUTHORIZED] = "not authorized",
	};

	if (v5 && code >= REASON_FAILURE)
		return mqtt_reason_text(code);
	if (code > 0 && code < (int)(sizeof(v3) / sizeof(*v3)))
		return v3[code];
	return message != NULL ? message : MQTTAsync_strerror(code);
}

/* Whether the broker has answered, with a refusal. */
static bool mqtt_was_answered(bool v5, int code)
{
	return v5 ? code >= REASON_FAILURE
		  : code >= RETURN_UNSUPPORTED_VERSION && code <= RETURN_NOT_AUTHORIZED;
}

/*
 * Down for this reason, which is about the host that was reached last. With several hosts, one that
 * is merely away can come back by itself, and so can one that was not tried yet: then nobody is
 * asked for, whatever is wrong with the others.
 */
static void mqtt_set_down_of_several(struct mqtt *m, struct error *err)
{
	struct gate_fault fault;
	size_t used = strlen(err->message);

	gate_fault(m->gate, &fault);
	if (fault.hosts < m->hosts || (fault.text[0] != '\0' && !fault.unknown_host))
		err->needs_person = false;
	if (fault.text[0] != '\0')
		snprintf(err->message + used, sizeof(err->message) - used, "; and %s", fault.text);
	mqtt_set_down(m, err);
}

static bool mqtt_was_unreached(struct mqtt *m)
{
	struct gate_fault fault;
	struct error err;

	gate_fault(m->gate, &fault);
	if (fault.text[0] == '\0' || fault.reached)
		return false;
	error_set(&err, ERROR_TRANSIENT, REASON_broker, "could not connect to the broker: %s",
		fault.text);
	if (fault.unknown_host && fault.hosts >= m->hosts) {
		error_hint(&err, "see mqtt.url: no such host is known");
		error_needs_person(&err);
	} else {
		error_hint(&err, "%s", mqtt_hint_no_answer);
	}
	mqtt_set_down(m, &err);
	return true;
}

/* Without TLS: what answers is no MQTT broker, or nothing does. False: neither is certain. */
static bool mqtt_was_misunderstood(struct mqtt *m, int code, const char *where)
{
	uint8_t beginning[GATE_BEGINNING_BYTES];
	struct error err;
	size_t size = gate_broker_began(m->gate, beginning);

	if (mqtt_was_answered(m->version == MQTTVERSION_5, code) || tls_check_took_part())
		return false;
	if (size == GATE_BEGINNING_BYTES && beginning[0] == TLS_ALERT &&
		beginning[1] == TLS_VERSION_MAJOR) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker, "what listens at %s expects TLS",
			where);
		error_hint(&err, "see mqtt.url: with TLS it begins with mqtts://");
		error_needs_person(&err);
	} else if (size > 0 && beginning[0] != CONNACK_BYTE) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"what listens at %s does not answer as an MQTT broker does", where);
		error_hint(&err, "%s", mqtt_hint_no_answer);
	} else if (size == 0 && gate_broker_ended(m->gate)) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"the broker at %s closed the connection before answering", where);
		error_hint(&err,
			"does it expect TLS (mqtts://)? If not, see mqtt.url, mqtt.version and the "
			"broker's logging");
	} else {
		return false;
	}
	mqtt_set_down_of_several(m, &err);
	return true;
}

/* paho gave up before TLS began: one of our files is unusable. */
static bool mqtt_has_bad_file(struct mqtt *m)
{
	const struct mqtt_options *o = &m->options;
	struct tls_files files = {o->tls_ca, o->tls_certificate, o->tls_key, o->tls_key_password};
	struct error err;
	bool tls = false;

	for (size_t i = 0; i < o->urls_count; i++)
		tls |= strncmp(m->uris[i], "ssl://", MQTT_SCHEME_BYTES) == 0;
	if (!tls || tls_check_took_part() || tls_check_files(&files, &err))
		return false;
	mqtt_set_down(m, &err);
	return true;
}

static void mqtt_hint_tls(struct mqtt *m, struct error *err)
{
	uint8_t beginning[GATE_BEGINNING_BYTES];

	error_hint(err, "see mqtt.tls_*, and the broker's certificate%s",
		gate_broker_began(m->gate, beginning) > 0
			? ""
			: "; and mqtt.url: without TLS it begins with mqtt://");
	error_needs_person(err);
}

/* A hint that fits the answer; also decides whether an older version is tried next. */
static void mqtt_hint_refusal(struct mqtt *m, int code, struct error *err)
{
	bool v5 = m->version == MQTTVERSION_5;

	/* If mosquitto does not speak a version, it answers with code 1 even to MQTT 5. */
	if (code == REASON_UNSUPPORTED_VERSION || code == RETURN_UNSUPPORTED_VERSION) {
		if (v5 && m->options.version == MQTT_VERSION_AUTO) {
			m->fall_back = true;
			error_hint(err, "the broker does not speak MQTT 5: 3.1.1 is tried");
		} else {
			error_hint(err, "see mqtt.version");
			error_needs_person(err);
		}
	} else if (code == REASON_BAD_CREDENTIALS || code == REASON_NOT_AUTHORIZED ||
		   code == RETURN_BAD_CREDENTIALS || code == RETURN_NOT_AUTHORIZED) {
		error_hint(err, "see mqtt.user and mqtt.password, and the broker's access rules");
		error_needs_person(err);
	} else if (code == REASON_BAD_CLIENT_ID || code == RETURN_BAD_CLIENT_ID) {
		error_hint(err, "see mqtt.client_id");
		error_needs_person(err);
	} else if (m->tls_error[0] != '\0') {
		mqtt_hint_tls(m, err);
	} else if (!mqtt_was_answered(v5, code) && tls_check_took_part()) {
		/* Its alert comes after our side of the handshake is over, and paho drops it. */
		error_hint(err, "the broker ended the connection after the TLS handshake: %s",
			m->options.tls_certificate[0] == '\0'
				? "if it asks for a client certificate, set mqtt.tls_certificate"
				: "if mqtt.tls_certificate has expired, was revoked or is of an "
				  "authority that the broker does not know, renew it");
	}
}

static void mqtt_refused(struct mqtt *m, int code, const char *message)
{
	bool v5 = m->version == MQTTVERSION_5;
	char fault[TLS_CHECK_TEXT_BYTES], where[GATE_TARGET_BYTES];
	struct error err;

	tls_check_fault(fault);
	gate_last_target(m->gate, where);
	if (fault[0] != '\0') {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"the certificate of the broker at %s is refused (certificate verify "
			"failed): %s",
			m->hosts == 1 ? where : "one of the addresses in mqtt.url", fault);
		error_hint(&err, "see mqtt.url, mqtt.tls_ca and mqtt.tls_crl, and the broker's "
				 "certificate; trying again does not help");
		error_needs_person(&err);
		mqtt_set_down_of_several(m, &err);
		return;
	}
	if (mqtt_was_unreached(m) || mqtt_has_bad_file(m) || mqtt_was_misunderstood(m, code, where))
		return;
	pthread_mutex_lock(&m->lock);
	error_set(&err, ERROR_TRANSIENT, REASON_broker,
		"could not connect to the broker at %s: %s%s%s", where,
		mqtt_refusal(v5, code, message), m->tls_error[0] != '\0' ? ": " : "", m->tls_error);
	pthread_mutex_unlock(&m->lock);
	mqtt_hint_refusal(m, code, &err);
	if (err.hint[0] == '\0' && !mqtt_was_answered(v5, code))
		error_hint(&err, "%s", mqtt_hint_no_answer);
	mqtt_set_down_of_several(m, &err);
}

static void mqtt_on_connect_failure5(void *context, MQTTAsync_failureData5 *data)
{
	int code = (int)data->reasonCode;

	mqtt_refused(context, code >= REASON_FAILURE ? code : data->code, data->message);
}

static void mqtt_on_connect_failure(void *context, MQTTAsync_failureData *data)
{
	mqtt_refused(context, data->code, data->message);
}

/* With a library that we cannot hook into, a revoked certificate would pass: refuse to connect. */
static bool mqtt_was_checked(struct mqtt *m)
{
	struct error err;

	if (m->options.tls_crl[0] == '\0' || tls_check_took_part())
		return true;
	for (size_t i = 0; i < m->options.urls_count; i++) {
		if (strncmp(m->uris[i], "ssl://", MQTT_SCHEME_BYTES) != 0)
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

void mqtt_connect_options(const struct mqtt_options *o, int version, MQTTAsync_connectOptions *c,
	MQTTAsync_SSLOptions *tls)
{
	c->keepAliveInterval = (int)(o->keep_alive_us / US_PER_SECOND);
	c->connectTimeout = (int)(o->connect_timeout_us / US_PER_SECOND);
	c->MQTTVersion = version;
	c->username = o->user[0] != '\0' ? o->user : NULL;
	c->password = o->password[0] != '\0' ? o->password : NULL;
	c->ssl = tls;
	tls->trustStore = o->tls_ca[0] != '\0' ? o->tls_ca : NULL;
	tls->keyStore = o->tls_certificate[0] != '\0' ? o->tls_certificate : NULL;
	tls->privateKey = o->tls_key[0] != '\0' ? o->tls_key : NULL;
	tls->privateKeyPassword = o->tls_key_password[0] != '\0' ? o->tls_key_password : NULL;
	tls->enableServerCertAuth = o->tls_verify;
	tls->verify = o->tls_verify;
	tls_check_begin(o->tls_crl);
}

static int mqtt_start_connect(struct mqtt *m, MQTTProperties *properties)
{
	const struct mqtt_options *o = &m->options;
	MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions v3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions *c = m->version == MQTTVERSION_5 ? &v5 : &v3;
	MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

	mqtt_connect_options(o, m->version, c, &tls);
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
		where, mqtt_reason_text((int)reason));
	if ((int)reason == REASON_TAKEN_OVER) {
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

/* The trace id in MaEVE's correlation data, {"traceparent":"00-<32 hex>-<16 hex>-01"}; or "". */
static struct slice mqtt_trace_id(struct slice data)
{
	static const char key[] = "\"traceparent\"";
	enum { KEY = sizeof(key) - 1, VERSION = 4, TRACE_ID = 32 }; /* "00-, 32 hex digits */
	const uint8_t *end = data.data + data.size;
	const uint8_t *at = data.size == 0 ? NULL : memmem(data.data, data.size, key, KEY);

	if (at == NULL)
		return slice_from_cstr("");
	for (at += KEY; at < end && (*at == ' ' || *at == ':'); at++)
		;
	if (end - at < VERSION + TRACE_ID || memcmp(at, "\"00-", VERSION) != 0)
		return slice_from_cstr("");
	at += VERSION;
	for (int i = 0; i < TRACE_ID; i++) {
		if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
			return slice_from_cstr("");
	}
	return slice_of(at, TRACE_ID);
}

static struct slice mqtt_property(MQTTAsync_message *message, enum MQTTPropertyCodes code)
{
	MQTTProperty *p = MQTTProperties_getProperty(&message->properties, code);

	if (p == NULL)
		return slice_from_cstr("");
	return slice_of(p->value.data.data, (size_t)p->value.data.len);
}

static enum mqtt_content mqtt_content(struct slice type)
{
	if (slice_equal_cstr(type, "application/json"))
		return MQTT_CONTENT_JSON;
	if (slice_equal_cstr(type, "application/msgpack") ||
		slice_equal_cstr(type, "application/x-msgpack"))
		return MQTT_CONTENT_MSGPACK;
	return MQTT_CONTENT_UNKNOWN;
}

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

	if (message->struct_version >= 1 && message->properties.count > 0) {
		out.content = mqtt_content(mqtt_property(message, MQTTPROPERTY_CODE_CONTENT_TYPE));
		out.trace =
			mqtt_trace_id(mqtt_property(message, MQTTPROPERTY_CODE_CORRELATION_DATA));
	}
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
	m->version = options->version == MQTT_VERSION_311 ? MQTTVERSION_3_1_1 : MQTTVERSION_5;
	mqtt_ignore_proxies();
	/* Otherwise Debian's build traces every call: a third of its CPU time. */
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
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
