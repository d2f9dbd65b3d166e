#include "mqtt/mqtt_private.h"

/*
 * Taking a worker out of service. A broker keeps its session, and in a shared group keeps giving it
 * a share, until the filters are unsubscribed. Messages queued before that stay queued for the
 * session and are still delivered.
 *
 * MQTT does not say when a queue is empty, but packets keep their order: a broker reads our PUBACKs
 * before the request that follows them, each PUBACK makes room for the next queued message, and the
 * broker sends that message before its answer to the request. So if an unsubscribe request is
 * answered with no message in between, the queue was empty. Brokers that read and send in different
 * threads may be less strict, so the request is sent several times.
 */
enum { DRAIN_QUIET_ROUNDS = 5 };

static void drain_ask(struct mqtt *m);

/* answered: the broker refused; otherwise the connection broke before it answered. */
static void drain_failed(struct mqtt *m, bool answered, const char *why)
{
	struct error err;

	error_set(&err, ERROR_TRANSIENT, REASON_subscription,
		"the broker did not end the subscription to \"%s\": %s", m->all_filters[0], why);
	if (answered) {
		error_hint(&err, "see mqtt.topics, mqtt.group and the broker's access rules");
		error_needs_person(&err);
	}
	mqtt_end_because(m, &err);
}

/* On the receive thread, like messages: none is in progress. */
static void drain_answered(struct mqtt *m)
{
	m->quiet_rounds = m->messages == m->messages_before ? m->quiet_rounds + 1 : 0;
	if (m->quiet_rounds >= DRAIN_QUIET_ROUNDS)
		mqtt_set_drained(m);
	else
		drain_ask(m);
}

/* 0x11, "no subscription existed", is the expected answer to all but the first request. */
static void drain_on_answer5(void *context, MQTTAsync_successData5 *data)
{
	struct mqtt *m = context;
	int count = data->alt.unsub.reasonCodeCount;

	for (int i = 0; i < (int)m->all_filters_count; i++) {
		enum MQTTReasonCodes code =
			count > 1 && i < count ? data->alt.unsub.reasonCodes[i] : data->reasonCode;

		if ((int)code >= REASON_FAILURE) {
			drain_failed(m, true, MQTTReasonCode_toString(code));
			return;
		}
	}
	drain_answered(m);
}

static void drain_on_answer(void *context, MQTTAsync_successData *data)
{
	(void)data;
	drain_answered(context);
}

static void drain_on_failure5(void *context, MQTTAsync_failureData5 *data)
{
	drain_failed(context, (int)data->reasonCode >= REASON_FAILURE,
		(int)data->reasonCode >= REASON_FAILURE ? MQTTReasonCode_toString(data->reasonCode)
		: data->message != NULL                 ? data->message
							: MQTTAsync_strerror(data->code));
}

static void drain_on_failure(void *context, MQTTAsync_failureData *data)
{
	drain_failed(context, data->code > 0,
		data->message != NULL ? data->message : MQTTAsync_strerror(data->code));
}

static void drain_ask(struct mqtt *m)
{
	MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;
	int code;

	r.context = m;
	if (m->version == MQTTVERSION_5) {
		r.onSuccess5 = drain_on_answer5;
		r.onFailure5 = drain_on_failure5;
	} else {
		r.onSuccess = drain_on_answer;
		r.onFailure = drain_on_failure;
	}
	m->messages_before = m->messages;
	code = MQTTAsync_unsubscribeMany(m->client, (int)m->all_filters_count, m->all_filters, &r);
	if (code != MQTTASYNC_SUCCESS)
		drain_failed(m, false, MQTTAsync_strerror(code));
}

void mqtt_drain(struct mqtt *m)
{
	m->quiet_rounds = 0;
	drain_ask(m);
}
