#include "mqtt/answers.h"
#include "mqtt/mqtt_private.h"

#include "base/log.h"

/* answered, why: as struct mqtt_unsubscribing has it. */
static void mqtt_subscribe_failed(struct mqtt *m, bool answered, const char *topic, const char *why)
{
	struct error err;

	if (!answered) {
		error_set(&err, ERROR_TRANSIENT, REASON_subscription,
			"the broker did not answer the subscription to \"%s\": %s", topic, why);
	} else {
		error_set(&err, ERROR_TRANSIENT, REASON_subscription,
			"the broker refused the subscription to \"%s\": %s", topic, why);
		error_hint(&err, "see mqtt.topics, mqtt.group and the broker's access rules");
		error_needs_person(&err);
	}
	if (m->options.probe)
		mqtt_set_down(m, &err);
	else
		mqtt_end_because(m, &err);
}

/* ---- unsubscribing ---- */

/*
 * The broker keeps subscriptions of earlier settings in the session until they are unsubscribed.
 * That is done after the new ones exist: a topic that both match has no gap, and messages that come
 * twice meanwhile are duplicates.
 */
static void mqtt_unsubscribe_failed(struct mqtt *m, bool answered, const char *why)
{
	struct error err;

	if (answered) {
		log_warn("unsubscribe_failed",
			"the broker does not end a subscription that is no longer wanted, "
			"ignoring",
			"why=%s", LOG_VALUE(why));
		mqtt_set_subscribed(m);
		return;
	}
	error_set(&err, ERROR_TRANSIENT, REASON_subscription,
		"the broker did not answer the end of the subscription to \"%s\": %s",
		m->options.old_filters[0], why);
	mqtt_end_because(m, &err);
}

static void mqtt_unsubscribe_old(struct mqtt *m)
{
	if (m->options.old_filters_count == 0)
		mqtt_set_subscribed(m);
	else
		mqtt_unsubscribe(m,
			&(struct mqtt_unsubscribing){(char *const *)m->options.old_filters,
				m->options.old_filters_count, mqtt_set_subscribed,
				mqtt_unsubscribe_failed});
}

/* ---- subscribing ---- */

static void mqtt_on_subscribe5(void *context, MQTTAsync_successData5 *data)
{
	struct mqtt *m = context;
	int code, refused = answer_first_refusal((int)m->options.filters_count,
			  data->alt.sub.reasonCodes, data->alt.sub.reasonCodeCount,
			  data->reasonCode, &code);

	if (refused >= 0)
		mqtt_subscribe_failed(m, true, m->options.filters[refused], answer_name(code));
	else
		mqtt_unsubscribe_old(m);
}

static void mqtt_on_subscribe(void *context, MQTTAsync_successData *data)
{
	struct mqtt *m = context;

	for (size_t i = 0; i < m->options.filters_count; i++) {
		int qos = m->options.filters_count > 1 ? data->alt.qosList[i] : data->alt.qos;

		if (qos >= ANSWER_FAILURE) {
			mqtt_subscribe_failed(m, true, m->options.filters[i], "not allowed");
			return;
		}
	}
	mqtt_unsubscribe_old(m);
}

static void mqtt_on_subscribe_failure5(void *context, MQTTAsync_failureData5 *data)
{
	struct mqtt *m = context;

	mqtt_subscribe_failed(m, answer_is_refusal(data), m->options.filters[0], answer_why(data));
}

static void mqtt_on_subscribe_failure(void *context, MQTTAsync_failureData *data)
{
	struct mqtt *m = context;

	mqtt_subscribe_failed(m, data->code > 0, m->options.filters[0],
		data->message == NULL && data->code >= ANSWER_FAILURE
			? "not allowed" /* all that 3.1.1 says */
			: answer_why_311(data));
}

void mqtt_subscribe(struct mqtt *m)
{
	MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;
	int code;

	r.context = m;
	if (m->version == MQTTVERSION_5) {
		r.onSuccess5 = mqtt_on_subscribe5;
		r.onFailure5 = mqtt_on_subscribe_failure5;
		r.subscribeOptions = m->subscribe_options[0];
		r.subscribeOptionsCount = (int)m->options.filters_count;
		r.subscribeOptionsList = m->subscribe_options;
	} else {
		r.onSuccess = mqtt_on_subscribe;
		r.onFailure = mqtt_on_subscribe_failure;
	}
	code = MQTTAsync_subscribeMany(m->client, (int)m->options.filters_count, m->options.filters,
		m->qos, &r);
	if (code != MQTTASYNC_SUCCESS)
		mqtt_subscribe_failed(m, false, m->options.filters[0], MQTTAsync_strerror(code));
}
