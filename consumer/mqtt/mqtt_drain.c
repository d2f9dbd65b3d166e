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

static void drain_ask(struct mqtt *m)
{
	m->messages_before = m->messages;
	mqtt_unsubscribe(m, &(struct mqtt_unsubscribing){m->all_filters, m->all_filters_count,
				    drain_answered, drain_failed});
}

void mqtt_drain(struct mqtt *m)
{
	m->quiet_rounds = 0;
	drain_ask(m);
}
