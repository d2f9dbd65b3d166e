#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/fs.h"
#include "daemon/daemon_private.h"
#include "daemon/options.h"
#include "migrate/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t QOS0_WARNING_US = 3600 * US_PER_SECOND;

static const int64_t DISK_LOOK_US =
	US_PER_SECOND; /* a start on a full disk: how often to check for room */

/* A broker or database that has not answered by then is treated like one that refuses. */
static const int64_t ANSWERS_US = 10 * US_PER_SECOND;

/* The time that we claim from the service manager for work of unknown length. */
static const int64_t RECOVERY_US = 3600 * US_PER_SECOND;
static const int64_t MIGRATION_US = 24 * 3600 * US_PER_SECOND;

enum { PAGE_ARENA_BYTES = 256 * 1024 };

/* ---- the state ---- */

/* Broker and database have answered, well or badly: either it works, or it waits and says for
 * what. */
static bool daemon_is_up(struct daemon *d)
{
	struct mqtt_status status;
	enum error_reason why;

	if (!daemon_is_started(d))
		return d->phase == DAEMON_NO_ROOM;
	if (migration_is_running(&d->migration))
		return false;
	if (clock_mono_us() - d->began_us > ANSWERS_US)
		return true;
	mqtt_status(d->mqtt, &status);
	return (status.state == MQTT_UP || (status.failed && status.failure.kind != ERROR_FATAL)) &&
	       (pipeline_is_ready(d->pipeline) ||
		       pipeline_trouble(d->pipeline, &why) != PIPELINE_NO_TROUBLE);
}

static void daemon_describe(struct daemon *d, enum daemon_trouble trouble,
	char out[static SERVICE_STATUS_BYTES])
{
	struct mqtt_status status = {.failed = false};

	if (trouble == DAEMON_NO_TROUBLE) {
		snprintf(out, SERVICE_STATUS_BYTES,
			"messages so far %" PRIu64 ", records waiting in the log %" PRIu64 "%s",
			d->metrics->messages_stored + d->metrics->messages_duplicate +
				d->metrics->messages_dead_lettered + d->metrics->messages_skipped,
			spool_count_newer(d->spool, pipeline_stored_seq(d->pipeline)),
			d->not_reloaded ? "; the settings could not be read again" : "");
		return;
	}
	if (daemon_is_started(d))
		mqtt_status(d->mqtt, &status);
	snprintf(out, SERVICE_STATUS_BYTES, "%s%s%s", daemon_describe_trouble(d, trouble, ""),
		status.failed && status.state != MQTT_UP ? ": " : "",
		status.failed && status.state != MQTT_UP ? status.failure.message : "");
}

/* Notify the service manager. */
static void daemon_tell(struct daemon *d)
{
	enum daemon_trouble trouble;
	char line[SERVICE_STATUS_BYTES];

	if (!service_is_watched(&d->service) ||
		(d->phase != DAEMON_RUNNING && d->phase != DAEMON_NO_ROOM))
		return;
	trouble = daemon_trouble(d);
	daemon_describe(d, trouble, line);
	service_status(&d->service,
		trouble == DAEMON_NO_TROUBLE     ? SERVICE_WORKING
		: trouble == DAEMON_IS_MIGRATING ? SERVICE_MIGRATING
						 : SERVICE_WAITING,
		line);
	if (daemon_is_up(d))
		service_ready(&d->service);
}

/* ---- threads to loop ---- */

static void daemon_wake(void *context)
{
	struct daemon *d = context;

	ev_async_send(d->loop, &d->wake);
}

static void daemon_on_message(void *context, const struct mqtt_message *m)
{
	struct daemon *d = context;

	intake_message(&d->intake, m);
}

static bool daemon_before_acknowledging(void *context)
{
	struct daemon *d = context;

	return intake_sync(&d->intake);
}

static void daemon_on_wake(struct ev_loop *loop, ev_async *w, int events)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)events;
	if (d->intake.failed && !d->failed) {
		daemon_fail(d, &d->intake.failure);
		return;
	}
	daemon_look_at_broker(d);
	pipeline_wake(d->pipeline);
	if (!d->service.ready)
		daemon_tell(d);
}

/* ---- stopping ---- */

static void daemon_on_stop_signal(void *context, int signum)
{
	struct daemon *d = context;

	(void)signum;
	if (d->drain != DRAIN_NONE)
		daemon_drain_interrupted(d);
	daemon_stop(d);
}

