#include "daemon/daemon_private.h"

#include "base/clock.h"
#include "base/fs.h"
#include "daemon/options.h"

#include <inttypes.h>

static const int64_t BROKER_BASE_US = 200 * US_PER_MS;
static const int64_t BROKER_CAP_US = 30 * US_PER_SECOND;
/* A connection that lasts this long is good. */
static const int64_t BROKER_STEADY_US = 10 * US_PER_SECOND;
/* A broker that takes longer to answer is reported. */
static const int64_t BROKER_ANSWER_US = 5 * US_PER_SECOND;

enum { BROKER_UNSTEADY = 4 /* connections in a row that did not last: reported */ };

static void daemon_connect_later(struct daemon *d, int64_t us)
{
	ev_timer_stop(d->loop, &d->broker_timer);
	ev_timer_set(&d->broker_timer, (double)us / (double)US_PER_SECOND, 0.);
	ev_timer_start(d->loop, &d->broker_timer);
}

struct mqtt_options daemon_mqtt_options(const struct daemon *d)
{
	struct mqtt_options options = options_mqtt(d->config);

	options.client_id = d->client_id;
	options.filters = d->filters.wanted;
	options.filters_count = d->filters.wanted_count;
	options.old_filters = d->filters.old;
	options.old_filters_count = d->filters.old_count;
	options.drain = d->options->drain;
	return options;
}

static bool daemon_take_broker_settings(struct daemon *d, struct error *err)
{
	struct mqtt_options options;
	struct filters before;

	if (!filters_reload(&d->filters, d->config, &before, err))
		return false;
	options = daemon_mqtt_options(d);
	if (!mqtt_renew(&d->mqtt, &options, err)) {
		filters_fini(&d->filters);
		d->filters = before;
		return false;
	}
	filters_fini(&before);
	spool_tail_widen(d->tail, (size_t)d->config->mqtt_receive_maximum);
	settings_hold(&d->broker_settings, d->settings);
	return true;
}

/* There is no connection, and the next one uses new settings. */
static void daemon_catch_up(struct daemon *d)
{
	struct error err;

	if (daemon_take_broker_settings(d, &err)) {
		d->broker_renewal = RENEWAL_NONE;
		return;
	}
	error_prefix(&err,
		"the previous settings of the broker stay in force until the next connection");
	log_fault(LOG_LEVEL_ERROR, "reload_failed", &err);
}

void daemon_renew_broker(struct daemon *d)
{
	struct mqtt_status status;

	if (d->broker_renewal == RENEWAL_NONE)
		d->broker_renewal = RENEWAL_WAITS;
	mqtt_status(d->mqtt, &status);
	/* A drain ends its connections itself. */
	if (d->drain != DRAIN_NONE)
		return;
	if (status.state == MQTT_DOWN) {
		daemon_connect_later(d, 0);
	} else if (d->broker_renewal != RENEWAL_ENDS) {
		d->broker_renewal = RENEWAL_ENDS;
		mqtt_disconnect(d->mqtt);
	}
}

static void daemon_on_broker_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct daemon *d = w->data;
	struct mqtt_status status;

	(void)loop;
	(void)events;
	mqtt_status(d->mqtt, &status);
	if (d->phase != DAEMON_RUNNING || status.state != MQTT_DOWN)
		return;
	if (d->broker_renewal != RENEWAL_NONE)
		daemon_catch_up(d);
	if (d->drain == DRAIN_FORGETTING) /* a connection only for that */
		mqtt_end_session(d->mqtt);
	else
		mqtt_connect(d->mqtt);
}

void daemon_init_broker(struct daemon *d)
{
	backoff_init(&d->broker_backoff, BROKER_BASE_US, BROKER_CAP_US, (uint64_t)clock_mono_us());
	ev_init(&d->broker_timer, daemon_on_broker_timer);
	d->broker_timer.data = d;
}

static void daemon_broker_up(struct daemon *d, const struct mqtt_status *status)
{
	struct error err;

	if (!filters_save(&d->filters, &err)) {
		if (!fs_is_full(&err)) {
			daemon_fail(d, &err);
			return;
		}
		error_hint(&err, "it is written with the next connection; until then a filter that "
				 "is removed from mqtt.topics stays subscribed");
		log_failure(LOG_LEVEL_WARN, "subscriptions_not_kept", &err);
	}
	d->subscribed_us = clock_mono_us();
	metrics_add(&d->metrics->broker_connects, 1);
	log_info("broker_connected", "", "client_id=%s mqtt=%s session_present=%d",
		LOG_VALUE(d->client_id), status->speaks_5 ? "5" : "3.1.1", status->session_present);
	if (status->connects > 1 && !status->session_present)
		log_warn("broker_lost_session",
			"the broker did not keep our session: what was published meanwhile is lost",
			"connects=%" PRIu64, status->connects);
}

static bool daemon_suspect_twin(struct daemon *d, struct error *err)
{
	error_needs_person(err);
	return error_hint(err,
		"if another client connects as \"%s\", give each worker an mqtt.client_id "
		"(or a spool.dir) of its own; if not, see the broker's logging",
		d->client_id);
}

