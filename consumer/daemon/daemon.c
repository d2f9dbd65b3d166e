#include "daemon/daemon.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "daemon/filters.h"
#include "daemon/intake.h"
#include "daemon/pipeline.h"
#include "daemon/reload.h"
#include "daemon/signals.h"
#include "http/http.h"
#include "metrics/metrics.h"
#include "migrate/migrate.h"
#include "mqtt/mqtt.h"

#include <ev.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t BROKER_BASE_US = 200 * US_PER_MS;
static const int64_t BROKER_CAP_US = 30 * US_PER_SECOND;
/* A connection that lasts this long is a good one. */
static const int64_t BROKER_STEADY_US = 10 * US_PER_SECOND;
static const double STOP_BROKER_S = 3.;    /* for the connection to end */
static const double STOP_PIPELINE_S = 10.; /* for the batch under way */
static const int64_t QOS0_WARNING_US = 3600 * US_PER_SECOND;

enum {
	PAGE_ARENA_BYTES = 256 * 1024,
	BROKER_UNSTEADY = 4, /* connections in a row that did not last: worth a word */
};

/*
 *	RUNNING -> STOPPING_BROKER -> STOPPING_PIPELINE -> over
 */
enum daemon_phase { DAEMON_RUNNING, DAEMON_STOPPING_BROKER, DAEMON_STOPPING_PIPELINE };

struct daemon {
	const struct daemon_options *options;
	const struct config *config;
	struct ev_loop *loop;
	struct metrics *metrics;
	struct spool *spool;
	struct log_reader log;
	struct pipeline *pipeline;
	struct http *http;
	struct intake intake;
	struct mqtt *mqtt;
	struct backoff broker_backoff;
	struct log_repeat broker_trouble;
	struct filters filters;
	char client_id[128];
	struct arena pages;

	ev_async wake;
	struct signals signals;
	ev_timer broker_timer; /* connect again */
	ev_timer stop_timer;   /* do not wait any longer */
	ev_timer tick;
	enum daemon_phase phase;
	bool subscribed; /* as said last */
	int64_t subscribed_us;
	uint32_t unsteady;
	int64_t qos0_warned_us;
	uint64_t qos0_seen;

	bool failed;
	struct error failure;
};

static void daemon_stop(struct daemon *d);
static void daemon_stop_pipeline(struct daemon *d);

/* ---- threads to loop ---- */

static void daemon_wake(void *context)
{
	struct daemon *d = context;

	ev_async_send(d->loop, &d->wake);
}

static void daemon_fail(struct daemon *d, const struct error *err)
{
	log_failure(LOG_LEVEL_ERROR, "stopping", err);
	if (!d->failed) {
		d->failed = true;
		d->failure = *err;
	}
	daemon_stop(d);
}

static void daemon_on_message(void *context, const struct mqtt_message *m)
{
	struct daemon *d = context;

	intake_message(&d->intake, m);
}

/* ---- the broker ---- */

static void daemon_connect_later(struct daemon *d, int64_t us)
{
	ev_timer_stop(d->loop, &d->broker_timer);
	ev_timer_set(&d->broker_timer, (double)us / (double)US_PER_SECOND, 0.);
	ev_timer_start(d->loop, &d->broker_timer);
}

static void daemon_on_broker_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct daemon *d = w->data;
	struct mqtt_status status;

	(void)loop;
	(void)events;
	mqtt_status(d->mqtt, &status);
	if (d->phase == DAEMON_RUNNING && status.state == MQTT_DOWN)
		mqtt_connect(d->mqtt);
}

static void daemon_broker_up(struct daemon *d, const struct mqtt_status *status)
{
	struct error err;

	if (!filters_save(&d->filters, &err)) {
		if (!fs_is_full(&err)) {
			daemon_fail(d, &err);
			return;
		}
		error_hint(&err,
			"it is written with the next connection; until then a filter that is "
			"taken out of mqtt.topics stays subscribed");
		log_failure(LOG_LEVEL_WARN, "subscriptions_not_kept", &err);
	}
	d->subscribed_us = clock_mono_us();
	metrics_add(&d->metrics->broker_connects, 1);
	log_info("broker_connected", "", "client_id=%s mqtt=%s session_present=%d",
		LOG_VALUE(d->client_id), status->speaks_5 ? "5" : "3.1.1", status->session_present);
	if (status->connects > 1 && !status->session_present)
		log_warn("broker_lost_session",
			"the broker did not keep our session: what it was given meanwhile is lost",
			"connects=%" PRIu64, status->connects);
}

