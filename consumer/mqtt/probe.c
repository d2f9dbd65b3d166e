#include "mqtt/probe.h"

#include "base/clock.h"
#include "mqtt/mqtt_private.h"

#include <stdlib.h>
#include <time.h>

/* An attempt that times out by itself explains better why. */
static const int64_t PROBE_GRACE_US = 2 * US_PER_SECOND;
static const int64_t PROBE_DISCONNECT_US = 5 * US_PER_SECOND;

struct probe {
	struct mqtt *mqtt;
	pthread_mutex_t lock; /* guards the fields below */
	pthread_cond_t changed;
	struct mqtt_status status; /* as of its last change */
	bool connected;
	unsigned downs; /* since the outcome was last looked at */
	bool asks;      /* for a session whose messages are not ours to take */
	bool over;      /* it will not connect again */
};

static void probe_on_message(void *context, const struct mqtt_message *m)
{
	(void)context;
	(void)m;
}

/*
 * At QoS 0 there is nothing to acknowledge, and neither in a session that was just begun. In one
 * that is only asked for, the broker delivers what is queued, and paho acknowledges it: from the
 * answer to CONNECT on, nothing is sent any more, and the connection ends without a word.
 */
static bool probe_before_acknowledging(void *context)
{
	struct probe *p = context;
	bool may_send;

	pthread_mutex_lock(&p->lock);
	may_send = !p->asks || !p->connected;
	while (!may_send && !p->over)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return may_send;
}