static void daemon_on_reload(void *context)
{
	struct daemon *d = context;

	if (d->phase != DAEMON_RUNNING && d->phase != DAEMON_NO_ROOM)
		return; /* about to end */
	service_reloading(&d->service);
	d->not_reloaded = !daemon_reload(d);
	daemon_tell(d);
}

static void daemon_on_rotate(void *context)
{
	struct daemon *d = context;

	if (d->spool == NULL)
		return;
	spool_rotate(d->spool);
	log_info("log_rotates", "the next message begins a new segment", "last_seq=%" PRIu64,
		spool_last_seq(d->spool));
}

static void daemon_on_drained(void *context)
{
	struct daemon *d = context;

	ev_break(d->loop, EVBREAK_ALL);
}

static void daemon_on_fatal(void *context, const struct error *err)
{
	daemon_fail(context, err);
}

/* ---- the schema ---- */

/* Partitions are not dropped while tables may be rewritten. */
static void daemon_set_migrating(struct daemon *d, bool migrating)
{
	dropper_hold(d->dropper, migrating);
	if (d->phase != DAEMON_RUNNING)
		return;
	service_starts_within(&d->service, migrating ? MIGRATION_US : SERVICE_START_US);
	daemon_tell(d);
}

static void daemon_migrate(void *context)
{
	struct daemon *d = context;
	struct error err;

	if (migration_start(&d->migration, d->settings, &err))
		daemon_set_migrating(d, true);
	else
		pipeline_migrated(d->pipeline, &err);
}

static void daemon_on_migrated(void *context, const struct error *err)
{
	struct daemon *d = context;

	daemon_set_migrating(d, false);
	if (d->phase == DAEMON_STOPPING_PIPELINE)
		pipeline_stop(d->pipeline);
	else
		pipeline_migrated(d->pipeline, err);
}

/* ---- now and then ---- */

static void daemon_on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct daemon *d = w->data;
	uint64_t seen = d->metrics->received_qos0;
	int64_t now = clock_mono_us();

	(void)loop;
	(void)events;
	daemon_tell(d);
	daemon_note_status(d);
	if (!daemon_is_started(d))
		return;
	if (seen > d->qos0_seen &&
		(d->qos0_warned_us == 0 || now - d->qos0_warned_us > QOS0_WARNING_US)) {
		d->qos0_warned_us = now;
		log_warn("qos0",
			"messages arrive with QoS 0: the broker does not keep them, so those "
			"published while we are away are lost",
			"messages=%" PRIu64, seen);
	}
	d->qos0_seen = seen;
	daemon_broker_tick(d);
	intake_show(&d->intake); /* records that the keeper has synced */
	if (d->drain != DRAIN_NONE) {
		daemon_look_at_broker(d);
		daemon_drain_tick(d);
	}
}

/* ---- starting ---- */

static bool daemon_open_spool(struct daemon *d, struct error *err)
{
	const struct config *c = d->config;
	struct spool_options options = {
		.dir = c->spool_dir,
		.sync = c->spool_sync == CONFIG_SYNC_MESSAGE    ? SPOOL_SYNC_MESSAGE
			: c->spool_sync == CONFIG_SYNC_INTERVAL ? SPOOL_SYNC_INTERVAL
								: SPOOL_SYNC_NONE,
		.sync_interval_us = c->spool_sync_interval,
		.segment_bytes = c->spool_segment_bytes,
		.bytes_max = c->spool_bytes_max,
		.retain_us = c->spool_retain,
		.archive = c->spool_archive == CONFIG_ARCHIVE_ZSTD,
	};
	struct uuid identity, session;
	char text[UUID_TEXT_BYTES], session_text[UUID_TEXT_BYTES], sync[CONFIG_CHOICE_BYTES];

	if (!spool_open(&d->spool, &options, err))
		return false;
	identity = spool_identity(d->spool);
	uuid_format(&identity, text);
	session = spool_session(d->spool);
	uuid_format(&session, session_text);
	if (c->mqtt_client_id[0] != '\0')
		snprintf(d->client_id, sizeof(d->client_id), "%s", c->mqtt_client_id);
	else
		snprintf(d->client_id, sizeof(d->client_id), "ocpp-persister-%s", session_text);
	log_info("log_opened", "", "dir=%s identity=%s last_seq=%" PRIu64 " sync=%s",
		LOG_VALUE(c->spool_dir), text, spool_last_seq(d->spool),
		config_choice(c, "spool.sync", sync));
	return true;
}