/* Two clients of one id push each other out for ever, and not every broker says why. */
static void daemon_judge_connection(struct daemon *d)
{
	struct error err;

	if (clock_mono_us() - d->subscribed_us > BROKER_STEADY_US) {
		d->unsteady = 0;
		backoff_reset(&d->broker_backoff);
		(void)log_repeat_over(&d->broker_trouble);
		return;
	}
	if (++d->unsteady % BROKER_UNSTEADY != 0)
		return;
	error_set(&err, ERROR_TRANSIENT, "broker", "no connection to the broker lasts: %u in a row",
		d->unsteady);
	error_hint(&err,
		"if another client connects as \"%s\", give each worker an mqtt.client_id "
		"(or a spool.dir) of its own",
		d->client_id);
	log_failure(LOG_LEVEL_WARN, "broker_unsteady", &err);
}

static void daemon_broker_down(struct daemon *d, const struct mqtt_status *status)
{
	int64_t wait_us;
	uint64_t suppressed;

	if (d->phase != DAEMON_RUNNING)
		return;
	if (status->failure.kind == ERROR_FATAL) {
		daemon_fail(d, &status->failure);
		return;
	}
	if (d->subscribed_us > 0)
		daemon_judge_connection(d);
	d->subscribed_us = 0;
	wait_us = backoff_next_us(&d->broker_backoff);
	if (log_repeat_due(&d->broker_trouble, &suppressed)) {
		log_failure(LOG_LEVEL_ERROR, "broker_lost", &status->failure);
		log_info("will_retry", "", "in_ms=%" PRId64 " suppressed=%" PRIu64,
			wait_us / US_PER_MS, suppressed);
	}
	daemon_connect_later(d, wait_us);
}

static void daemon_look_at_broker(struct daemon *d)
{
	struct mqtt_status status;

	mqtt_status(d->mqtt, &status);
	metrics_set(&d->metrics->broker_up, status.state == MQTT_UP);
	if (status.state == MQTT_UP && !d->subscribed) {
		d->subscribed = true;
		daemon_broker_up(d, &status);
	} else if (status.state == MQTT_DOWN && status.failed &&
		   (d->subscribed || !ev_is_active(&d->broker_timer) ||
			   status.failure.kind == ERROR_FATAL)) {
		d->subscribed = false;
		if (d->phase == DAEMON_STOPPING_BROKER)
			daemon_stop_pipeline(d);
		else
			daemon_broker_down(d, &status);
	}
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
}

/* ---- stopping ---- */

static void daemon_on_stop_signal(void *context, int signum)
{
	(void)signum;
	daemon_stop(context);
}