static void probe_on_change(void *context)
{
	struct probe *p = context;

	pthread_mutex_lock(&p->lock);
	mqtt_status(p->mqtt, &p->status);
	p->connected |= p->status.state == MQTT_SUBSCRIBING || p->status.state == MQTT_UP;
	p->downs += p->status.state == MQTT_DOWN;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static bool probe_is_settled(const struct probe *p)
{
	return p->status.subscribed || (p->status.state == MQTT_DOWN && p->status.failed);
}

/* Under the lock: wait for a change, at most until then. False: too late. */
static bool probe_wait(struct probe *p, int64_t until_us)
{
	struct timespec until = {until_us / US_PER_SECOND, until_us % US_PER_SECOND * 1000};

	return pthread_cond_timedwait(&p->changed, &p->lock, &until) == 0 ||
	       clock_mono_us() < until_us;
}

static bool probe_is_late(const struct probe *p, struct error *err)
{
	const struct mqtt_options *o = &p->mqtt->options;
	long long seconds = (long long)(o->connect_timeout_us / US_PER_SECOND);

	if (p->connected && o->filters_count == 0)
		error_set(err, ERROR_TRANSIENT, REASON_broker,
			"the connection to the broker at \"%s\" did not end in time", o->urls[0]);
	else if (p->connected)
		error_set(err, ERROR_TRANSIENT, REASON_subscription,
			"the broker at \"%s\" did not answer the subscription to \"%s\" within "
			"%lld s",
			o->urls[0], o->filters[0], seconds);
	else
		error_set(err, ERROR_TRANSIENT, REASON_broker,
			"the broker at \"%s\" did not answer within %lld s", o->urls[0], seconds);
	if (!p->connected)
		error_hint(err, "%s", mqtt_hint_no_answer);
	return error_took_too_long(err);
}

/* One attempt; true even if the broker refused something, with err. False with err: too late. */
static bool probe_try(struct probe *p, struct mqtt_probe_result *out, struct error *err)
{
	int64_t patience_us = p->mqtt->options.connect_timeout_us + PROBE_GRACE_US;
	int64_t until_us = clock_mono_us() + patience_us;
	bool connected = false, in_time = true;

	pthread_mutex_lock(&p->lock);
	p->status = (struct mqtt_status){.state = MQTT_CONNECTING};
	pthread_mutex_unlock(&p->lock);
	mqtt_connect(p->mqtt);
	pthread_mutex_lock(&p->lock);
	while (in_time && !probe_is_settled(p)) {
		in_time = probe_wait(p, until_us);
		if (p->connected && !connected) {
			connected = true;
			until_us = clock_mono_us() + patience_us;
		}
	}
	if (!in_time)
		(void)probe_is_late(p, err);
	else if (!p->status.subscribed)
		*err = p->status.failure;
	*out = (struct mqtt_probe_result){p->connected, p->status.subscribed, p->status.speaks_5,
		p->status.packet_bytes_max};
	p->downs = 0;
	pthread_mutex_unlock(&p->lock);
	return in_time;
}

/* Whether the connection has ended. */
static bool probe_end(struct probe *p)
{
	int64_t until_us = clock_mono_us() + PROBE_DISCONNECT_US;
	bool in_time = true;

	mqtt_disconnect(p->mqtt);
	pthread_mutex_lock(&p->lock);
	while (in_time && p->downs == 0)
		in_time = probe_wait(p, until_us);
	pthread_mutex_unlock(&p->lock);
	return in_time;
}

static struct probe *probe_new(const struct mqtt_options *options, struct error *err)
{
	struct probe *p = calloc(1, sizeof(*p));
	struct mqtt_events events = {probe_on_message, probe_before_acknowledging, probe_on_change,
		p};
	pthread_condattr_t monotonic;

	if (p == NULL) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (mqtt_new(&p->mqtt, options, events, err))
		return p;
	free(p);
	return NULL;
}

bool mqtt_probe(const struct mqtt_options *options, struct mqtt_probe_result *out,
	struct error *err)
{
	struct mqtt_options own = *options;
	struct probe *p;
	bool in_time;

	*out = (struct mqtt_probe_result){.connected = false};
	own.probe = true;
	own.qos = 0;
	p = probe_new(&own, err);
	if (p == NULL)
		return false;
	in_time = probe_try(p, out, err);
	/* The broker does not speak MQTT 5. */
	if (in_time && p->mqtt->fall_back)
		in_time = probe_try(p, out, err);
	/* Otherwise something may still use both, so they stay until the process ends. */
	if (in_time && (!out->connected || probe_end(p))) {
		mqtt_free(&p->mqtt);
		free(p);
	}
	return in_time && out->subscribed;
}

/* One connection that ends by itself; false with err: none was made. */
static bool probe_try_visit(struct probe *p, void (*begin)(struct mqtt *m), struct error *err)
{
	const struct mqtt_options *o = &p->mqtt->options;
	int64_t until_us = clock_mono_us() + o->connect_timeout_us + PROBE_GRACE_US;
	bool in_time = true, connected;

	begin(p->mqtt);
	pthread_mutex_lock(&p->lock);
	while (in_time && p->downs == 0)
		in_time = probe_wait(p, until_us);
	connected = p->connected;
	if (!in_time)
		(void)probe_is_late(p, err);
	else if (!connected)
		*err = p->status.failure;
	p->downs = 0;
	pthread_mutex_unlock(&p->lock);
	return in_time && connected;
}

static bool probe_visit(const struct mqtt_options *options, void (*begin)(struct mqtt *m),
	struct mqtt_status *out, struct error *err)
{
	struct probe *p = probe_new(options, err);
	bool done;

	if (p == NULL)
		return false;
	p->asks = begin == mqtt_ask_for_session;
	done = probe_try_visit(p, begin, err);
	/* The broker does not speak MQTT 5. */
	if (!done && p->mqtt->fall_back)
		done = probe_try_visit(p, begin, err);
	mqtt_status(p->mqtt, out);
	pthread_mutex_lock(&p->lock);
	p->over = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	/* Otherwise something may still use both, so they stay until the process ends. */
	if (done) {
		mqtt_free(&p->mqtt);
		free(p);
	}
	return done;
}

/* A broker must not say of a clean session whether there was another one before it, so it is asked
 * first. */
bool mqtt_probe_end_session(const struct mqtt_options *options, bool *found_out, struct error *err)
{
	struct mqtt_status status;

	if (!probe_visit(options, mqtt_ask_for_session, &status, err))
		return false;
	*found_out = status.session_present;
	if (probe_visit(options, mqtt_end_session, &status, err))
		return true;
	error_prefix(err, "the session may still be there");
	return error_hint(err, "run the same command again");
}
