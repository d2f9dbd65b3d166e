#ifndef DAEMON_DAEMON_PRIVATE_H
#define DAEMON_DAEMON_PRIVATE_H

#include "base/backoff.h"
#include "base/log.h"
#include "base/state.h"
#include "daemon/daemon.h"
#include "daemon/dropper.h"
#include "daemon/filters.h"
#include "daemon/heard.h"
#include "daemon/intake.h"
#include "daemon/migration.h"
#include "daemon/pipeline.h"
#include "daemon/service.h"
#include "daemon/settings.h"
#include "daemon/signals.h"
#include "daemon/status.h"
#include "daemon/status_page.h"
#include "http/http.h"
#include "metrics/metrics.h"
#include "mqtt/mqtt.h"

#include <ev.h>

/* Shared by daemon*.c only. All on the loop. */

/*
 *	Phase              Until                                 Then
 *	STARTING           broker and database are connected to  RUNNING
 *	                   the disk has no room for a log        NO_ROOM
 *	NO_ROOM            it has                                STARTING
 *	                   daemon_stop()                         STOPPED
 *	RUNNING            daemon_stop()                         STOPPING_BROKER
 *	STOPPING_BROKER    the connection ended, or its time     STOPPING_PIPELINE
 *	STOPPING_PIPELINE  the batch in progress is over, or its time: the loop ends
 *
 * From RUNNING on there are a log, a pipeline and a client of the broker.
 */
enum daemon_phase {
	DAEMON_STARTING,
	DAEMON_NO_ROOM,
	DAEMON_RUNNING,
	DAEMON_STOPPING_BROKER,
	DAEMON_STOPPING_PIPELINE,
	DAEMON_STOPPED, /* before there was a log */
};

/* Why the service is not ready. */
enum daemon_trouble {
	DAEMON_NO_TROUBLE,
	DAEMON_IS_STARTING,
	DAEMON_IS_MIGRATING,
	DAEMON_HAS_NO_ROOM,
	DAEMON_IS_NOT_SUBSCRIBED,
	DAEMON_HAS_NO_BROKER,
	DAEMON_HAS_NO_DATABASE,
	DAEMON_BATCH_IS_REFUSED,
};

/*
 * run --drain, while the service is RUNNING:
 *
 *	Step           Until                                    Then
 *	NONE           it is not asked for
 *	TAKING         nothing is subscribed or queued for us   STORING
 *	STORING        the database has all of it               DISCONNECTING
 *	DISCONNECTING  there is no connection                   FORGETTING
 *	FORGETTING     the broker has forgotten our session     OVER
 */
enum drain_step {
	DRAIN_NONE,
	DRAIN_TAKING,
	DRAIN_STORING,
	DRAIN_DISCONNECTING,
	DRAIN_FORGETTING,
	DRAIN_OVER,
};

/* What was last logged about the connection to the broker. */
enum broker_logged {
	BROKER_LOGGED_DOWN,
	BROKER_LOGGED_HANDING_OVER, /* messages come before the subscription's answer */
	BROKER_LOGGED_SUBSCRIBED,
};

/* New settings for the connection to the broker. */
enum broker_renewal {
	RENEWAL_NONE,
	RENEWAL_WAITS, /* they wait for the next connection */
	RENEWAL_ENDS,  /* the connection is being ended, so that the next one uses them */
};

struct daemon {
	const struct daemon_options *options;
	struct settings *settings;                            /* the last ones read */
	const struct config *config;                          /* that of settings */
	struct settings *pipeline_settings, *broker_settings; /* in use there */
	struct ev_loop *loop;
	struct metrics *metrics;
	struct spool *spool;
	struct spool_tail *tail;
	struct log_reader log;
	struct pipeline *pipeline;
	struct migration migration;
	struct dropper *dropper;
	struct http *http;
	struct intake intake;
	struct heard heard;
	struct mqtt *mqtt;
	struct backoff broker_backoff;
	struct log_repeat broker_trouble;
	enum drain_step drain; /* only daemon_drain_enter() changes it */
	int64_t drain_said_us;
	struct filters filters;
	char client_id[128];
	struct arena pages;
	struct log_repeat disk_trouble;
	char not_ready[96]; /* for daemon_describe_trouble() */
	struct status status;
	struct status_page status_page;

