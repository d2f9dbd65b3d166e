#include "daemon/daemon_private.h"

#include "base/clock.h"

#include <stdio.h>
#include <sys/statvfs.h>

/* What the daemon says about itself: whether it is ready, and its pages. */

bool daemon_is_started(const struct daemon *d)
{
	return d->phase != DAEMON_STARTING && d->phase != DAEMON_NO_ROOM &&
	       d->phase != DAEMON_STOPPED;
}

enum daemon_trouble daemon_trouble(struct daemon *d)
{
	struct spool_stats stats;
	enum daemon_trouble broker;
	enum error_reason why;

	if (!daemon_is_started(d))
		return d->phase == DAEMON_NO_ROOM ? DAEMON_HAS_NO_ROOM : DAEMON_IS_STARTING;
	if (migration_is_running(&d->migration))
		return DAEMON_IS_MIGRATING;
	spool_stats(d->spool, &stats);
	if (stats.segments == 0 && stats.full)
		return DAEMON_HAS_NO_ROOM;
	broker = daemon_broker_trouble(d);
	if (broker != DAEMON_NO_TROUBLE || pipeline_is_ready(d->pipeline))
		return broker;
	return pipeline_trouble(d->pipeline, &why) == PIPELINE_BATCH_REFUSED
		       ? DAEMON_BATCH_IS_REFUSED
		       : DAEMON_HAS_NO_DATABASE;
}

const char *daemon_describe_trouble(struct daemon *d, enum daemon_trouble trouble, const char *end)
{
	static const char *const texts[] = {
		[DAEMON_NO_TROUBLE] = "ready",
		[DAEMON_IS_STARTING] = "starting",
		[DAEMON_IS_MIGRATING] = "the schema is being brought up to date",
		[DAEMON_HAS_NO_ROOM] = "no room on the disk of the log",
		[DAEMON_IS_NOT_SUBSCRIBED] = "the broker has not answered our subscription yet",
		[DAEMON_HAS_NO_BROKER] = "no broker",
		[DAEMON_HAS_NO_DATABASE] = "no database",
		[DAEMON_BATCH_IS_REFUSED] = "the database refuses a batch",
	};
	bool database = trouble == DAEMON_HAS_NO_DATABASE || trouble == DAEMON_BATCH_IS_REFUSED;
	enum error_reason why;

	if (database && pipeline_trouble(d->pipeline, &why) != PIPELINE_NO_TROUBLE)
		snprintf(d->not_ready, sizeof(d->not_ready), "%s: %s%s", texts[trouble],
			error_reason_name(why), end);
	else
		snprintf(d->not_ready, sizeof(d->not_ready), "%s%s", texts[trouble], end);
	return d->not_ready;
}

/* ---- pages ---- */

static void daemon_measure_disk(const struct daemon *d)
{
	struct statvfs disk;
	uint64_t room = 0;

	if (statvfs(d->config->spool_dir, &disk) == 0)
		room = (uint64_t)disk.f_bavail * (uint64_t)disk.f_frsize;
	metrics_set(&d->metrics->spool_disk_free_bytes, room);
}

static void daemon_measure(struct daemon *d)
{
	metrics_set(&d->metrics->spool_disk_full, d->phase == DAEMON_NO_ROOM);
	metrics_measure_process(d->metrics);
	daemon_measure_disk(d);
	if (!daemon_is_started(d))
		return;
	metrics_set(&d->metrics->stations_heard, heard_count(&d->heard, clock_mono_us()));
	pipeline_measure(d->pipeline, d->spool);
	metrics_set(&d->metrics->broker_up, daemon_broker_trouble(d) == DAEMON_NO_TROUBLE);
}

