#include "mqtt/answers.h"
#include "mqtt/mqtt_private.h"

/* 0x11, "no subscription existed", is what all requests of a drain but the first expect. */
static void unsubscribe_on_success5(void *context, MQTTAsync_successData5 *data)
{
	struct mqtt *m = context;
	int code, refused = answer_first_refusal((int)m->unsubscribing.count,
			  data->alt.unsub.reasonCodes, data->alt.unsub.reasonCodeCount,
			  data->reasonCode, &code);

	if (refused >= 0)
		m->unsubscribing.failed(m, true, answer_name(code));
	else
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

	m->unsubscribing.failed(m, answer_is_refusal(data), answer_why(data));
}

static void unsubscribe_on_failure(void *context, MQTTAsync_failureData *data)
{
	struct mqtt *m = context;

	m->unsubscribing.failed(m, data->code > 0, answer_why_311(data));
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
