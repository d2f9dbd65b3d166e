#include "mqtt/mqtt_private.h"

#include "base/clock.h"

/* The state of a connection, and its end: below everything that makes and uses connections. */
enum { MQTT_DISCONNECT_MS = 2000 };

const char mqtt_hint_no_answer[] =
	"if this lasts, see mqtt.url: is the name right, does a broker listen at this port, with "
	"or without TLS as the URL says, and does the network let us through?";

void mqtt_set_subscribing(struct mqtt *m)
{
	pthread_mutex_lock(&m->lock);
	m->status.state = MQTT_SUBSCRIBING;
	m->status.connecting_us = clock_mono_us();
	pthread_mutex_unlock(&m->lock);
	m->events.on_change(m->events.context);
}

void mqtt_set_handing_over(struct mqtt *m)
{
	bool news;

	pthread_mutex_lock(&m->lock);
	news = m->status.state == MQTT_SUBSCRIBING;
	if (news)
		m->status.state = MQTT_UP;
	pthread_mutex_unlock(&m->lock);
	if (news)
		m->events.on_change(m->events.context);
}

void mqtt_set_subscribed(struct mqtt *m)
{
	pthread_mutex_lock(&m->lock);
	m->status.state = MQTT_UP;
	m->status.failed = false;
	m->status.subscribed = true;
	m->status.connects++;
	pthread_mutex_unlock(&m->lock);
	m->events.on_change(m->events.context);
}

void mqtt_set_drained(struct mqtt *m)
{
	pthread_mutex_lock(&m->lock);
	m->status.state = MQTT_UP;
	m->status.drained = true;
	pthread_mutex_unlock(&m->lock);
	m->events.on_change(m->events.context);
}

void mqtt_set_down(struct mqtt *m, const struct error *why)
{
	struct mqtt_events events = m->events; /* once it is down, m may be freed */

	pthread_mutex_lock(&m->lock);
	if (!m->status.failed || why->kind == ERROR_FATAL) {
		m->status.failed = true;
		m->status.failure = *why;
	}
	m->status.state = MQTT_DOWN;
	m->status.subscribed = false;
	m->status.connecting_us = clock_mono_us();
	pthread_mutex_unlock(&m->lock);
	events.on_change(events.context);
}

void mqtt_status(struct mqtt *m, struct mqtt_status *out)
{
	pthread_mutex_lock(&m->lock);
	*out = m->status;
	pthread_mutex_unlock(&m->lock);
}

void mqtt_end_because(struct mqtt *m, const struct error *why)
{
	pthread_mutex_lock(&m->lock);
	if (!m->status.failed) {
		m->status.failed = true;
		m->status.failure = *why;
	}
	pthread_mutex_unlock(&m->lock);
	mqtt_disconnect(m);
}

/* ---- ending it ---- */

static void mqtt_on_disconnect_done(struct mqtt *m)
{
	struct error err;

	error_set(&err, ERROR_TRANSIENT, REASON_broker, "disconnected");
	mqtt_set_down(m, &err);
}

static void mqtt_on_disconnect5(void *context, MQTTAsync_successData5 *data)
{
	(void)data;
	mqtt_on_disconnect_done(context);
}

static void mqtt_on_disconnect(void *context, MQTTAsync_successData *data)
{
	(void)data;
	mqtt_on_disconnect_done(context);
}

static void mqtt_on_disconnect_failure5(void *context, MQTTAsync_failureData5 *data)
{
	(void)data;
	mqtt_on_disconnect_done(context);
}

static void mqtt_on_disconnect_failure(void *context, MQTTAsync_failureData *data)
{
	(void)data;
	mqtt_on_disconnect_done(context);
}

/*
 * While connecting there is nothing to end yet: the outcome of that comes first. A connection that
 * paho could not be asked to end (no memory, no thread) is cut, and paho notices: it must not be
 * reported as down while paho still has it, or paho would never report what becomes of the next.
 */
static void mqtt_disconnect_failed(struct mqtt *m, bool connected)
{
	enum mqtt_state state;

	pthread_mutex_lock(&m->lock);
	state = m->status.state;
	pthread_mutex_unlock(&m->lock);
	if (state == MQTT_CONNECTING)
		return;
	if (connected && state != MQTT_DOWN)
		gate_cut(m->gate);
	else
		mqtt_on_disconnect_done(m);
}

static void mqtt_disconnect_ended(struct mqtt *m)
{
	pthread_mutex_lock(&m->lock);
	m->disconnecting--;
	pthread_cond_broadcast(&m->disconnected);
	pthread_mutex_unlock(&m->lock);
}

/* May wait for a callback that does not return, so it does not run on the loop. mqtt_free() waits
 * for it. */
static void *mqtt_disconnect_main(void *context)
{
	struct mqtt *m = context;
	MQTTAsync_disconnectOptions v3 = MQTTAsync_disconnectOptions_initializer;
	MQTTAsync_disconnectOptions v5 = MQTTAsync_disconnectOptions_initializer5;
	MQTTAsync_disconnectOptions *o = m->version == MQTTVERSION_5 ? &v5 : &v3;
	int code;

	o->timeout = MQTT_DISCONNECT_MS;
	o->context = m;
	if (m->version == MQTTVERSION_5) {
		o->onSuccess5 = mqtt_on_disconnect5;
		o->onFailure5 = mqtt_on_disconnect_failure5;
	} else {
		o->onSuccess = mqtt_on_disconnect;
		o->onFailure = mqtt_on_disconnect_failure;
	}
	code = MQTTAsync_disconnect(m->client, o);
	if (code != MQTTASYNC_SUCCESS)
		mqtt_disconnect_failed(m, code != MQTTASYNC_DISCONNECTED);
	mqtt_disconnect_ended(m);
	return NULL;
}

void mqtt_disconnect(struct mqtt *m)
{
	pthread_attr_t detached;
	pthread_t thread;

	pthread_mutex_lock(&m->lock);
	m->ending = true;
	m->disconnecting++;
	pthread_mutex_unlock(&m->lock);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, mqtt_disconnect_main, m) != 0) {
		mqtt_disconnect_failed(m, true);
		mqtt_disconnect_ended(m);
	}
	pthread_attr_destroy(&detached);
}