static enum status_phase daemon_status_phase(const struct daemon *d)
{
	switch (d->phase) {
	case DAEMON_STARTING:
		return STATUS_STARTING;
	case DAEMON_NO_ROOM:
		return STATUS_NO_ROOM;
	case DAEMON_RUNNING:
		if (migration_is_running(&d->migration))
			return STATUS_MIGRATING;
		return d->drain == DRAIN_NONE ? STATUS_WORKING : STATUS_DRAINING;
	case DAEMON_STOPPING_BROKER:
	case DAEMON_STOPPING_PIPELINE:
	case DAEMON_STOPPED:
		break;
	}
	return STATUS_STOPPING;
}

static void daemon_connection_facts(struct daemon *d, struct status_facts *out)
{
	enum daemon_trouble broker = daemon_broker_trouble(d);
	enum pipeline_trouble database;
	enum error_reason why;
	struct mqtt_status mqtt;

	mqtt_status(d->mqtt, &mqtt);
	out->broker_up = broker == DAEMON_NO_TROUBLE;
	out->broker_silent = broker == DAEMON_IS_NOT_SUBSCRIBED;
	if (mqtt.failed && !out->broker_up)
		out->broker_why = mqtt.failure.reason;
	database = pipeline_trouble(d->pipeline, &why);
	out->database_up = pipeline_is_ready(d->pipeline);
	out->batch_refused = database == PIPELINE_BATCH_REFUSED;
	if (database != PIPELINE_NO_TROUBLE)
		out->database_why = error_reason_name(why);
}

/* Measures first. */
static struct status_facts daemon_status_facts(struct daemon *d)
{
	struct status_facts facts = {.wall_us = clock_wall_us(),
		.mono_us = clock_mono_us(),
		.metrics = d->metrics,
		.phase = daemon_status_phase(d),
		.not_reloaded = d->not_reloaded,
		.spool_bytes_max = d->config->spool_bytes_max};

	daemon_measure(d);
	if (daemon_is_started(d))
		daemon_connection_facts(d, &facts);
	return facts;
}

void daemon_note_status(struct daemon *d)
{
	struct status_facts facts;

	if (d->http == NULL || !samples_due(&d->status.samples, clock_mono_us()))
		return;
	facts = daemon_status_facts(d);
	status_note(&d->status, &facts);
}

static void daemon_status_json(struct daemon *d, struct http_answer *out)
{
	struct status_facts facts = daemon_status_facts(d);

	status_note(&d->status, &facts);
	out->content_type = "application/json";
	out->body = status_json(&d->status, &facts, &d->pages);
}

static void daemon_readiness(struct daemon *d, struct http_answer *out)
{
	enum daemon_trouble trouble = daemon_trouble(d);

	out->status = trouble != DAEMON_NO_TROUBLE ? 503 : out->status;
	out->body = slice_from_cstr(daemon_describe_trouble(d, trouble, "\n"));
}

static void daemon_metrics(struct daemon *d, struct http_answer *out)
{
	daemon_measure(d);
	out->content_type = "text/plain; version=0.0.4; charset=utf-8";
	out->body = metrics_text(d->metrics, &d->pages);
}

static void daemon_status_page(struct daemon *d, struct http_answer *out)
{
	out->content_type = "text/html; charset=utf-8";
	out->policy = d->status_page.policy;
	out->body = d->status_page.html;
}

static void daemon_health(struct daemon *d, struct http_answer *out)
{
	(void)d;
	out->body = slice_from_cstr("ok\n"); /* the loop runs */
}

bool daemon_page(void *context, const char *path, struct http_answer *out)
{
	static const struct {
		const char *path;
		void (*make)(struct daemon *d, struct http_answer *out);
	} pages[] = {
		{"/", daemon_status_page},
		{"/status.json", daemon_status_json},
		{"/metrics", daemon_metrics},
		{"/healthz", daemon_health},
		{"/readyz", daemon_readiness},
	};
	struct daemon *d = context;

	arena_reset(&d->pages);
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		if (strcmp(path, pages[i].path) == 0) {
			pages[i].make(d, out);
			return true;
		}
	}
	return false;
}