static bool daemon_make_mqtt(struct daemon *d, struct error *err)
{
	const struct config *c = d->config;
	struct mqtt_options options;
	struct mqtt_events events = {daemon_on_message, daemon_before_acknowledging, daemon_wake,
		d};

	if (!spool_tail_open(&d->tail, d->spool, (size_t)c->mqtt_receive_maximum, err))
		return false;
	d->intake = (struct intake){.spool = d->spool,
		.tail = d->tail,
		.metrics = d->metrics,
		.heard = &d->heard,
		.message_bytes_max = c->mqtt_message_bytes_max,
		.wake = daemon_wake,
		.context = d};
	if (!heard_init(&d->heard, c, err) || !filters_init(&d->filters, c, err))
		return false;
	options = daemon_mqtt_options(d);
	return mqtt_new(&d->mqtt, &options, events, err);
}

static void daemon_init_watchers(struct daemon *d)
{
	struct signals_events signals = {daemon_on_stop_signal, daemon_on_reload, daemon_on_rotate,
		d};

	ev_async_init(&d->wake, daemon_on_wake);
	ev_timer_init(&d->tick, daemon_on_tick, 1., 1.);
	d->wake.data = d->tick.data = d;
	daemon_init_stop(d);
	daemon_init_broker(d);
	migration_init(&d->migration, d->loop, (struct migration_events){daemon_on_migrated, d});
	ev_async_start(d->loop, &d->wake);
	ev_timer_start(d->loop, &d->tick);
	signals_start(&d->signals, d->loop, signals);
}

/* What a start needs before there is a log: so that anybody who asks learns that it waits. */
static bool daemon_prepare(struct daemon *d, struct error *err)
{
	const struct config *c = d->config;

	d->loop = ev_default_loop(EVFLAG_AUTO);
	d->metrics = calloc(1, sizeof(*d->metrics));
	if (d->loop == NULL || d->metrics == NULL ||
		!arena_init(&d->pages, PAGE_ARENA_BYTES, PAGE_ARENA_BYTES))
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	metrics_set(&d->metrics->build_info, 1);
	metrics_set(&d->metrics->process_started_us, (uint64_t)clock_wall_us());
	service_open(&d->service, d->loop);
	daemon_init_watchers(d);
	return c->http_listen[0] == '\0' ||
	       (status_page_init(&d->status_page, err) &&
		       http_start(&d->http, d->loop, c->http_listen, daemon_page, d, err));
}

static void daemon_note_full(struct daemon *d, struct error *why)
{
	if (d->phase != DAEMON_NO_ROOM)
		daemon_enter(d, DAEMON_NO_ROOM);
	if (!log_repeat_due(&d->disk_trouble, why, &(uint64_t){0}))
		return;
	error_hint(why,
		"the start waits, and continues by itself once there is room for a log in "
		"\"%s\": free space on this disk (`df` and `df -i`)",
		d->config->spool_dir);
	log_failure(LOG_LEVEL_ERROR, "spool_disk_full", why);
}

/* A disk without room for the first files of a log is treated like one that fills up later: wait.
 * Nothing has been taken from the broker yet. True even if the program was stopped meanwhile. */
static bool daemon_wait_for_log(struct daemon *d, struct error *err)
{
	int64_t tried_us = clock_mono_us();
	bool opened;

	service_is_busy(&d->service, RECOVERY_US, SERVICE_STARTING, "the log is opened");
	opened = daemon_open_spool(d, err);
	service_goes_on(&d->service);
	while (!opened) {
		if (!fs_is_full(err))
			return false;
		daemon_note_full(d, err);
		while (d->phase == DAEMON_NO_ROOM && clock_mono_us() - tried_us < DISK_LOOK_US)
			ev_run(d->loop, EVRUN_ONCE);
		if (d->phase == DAEMON_STOPPED)
			return true;
		tried_us = clock_mono_us();
		opened = daemon_open_spool(d, err);
	}
	if (d->phase == DAEMON_NO_ROOM)
		daemon_enter(d, DAEMON_STARTING);
	if (log_repeat_over(&d->disk_trouble))
		log_info("spool_has_room", "there is room on the disk again", "dir=%s",
			LOG_VALUE(d->config->spool_dir));
	return true;
}

