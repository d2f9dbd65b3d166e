#include "daemon/daemon_private.h"

#include "base/clock.h"

static const double STOP_BROKER_S = 3.;    /* for the connection to end */
static const double STOP_PIPELINE_S = 10.; /* for the batch in progress */
static const double STOP_CLOSE_S = 7.;     /* for syncing and closing the log */

void daemon_fail(struct daemon *d, const struct error *err)
{
	log_failure(LOG_LEVEL_ERROR, "stopping", err);
	if (!d->failed) {
		d->failed = true;
		d->failure = *err;
	}
	daemon_stop(d);
}

static void daemon_wait_at_most(struct daemon *d, double seconds)
{
	ev_timer_stop(d->loop, &d->stop_timer);
	ev_timer_set(&d->stop_timer, seconds, 0.);
	ev_timer_start(d->loop, &d->stop_timer);
}

void daemon_stop(struct daemon *d)
{
	struct mqtt_status status;

	if (d->phase != DAEMON_RUNNING && d->phase != DAEMON_NO_ROOM)
		return;
	daemon_enter(d, d->phase == DAEMON_RUNNING ? DAEMON_STOPPING_BROKER : DAEMON_STOPPED);
	service_stopping(&d->service,
		(int64_t)((STOP_BROKER_S + STOP_PIPELINE_S + STOP_CLOSE_S) * (double)US_PER_SECOND),
		d->failed ? d->failure.message : "committing the current batch");
	if (d->phase == DAEMON_STOPPED)
		return;
	ev_timer_stop(d->loop, &d->broker_timer);
	daemon_wait_at_most(d, STOP_BROKER_S);
	/* A receiver that waits for space in the log parks itself: it will not acknowledge. */
	spool_stop_waiting(d->spool);
	mqtt_status(d->mqtt, &status);
	if (status.state == MQTT_DOWN)
		daemon_stop_pipeline(d);
	else if (d->broker_renewal != RENEWAL_ENDS) /* otherwise it is already ending */
		mqtt_disconnect(d->mqtt);
}

void daemon_stop_pipeline(struct daemon *d)
{
	if (d->phase != DAEMON_STOPPING_BROKER)
		return;
	daemon_enter(d, DAEMON_STOPPING_PIPELINE);
	daemon_wait_at_most(d, STOP_PIPELINE_S);
	if (migration_is_running(&d->migration))
		migration_stop(&d->migration); /* its end stops the pipeline */
	else
		pipeline_stop(d->pipeline);
}

static void daemon_on_stop_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct daemon *d = w->data;

	(void)events;
	if (d->phase == DAEMON_STOPPING_BROKER) {
		daemon_stop_pipeline(d);
	} else { /* what is not committed stays in the log */
		log_warn("stop_cut_short", "work in progress at the database did not end in time",
			"seconds=%.0f", STOP_PIPELINE_S);
		ev_break(loop, EVBREAK_ALL);
	}
}

void daemon_init_stop(struct daemon *d)
{
	ev_init(&d->stop_timer, daemon_on_stop_timer);
	d->stop_timer.data = d;
}