/* A connection was lost: why. Two clients with one id disconnect each other endlessly, and not
 * every broker says so. */
static void daemon_judge_connection(struct daemon *d, struct error *why)
{
	struct error err;

	if (clock_mono_us() - d->subscribed_us > BROKER_STEADY_US) {
		d->unsteady = 0;
		backoff_reset(&d->broker_backoff);
		(void)log_repeat_over(&d->broker_trouble);
		return;
	}
	if (++d->unsteady < BROKER_UNSTEADY)
		return;
	if (why->hint[0] == '\0')
		(void)daemon_suspect_twin(d, why);
	if (d->unsteady % BROKER_UNSTEADY != 0)
		return;
	error_set(&err, ERROR_TRANSIENT, REASON_broker,
		"no connection to the broker lasts: %u in a row", d->unsteady);
	(void)daemon_suspect_twin(d, &err);
	log_failure(LOG_LEVEL_WARN, "broker_unsteady", &err);
}

static void daemon_broker_down(struct daemon *d, const struct mqtt_status *status)
{
	struct error why = status->failure;
	int64_t wait_us;
	uint64_t suppressed;

	if (d->phase != DAEMON_RUNNING)
		return;
	if (status->failure.kind == ERROR_FATAL) {
		daemon_fail(d, &status->failure);
		return;
	}
	if (d->broker_renewal == RENEWAL_ENDS) {
		d->broker_renewal = RENEWAL_WAITS;
		d->subscribed_us = 0;
		daemon_connect_later(d, 0);
		return;
	}
	if (d->drain == DRAIN_DISCONNECTING) {
		daemon_drain_enter(d, DRAIN_FORGETTING);
		daemon_connect_later(d, 0);
		return;
	}
	if (d->subscribed_us > 0)
		daemon_judge_connection(d, &why);
	d->subscribed_us = 0;
	wait_us = backoff_next_us(&d->broker_backoff);
	if (log_repeat_due(&d->broker_trouble, &why, &suppressed)) {
		log_failure(LOG_LEVEL_ERROR, "broker_lost", &why);
		log_will_retry(&why, "broker", wait_us, suppressed);
	}
	daemon_connect_later(d, wait_us);
}

/* Messages before the answer to our subscription were queued in the session that the broker kept;
 * with a long queue the answer comes late. */
static void daemon_broker_hands_over(struct daemon *d)
{
	if (d->broker_logged != BROKER_LOGGED_DOWN)
		return;
	d->broker_logged = BROKER_LOGGED_HANDING_OVER;
	log_info("broker_hands_over",
		"the broker is delivering what it has queued for us; its answer to the "
		"subscription "
		"comes after that",
		"client_id=%s", LOG_VALUE(d->client_id));
}

static void daemon_broker_changed(struct daemon *d, const struct mqtt_status *status)
{
	if (status->state == MQTT_UP && !status->subscribed && d->drain == DRAIN_NONE)
		daemon_broker_hands_over(d);
	if (status->subscribed && d->broker_logged != BROKER_LOGGED_SUBSCRIBED) {
		d->broker_logged = BROKER_LOGGED_SUBSCRIBED;
		daemon_broker_up(d, status);
	} else if (status->state == MQTT_DOWN && status->failed &&
		   (d->broker_logged == BROKER_LOGGED_SUBSCRIBED ||
			   !ev_is_active(&d->broker_timer) ||
			   status->failure.kind == ERROR_FATAL)) {
		d->broker_logged = BROKER_LOGGED_DOWN;
		if (d->phase == DAEMON_STOPPING_BROKER)
			daemon_stop_pipeline(d);
		else
			daemon_broker_down(d, status);
	}
}

void daemon_look_at_broker(struct daemon *d)
{
	struct mqtt_status status;

	mqtt_status(d->mqtt, &status);
	metrics_set(&d->metrics->broker_up, status.state == MQTT_UP);
	if (d->drain != DRAIN_NONE)
		daemon_drain(d, &status);
	daemon_broker_changed(d, &status);
}

void daemon_broker_tick(struct daemon *d)
{
	struct mqtt_status status;
	uint64_t suppressed;

	mqtt_status(d->mqtt, &status);
	if (status.state != MQTT_SUBSCRIBING)
		return;
	if (clock_mono_us() - status.connecting_us > BROKER_ANSWER_US &&
		log_repeat_due(&d->subscribing, NULL, &suppressed))
		log_warn("broker_silent",
			"the broker took the connection and has not answered our subscription",
			"waits_for=suback seconds=%" PRId64,
			(clock_mono_us() - status.connecting_us) / US_PER_SECOND);
}

enum daemon_trouble daemon_broker_trouble(struct daemon *d)
{
	struct mqtt_status status;

	mqtt_status(d->mqtt, &status);
	if (status.state == MQTT_UP)
		return DAEMON_NO_TROUBLE;
	return status.state == MQTT_SUBSCRIBING ? DAEMON_IS_NOT_SUBSCRIBED : DAEMON_HAS_NO_BROKER;
}