static bool daemon_start(struct daemon *d, struct error *err)
{
	struct pipeline_events events = {daemon_on_fatal,
		d->options->migrate ? daemon_migrate : NULL, daemon_on_drained, daemon_on_reloaded,
		d->drain != DRAIN_NONE ? daemon_wake : NULL, d};
	/* When a drain ends, its log may be deleted. */
	struct pipeline_options options = {.client_id = d->client_id,
		.live = true,
		.commit_sync = d->drain != DRAIN_NONE};
	int64_t retention_us[TABLE_COUNT] = {0};
	const struct pg_options *pg;

	if (!migrate_newest(migrate_path_setting(d->config->storage_postgres_migrations_path),
		    &options.schema_version, err) ||
		!daemon_wait_for_log(d, err))
		return false;
	if (d->phase == DAEMON_STOPPED)
		return true;
	/* They may have changed while it waited for the log. */
	settings_hold(&d->pipeline_settings, d->settings);
	settings_hold(&d->broker_settings, d->settings);
	pg = &d->settings->pg;
	if (d->config->retention_drop)
		options_retention(d->config, retention_us);
	if (!log_reader_of_spool(&d->log, d->spool, LOG_NOTHING_YET, err) ||
		!pipeline_new(&d->pipeline, d->loop, d->config, pg, &options, &d->log, d->metrics,
			events, err) ||
		!dropper_new(&d->dropper, d->loop, pg, retention_us, err) ||
		!daemon_make_mqtt(d, err))
		return false;
	pipeline_start(d->pipeline);
	mqtt_connect(d->mqtt);
	daemon_enter(d, DAEMON_RUNNING);
	return true;
}

/*
 * In reverse order. A parked receive thread, or a connection that did not end in time, still uses
 * the log, and a migration that did not end uses the settings: then nothing is freed and the
 * process just ends, which is a crash for the log. False then.
 */
static bool daemon_finish(struct daemon *d)
{
	struct mqtt_status status = {.state = MQTT_DOWN};
	bool migrating = migration_is_running(&d->migration);

	signals_stop(&d->signals);
	service_close(&d->service);
	http_stop(&d->http);
	if (d->mqtt != NULL)
		mqtt_status(d->mqtt, &status);
	if (d->intake.parked || status.state != MQTT_DOWN || migrating) {
		log_warn("stopped_hard", "a connection did not end in time",
			"parked=%d migrating=%d", (int)d->intake.parked, (int)migrating);
		return false;
	}
	mqtt_free(&d->mqtt);
	filters_fini(&d->filters);
	heard_fini(&d->heard);
	dropper_free(&d->dropper);
	pipeline_free(&d->pipeline);
	log_reader_close(&d->log);
	spool_tail_close(&d->tail);
	spool_close(&d->spool);
	arena_fini(&d->pages);
	settings_hold(&d->pipeline_settings, NULL);
	settings_hold(&d->broker_settings, NULL);
	free(d->metrics);
	if (d->loop != NULL)
		ev_loop_destroy(d->loop);
	return true;
}

static bool daemon_use(struct daemon *d, const struct config *config, struct error *err)
{
	d->config = config;
	return settings_first(&d->settings, config, err);
}

static void daemon_free(struct daemon *d)
{
	settings_hold(&d->settings, NULL);
	free(d);
}

bool daemon_run(const struct daemon_options *options, bool *hard_out, struct error *err)
{
	struct daemon *d = calloc(1, sizeof(*d));
	bool failed;

	*hard_out = false;
	if (d == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	d->options = options;
	d->drain = options->drain ? DRAIN_TAKING : DRAIN_NONE;
	d->began_us = clock_mono_us();
	failed = !daemon_use(d, options->config, err) || !daemon_prepare(d, err) ||
		 !daemon_start(d, err);
	if (failed)
		service_stopping(&d->service, US_PER_SECOND, err->message);
	if (!failed && d->phase == DAEMON_RUNNING) {
		log_info("started", "", "version=%s", OCPP_PERSISTER_VERSION);
		ev_run(d->loop, 0);
	}
	if (!failed && d->failed) {
		failed = true;
		*err = d->failure;
	}
	*hard_out = !daemon_finish(d);
	log_info("stopped", "", "failed=%d", (int)failed);
	if (!*hard_out)
		daemon_free(d); /* otherwise a thread still uses it */
	return !failed;
}