static void daemon_on_reload(void *context)
{
	const struct daemon *d = context;

	reload_settings(d->config);
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

static void daemon_wait_at_most(struct daemon *d, double seconds)
{
	ev_timer_stop(d->loop, &d->stop_timer);
	ev_timer_set(&d->stop_timer, seconds, 0.);
	ev_timer_start(d->loop, &d->stop_timer);
}

static void daemon_stop(struct daemon *d)
{
	struct mqtt_status status;

	if (d->phase != DAEMON_RUNNING)
		return;
	d->phase = DAEMON_STOPPING_BROKER;
	ev_timer_stop(d->loop, &d->broker_timer);
	daemon_wait_at_most(d, STOP_BROKER_S);
	/* A receiver that waits for space in the log parks itself: it will not acknowledge. */
	spool_stop_waiting(d->spool);
	mqtt_status(d->mqtt, &status);
	if (status.state == MQTT_DOWN)
		daemon_stop_pipeline(d);
	else
		mqtt_disconnect(d->mqtt);
}

static void daemon_stop_pipeline(struct daemon *d)
{
	if (d->phase != DAEMON_STOPPING_BROKER)
		return;
	d->phase = DAEMON_STOPPING_PIPELINE;
	daemon_wait_at_most(d, STOP_PIPELINE_S);
	pipeline_stop(d->pipeline);
}

static void daemon_on_stop_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct daemon *d = w->data;

	(void)events;
	if (d->phase == DAEMON_STOPPING_BROKER) {
		daemon_stop_pipeline(d);
	} else { /* what is not committed stays in the log */
		log_warn("stop_cut_short", "the batch under way did not end in time",
			"seconds=%.0f", STOP_PIPELINE_S);
		ev_break(loop, EVBREAK_ALL);
	}
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

static bool daemon_migrate(void *context, struct error *err)
{
	struct daemon *d = context;
	struct migrate_options options = {.schema = d->config->storage_postgres_schema,
		.path = migrate_path_setting(d->config->storage_postgres_migrations_path)};
	PGconn *conn;
	bool ok;

	if (!d->options->migrate)
		return false;
	log_info("migrating", "the schema is behind", "schema=%s", LOG_VALUE(options.schema));
	conn = pg_connect(&d->options->pg, err);
	if (conn == NULL)
		return false;
	ok = migrate_up_all(conn, &options, err);
	PQfinish(conn);
	return ok;
}

/* ---- pages ---- */

static bool daemon_page(void *context, const char *path, struct http_answer *out)
{
	struct daemon *d = context;
	struct mqtt_status status;

	if (strcmp(path, "/healthz") == 0) {
		out->body = slice_from_cstr("ok\n"); /* the loop turns */
		return true;
	}
	if (strcmp(path, "/readyz") == 0) {
		mqtt_status(d->mqtt, &status);
		if (status.state == MQTT_UP && pipeline_is_ready(d->pipeline)) {
			out->body = slice_from_cstr("ready\n");
		} else {
			out->status = 503;
			out->body = slice_from_cstr(
				status.state != MQTT_UP ? "no broker\n" : "no database\n");
		}
		return true;
	}
	if (strcmp(path, "/metrics") != 0)
		return false;
	pipeline_measure(d->pipeline, d->spool);
	arena_reset(&d->pages);
	out->content_type = "text/plain; version=0.0.4; charset=utf-8";
	out->body = metrics_text(d->metrics, &d->pages);
	return true;
}

/* ---- now and then ---- */

static void daemon_on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct daemon *d = w->data;
	uint64_t seen = d->metrics->received_qos0;
	int64_t now = clock_mono_us();

	(void)loop;
	(void)events;
	if (seen > d->qos0_seen &&
		(d->qos0_warned_us == 0 || now - d->qos0_warned_us > QOS0_WARNING_US)) {
		d->qos0_warned_us = now;
		log_warn("qos0",
			"messages come with QoS 0: the broker does not keep them for us, so what "
			"it "
			"is given while we are away is lost",
			"messages=%" PRIu64, seen);
	}
	d->qos0_seen = seen;
}

/* ---- starting ---- */

static bool daemon_open_spool(struct daemon *d, struct error *err)
{
	const struct config *c = d->config;
	struct spool_options options = {
		.dir = c->spool_dir,
		.sync = strcmp(c->spool_sync, "message") == 0    ? SPOOL_SYNC_MESSAGE
			: strcmp(c->spool_sync, "interval") == 0 ? SPOOL_SYNC_INTERVAL
								 : SPOOL_SYNC_NONE,
		.sync_interval_us = c->spool_sync_interval,
		.segment_bytes = c->spool_segment_bytes,
		.bytes_max = c->spool_bytes_max,
		.retain_us = c->spool_retain,
		.archive = strcmp(c->spool_archive, "zstd") == 0,
	};
	struct uuid identity;
	char text[UUID_TEXT_BYTES];

	if (!spool_open(&d->spool, &options, err))
		return false;
	identity = spool_identity(d->spool);
	uuid_format(&identity, text);
	if (c->mqtt_client_id[0] != '\0')
		snprintf(d->client_id, sizeof(d->client_id), "%s", c->mqtt_client_id);
	else
		snprintf(d->client_id, sizeof(d->client_id), "ocpp-persister-%s", text);
	log_info("log_opened", "", "dir=%s identity=%s last_seq=%" PRIu64 " sync=%s",
		LOG_VALUE(c->spool_dir), text, spool_last_seq(d->spool), c->spool_sync);
	return true;
}

static bool daemon_make_mqtt(struct daemon *d, struct error *err)
{
	const struct config *c = d->config;
	struct mqtt_options options = {
		.urls = c->mqtt_url.items,
		.urls_count = c->mqtt_url.count,
		.client_id = d->client_id,
		.user = c->mqtt_user,
		.password = c->mqtt_password,
		.qos = (int)c->mqtt_qos,
		.keep_alive_us = c->mqtt_keep_alive,
		.session_expiry_us = c->mqtt_session_expiry,
		.connect_timeout_us = c->mqtt_connect_timeout,
		.receive_maximum = c->mqtt_receive_maximum,
		.version = strcmp(c->mqtt_version, "5") == 0       ? MQTT_VERSION_5
			   : strcmp(c->mqtt_version, "3.1.1") == 0 ? MQTT_VERSION_311
								   : MQTT_VERSION_AUTO,
		.tls_ca = c->mqtt_tls_ca,
		.tls_certificate = c->mqtt_tls_certificate,
		.tls_key = c->mqtt_tls_key,
		.tls_key_password = c->mqtt_tls_key_password,
		.tls_verify = c->mqtt_tls_verify,
	};
	struct mqtt_events events = {daemon_on_message, daemon_wake, d};

	d->intake = (struct intake){.spool = d->spool,
		.metrics = d->metrics,
		.message_bytes_max = c->mqtt_message_bytes_max,
		.wake = daemon_wake,
		.context = d};
	if (!filters_init(&d->filters, c, err))
		return false;
	options.filters = d->filters.wanted;
	options.filters_count = d->filters.wanted_count;
	options.old_filters = d->filters.old;
	options.old_filters_count = d->filters.old_count;
	return mqtt_new(&d->mqtt, &options, events, err);
}

