#include "mqtt/mqtt_private.h"

bool mqtt_was_refused(const MQTTAsync_failureData5 *data)
{
	return (int)data->reasonCode >= REASON_FAILURE;
}

const char *mqtt_why_failed(const MQTTAsync_failureData5 *data)
{
	if (mqtt_was_refused(data))
		return mqtt_reason_text((int)data->reasonCode);
	return data->message != NULL ? data->message : MQTTAsync_strerror(data->code);
}

/* 0x11, "no subscription existed", is what all requests of a drain but the first expect. */
static void unsubscribe_on_success5(void *context, MQTTAsync_successData5 *data)
{
	struct mqtt *m = context;
	int count = data->alt.unsub.reasonCodeCount;

	for (int i = 0; i < (int)m->unsubscribing.count; i++) {
		/* With a single filter paho returns the code in another place. */
		enum MQTTReasonCodes code =
			count > 1 && i < count ? data->alt.unsub.reasonCodes[i] : data->reasonCode;

		if ((int)code >= REASON_FAILURE) {
			m->unsubscribing.failed(m, true, mqtt_reason_text((int)code));
			return;
		}
	}
	m->unsubscribing.done(m);
}

static void unsubscribe_on_success(void *context, MQTTAsync_successData *data)
{
	struct mqtt *m = context;

	(void)data;
	m->unsubscribing.done(m);
}

static void unsubscribe_on_failure5(void *context, MQTTAsync_failureData5 *data)
{
	struct mqtt *m = context;

	m->unsubscribing.failed(m, mqtt_was_refused(data), mqtt_why_failed(data));
}

static void unsubscribe_on_failure(void *context, MQTTAsync_failureData *data)
{
	struct mqtt *m = context;

	m->unsubscribing.failed(m, data->code > 0,
		data->message != NULL ? data->message : MQTTAsync_strerror(data->code));
}

void mqtt_unsubscribe(struct mqtt *m, const struct mqtt_unsubscribing *request)
{
	MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;
	int code;

	m->unsubscribing = *request;
	r.context = m;
	if (m->version == MQTTVERSION_5) {
		r.onSuccess5 = unsubscribe_on_success5;
		r.onFailure5 = unsubscribe_on_failure5;
	} else {
		r.onSuccess = unsubscribe_on_success;
		r.onFailure = unsubscribe_on_failure;
	}
	code = MQTTAsync_unsubscribeMany(m->client, (int)request->count, request->filters, &r);
	if (code != MQTTASYNC_SUCCESS)
		request->failed(m, false, MQTTAsync_strerror(code));
}
