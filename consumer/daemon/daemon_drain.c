#include "daemon/daemon_private.h"

#include "base/clock.h"

#include <inttypes.h>

static const int64_t DRAIN_SAY_US = 5 * US_PER_SECOND;

static uint64_t drain_taken(const struct daemon *d)
{
	const struct metrics *m = d->metrics;

	return m->received_qos0 + m->received_qos1 + m->received_qos2;
}

static bool drain_is_stored(const struct daemon *d)
{
	return pipeline_is_ready(d->pipeline) &&
	       pipeline_stored_seq(d->pipeline) >= spool_last_seq(d->spool);
}

/* Nothing is subscribed, and the queue is empty. */
static void drain_took(struct daemon *d, const struct mqtt_status *status)
{
	daemon_drain_enter(d, DRAIN_STORING);
	if (status->session_present)
		log_info("drain_taken", "nothing is queued for us", "messages=%" PRIu64,
			drain_taken(d));
	else
		log_warn("drain_no_session",
			"the broker has no session of this client id: if the worker had one, "
			"spool.dir, mqtt.client_id or mqtt.url are not the worker's",
			"client_id=%s", LOG_VALUE(d->client_id));
}

static void drain_is_over(struct daemon *d)
{
	struct error err;

	daemon_drain_enter(d, DRAIN_OVER);
	if (!filters_forget(&d->filters, &err)) {
		daemon_fail(d, &err);
		return;
	}
	log_info("drained", "the worker is out of its group and all it had is stored",
		"client_id=%s messages=%" PRIu64, LOG_VALUE(d->client_id), drain_taken(d));
	daemon_stop(d);
}

void daemon_drain(struct daemon *d, const struct mqtt_status *status)
{
	if (d->phase != DAEMON_RUNNING)
		return;
	if (d->drain == DRAIN_TAKING && status->drained)
		drain_took(d, status);
	if (d->drain == DRAIN_STORING && drain_is_stored(d)) {
		daemon_drain_enter(d, DRAIN_DISCONNECTING);
		if (status->state != MQTT_DOWN)
			mqtt_disconnect(d->mqtt);
		else
			daemon_drain_enter(d, DRAIN_FORGETTING);
	}
	if (d->drain == DRAIN_FORGETTING && status->session_ended)
		drain_is_over(d);
}

void daemon_drain_tick(struct daemon *d)
{
	static const char *const steps[] = {
		[DRAIN_TAKING] = "taking what the broker has queued for us",
		[DRAIN_STORING] = "waiting until the database has all of it",
		[DRAIN_DISCONNECTING] = "ending the session at the broker",
		[DRAIN_FORGETTING] = "ending the session at the broker",
		[DRAIN_OVER] = "stopping",
	};
	int64_t now = clock_mono_us();

	if (d->phase != DAEMON_RUNNING || now - d->drain_said_us < DRAIN_SAY_US)
		return;
	d->drain_said_us = now;
	log_info("draining", steps[d->drain], "messages=%" PRIu64 " not_stored=%" PRIu64,
		drain_taken(d), spool_count_newer(d->spool, pipeline_stored_seq(d->pipeline)));
}

void daemon_drain_interrupted(struct daemon *d)
{
	struct error err;

	if (d->drain == DRAIN_OVER || d->failed)
		return;
	error_set(&err, ERROR_FATAL, REASON_drain_interrupted,
		"stopped before the drain was over: the broker may still keep messages for \"%s\"",
		d->client_id[0] != '\0' ? d->client_id : d->config->mqtt_client_id);
	error_hint(&err, "use run --drain once more, or run, which subscribes again");
	d->failed = true;
	d->failure = err;
}