static void daemon_init_watchers(struct daemon *d)
{
	struct signals_events signals = {daemon_on_stop_signal, daemon_on_reload, daemon_on_rotate,
		d};

	ev_async_init(&d->wake, daemon_on_wake);
	ev_init(&d->broker_timer, daemon_on_broker_timer);
	ev_init(&d->stop_timer, daemon_on_stop_timer);
	ev_timer_init(&d->tick, daemon_on_tick, 1., 1.);
	d->wake.data = d->broker_timer.data = d->stop_timer.data = d->tick.data = d;
	ev_async_start(d->loop, &d->wake);
	ev_timer_start(d->loop, &d->tick);
	signals_start(&d->signals, d->loop, signals);
}

static bool daemon_start(struct daemon *d, struct error *err)
{
	const struct config *c = d->config;
	struct pipeline_events events = {daemon_on_fatal, daemon_migrate, daemon_on_drained, d};
	int64_t schema_version;

	d->loop = ev_default_loop(EVFLAG_AUTO);
	d->metrics = calloc(1, sizeof(*d->metrics));
	if (d->loop == NULL || d->metrics == NULL ||
		!arena_init(&d->pages, PAGE_ARENA_BYTES, PAGE_ARENA_BYTES))
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	backoff_init(&d->broker_backoff, BROKER_BASE_US, BROKER_CAP_US, (uint64_t)clock_mono_us());
	daemon_init_watchers(d);
	if (!migrate_newest(migrate_path_setting(c->storage_postgres_migrations_path),
		    &schema_version, err) ||
		!daemon_open_spool(d, err) || !log_reader_of_spool(&d->log, d->spool, err) ||
		!pipeline_new(&d->pipeline, d->loop, c, &d->options->pg, schema_version,
			d->client_id, &d->log, d->metrics, events, err) ||
		!daemon_make_mqtt(d, err))
		return false;
	if (c->http_listen[0] != '\0' &&
		!http_start(&d->http, d->loop, c->http_listen, daemon_page, d, err))
		return false;
	pipeline_start(d->pipeline);
	mqtt_connect(d->mqtt);
	return true;
}

/*
 * In the reverse order. A receive thread that is parked, or a connection that did not end in time,
 * still uses the log: then nothing is freed and the process ends as it is, which the log takes for
 * a crash. False then.
 */
static bool daemon_finish(struct daemon *d)
{
	struct mqtt_status status = {.state = MQTT_DOWN};

	signals_stop(&d->signals);
	http_stop(&d->http);
	if (d->mqtt != NULL)
		mqtt_status(d->mqtt, &status);
	if (d->intake.parked || status.state != MQTT_DOWN) {
		log_warn("stopped_hard", "the connection to the broker did not end in time",
			"parked=%d", (int)d->intake.parked);
		return false;
	}
	mqtt_free(&d->mqtt);
	filters_fini(&d->filters);
	pipeline_free(&d->pipeline);
	log_reader_close(&d->log);
	spool_close(&d->spool);
	arena_fini(&d->pages);
	free(d->metrics);
	if (d->loop != NULL)
		ev_loop_destroy(d->loop);
	return true;
}

bool daemon_run(const struct daemon_options *options, bool *hard_out, struct error *err)
{
	struct daemon *d = calloc(1, sizeof(*d));
	bool failed;

	*hard_out = false;
	if (d == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	d->options = options;
	d->config = options->config;
	failed = !daemon_start(d, err);
	if (!failed) {
		log_info("started", "", "version=%s", OCPP_PERSISTER_VERSION);
		ev_run(d->loop, 0);
		failed = d->failed;
		if (failed)
			*err = d->failure;
	}
	*hard_out = !daemon_finish(d);
	log_info("stopped", "", "failed=%d", (int)failed);
	if (!*hard_out)
		free(d); /* else a thread still uses it */
	return !failed;
}