	struct service service;
	int64_t began_us;
	bool not_reloaded; /* the last reload failed */

	ev_async wake;
	struct signals signals;
	ev_timer broker_timer; /* reconnect */
	ev_timer stop_timer;   /* stop waiting */
	ev_timer tick;
	enum daemon_phase phase; /* only daemon_enter() changes it */
	enum broker_renewal broker_renewal;
	enum broker_logged broker_logged;
	struct log_repeat subscribing;
	int64_t subscribed_us;
	uint32_t unsteady;
	int64_t qos0_warned_us;
	uint64_t qos0_seen;

	bool failed;
	struct error failure;
};

static inline unsigned daemon_next(enum daemon_phase phase)
{
	switch (phase) {
	case DAEMON_STARTING:
		return STATE(DAEMON_NO_ROOM) | STATE(DAEMON_RUNNING);
	case DAEMON_NO_ROOM:
		return STATE(DAEMON_STARTING) | STATE(DAEMON_STOPPED);
	case DAEMON_RUNNING:
		return STATE(DAEMON_STOPPING_BROKER);
	case DAEMON_STOPPING_BROKER:
		return STATE(DAEMON_STOPPING_PIPELINE);
	case DAEMON_STOPPING_PIPELINE:
	case DAEMON_STOPPED:
		break;
	}
	return 0;
}

static inline void daemon_enter(struct daemon *d, enum daemon_phase phase)
{
	CHECK((daemon_next(d->phase) & STATE(phase)) != 0);
	d->phase = phase;
}

static inline unsigned drain_next(enum drain_step step)
{
	return step == DRAIN_NONE || step == DRAIN_OVER ? 0 : STATE(step + 1);
}

static inline void daemon_drain_enter(struct daemon *d, enum drain_step step)
{
	CHECK((drain_next(d->drain) & STATE(step)) != 0);
	d->drain = step;
}

/* ---- daemon_pages.c: what it says about itself ---- */

bool daemon_is_started(const struct daemon *d);
enum daemon_trouble daemon_trouble(struct daemon *d);

/* Valid until the next call. */
const char *daemon_describe_trouble(struct daemon *d, enum daemon_trouble trouble, const char *end);

/* The handler of http/. */
bool daemon_page(void *context, const char *path, struct http_answer *out);

/* Once a second: the status page needs samples even if nobody looks. */
void daemon_note_status(struct daemon *d);

/* ---- daemon_stop.c: first the broker, then the pipeline ---- */

void daemon_init_stop(struct daemon *d);

/* Stop cleanly; the program ends with the first error. */
void daemon_fail(struct daemon *d, const struct error *err);
void daemon_stop(struct daemon *d);
void daemon_stop_pipeline(struct daemon *d);

/* ---- daemon_broker.c ---- */

void daemon_init_broker(struct daemon *d);

/* Call when the connection may have changed. */
void daemon_look_at_broker(struct daemon *d);

/* Use new settings from the next connection on, which is made immediately. */
void daemon_renew_broker(struct daemon *d);

/* The broker's options from the settings in use. */
struct mqtt_options daemon_mqtt_options(const struct daemon *d);

/* Now and then: report what it waits for. */
void daemon_broker_tick(struct daemon *d);

/* Why no messages come. */
enum daemon_trouble daemon_broker_trouble(struct daemon *d);

/* ---- daemon_reload.c: SIGHUP ---- */

/* False: they are wrong, which is logged, and the previous settings stay. */
bool daemon_reload(struct daemon *d);

/* The pipeline now uses the settings last read. */
void daemon_on_reloaded(void *context);

/* ---- daemon_drain.c: run --drain ---- */

/* Proceeds as far as possible; call it whenever something may have changed. */
void daemon_drain(struct daemon *d, const struct mqtt_status *status);

/* Once a second, after checking the broker: reports progress, and what it waits for. */
void daemon_drain_tick(struct daemon *d);

/* A signal stopped it: reports what is left at the broker. */
void daemon_drain_interrupted(struct daemon *d);

#endif
