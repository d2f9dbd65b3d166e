#ifndef DAEMON_DAEMON_PRIVATE_H
#define DAEMON_DAEMON_PRIVATE_H

#include "base/backoff.h"
#include "base/log.h"
#include "copy/dropper.h"
#include "daemon/daemon.h"
#include "daemon/filters.h"
#include "daemon/heard.h"
#include "daemon/intake.h"
#include "daemon/pipeline.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "http/http.h"
#include "metrics/metrics.h"
#include "mqtt/mqtt.h"

#include <ev.h>

/* Shared by daemon*.c only. All on the loop. */

/*
 *	RUNNING -> STOPPING_BROKER -> STOPPING_PIPELINE -> over
 */
enum daemon_phase { DAEMON_RUNNING, DAEMON_STOPPING_BROKER, DAEMON_STOPPING_PIPELINE };

/*
 * run --drain:
 *
 *	TAKING   unsubscribe, and take what the broker has queued for us
 *	STORING  until the database has all of it
 *	ENDING   the broker forgets our session
 *	OVER
 */
enum drain_step { DRAIN_NONE, DRAIN_TAKING, DRAIN_STORING, DRAIN_ENDING, DRAIN_OVER };

struct daemon {
	const struct daemon_options *options;
	const struct config *config;
	struct ev_loop *loop;
	struct metrics *metrics;
	struct spool *spool;
	struct spool_tail *tail;
	struct log_reader log;
	struct pipeline *pipeline;
	struct dropper *dropper;
	struct http *http;
	struct intake intake;
	struct heard heard;
	struct mqtt *mqtt;
	struct backoff broker_backoff;
	struct log_repeat broker_trouble;
	enum drain_step drain;
	bool drain_disconnected;
	int64_t drain_said_us;
	struct filters filters;
	char client_id[128];
	struct arena pages;
	bool disk_full; /* the start waits for room */
	struct log_repeat disk_trouble;
	char not_ready[96]; /* what /readyz says */

	struct service service;
	int64_t began_us;
	bool not_reloaded; /* the last time, settings could not be read */

	ev_async wake;
	struct signals signals;
	ev_timer broker_timer; /* connect again */
	ev_timer stop_timer;   /* do not wait any longer */
	ev_timer tick;
	enum daemon_phase phase;
	bool subscribed;   /* as logged last */
	bool handing_over; /* as logged last: messages come before the subscription's answer */
	struct log_repeat subscribing;
	int64_t subscribed_us;
	uint32_t unsteady;
	int64_t qos0_warned_us;
	uint64_t qos0_seen;

	bool failed;
	struct error failure;
};

/* ---- daemon_stop.c: first the broker, then the pipeline ---- */

void daemon_init_stop(struct daemon *d);

/* Stop cleanly; the first error is what the program ends with. */
void daemon_fail(struct daemon *d, const struct error *err);
void daemon_stop(struct daemon *d);
void daemon_stop_pipeline(struct daemon *d);

/* ---- daemon_broker.c ---- */

void daemon_init_broker(struct daemon *d);

/* The connection may have changed. */
void daemon_look_at_broker(struct daemon *d);

/* Now and then: says what is waited for. */
void daemon_broker_tick(struct daemon *d);

/* Why messages do not come, for /readyz; NULL = they do. */
const char *daemon_broker_trouble(struct daemon *d);

/* ---- daemon_drain.c: run --drain ---- */

/* Proceeds as far as it can; called whenever something may have changed. */
void daemon_drain(struct daemon *d, const struct mqtt_status *status);

/* Once a second, after a look at the broker: how far it is, and what it waits for. */
void daemon_drain_tick(struct daemon *d);

/* Stopped by a signal: says what is left at the broker. */
void daemon_drain_interrupted(struct daemon *d);

#endif
