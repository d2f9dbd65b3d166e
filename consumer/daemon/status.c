#include "daemon/status.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* As in deploy/alerts.yml. */
static const int64_t STATUS_BACKLOG_US = 300 * US_PER_SECOND;
static const int64_t STATUS_CLOCK_US = 5 * US_PER_SECOND;
/* What is heard within 5 minutes counts, so before that 0 means nothing. */
static const int64_t STATUS_HEARD_US = 300 * US_PER_SECOND;
/* A connection takes a moment: until then its absence is no trouble, unless there is a reason. */
static const int64_t STATUS_GRACE_US = 10 * US_PER_SECOND;
/* Messages that wait for less are about to be stored. */
static const int64_t STATUS_WAITS_US = 60 * US_PER_SECOND;

struct status_rule_text {
	const char *name, *level, *text, *todo;
};

static const struct status_rule_text status_rules[STATUS_RULES] = {
#define RULE(name, level, why, text, todo) {#name, #level, text, todo},
#include "daemon/status_rules.def"
#undef RULE
};

/* ---- what holds ---- */

static bool status_is_new(const struct status_facts *f)
{
	return f->wall_us - (int64_t)f->metrics->process_started_us < STATUS_GRACE_US;
}

/* Working, or in a phase that needs the same connections. */
static bool status_has_log(const struct status_facts *f)
{
	return f->phase != STATUS_STARTING && f->phase != STATUS_NO_ROOM &&
	       f->phase != STATUS_STOPPING;
}

static void status_hold_broker(const struct status_facts *f, bool holds[static STATUS_RULES])
{
	bool away = status_has_log(f) && !f->broker_up;

	if (f->phase == STATUS_DRAINING && f->broker_why == NULL)
		return; /* a drain ends its connection itself */
	if (status_is_new(f) && f->broker_why == NULL)
		holds[STATUS_RULE_starting] |= away;
	else
		holds[f->broker_silent ? STATUS_RULE_broker_silent : STATUS_RULE_broker_away] =
			away;
}

static void status_hold_database(const struct status_facts *f, bool holds[static STATUS_RULES])
{
	bool wanted = status_has_log(f) && f->phase != STATUS_MIGRATING;

	if (f->batch_refused)
		holds[STATUS_RULE_batch_refused] = wanted;
	else if (status_is_new(f) && f->database_why == NULL)
		holds[STATUS_RULE_starting] |= wanted && !f->database_up;
	else
		holds[STATUS_RULE_database_away] = wanted && !f->database_up;
}

static void status_hold_log(const struct status_facts *f, bool holds[static STATUS_RULES])
{
	const struct metrics *m = f->metrics;
	int64_t age_us = (int64_t)m->backlog_age_us;

	holds[STATUS_RULE_no_room] = f->phase == STATUS_NO_ROOM || m->spool_disk_full != 0;
	holds[STATUS_RULE_log_full] = m->spool_full != 0 && !holds[STATUS_RULE_no_room];
	holds[STATUS_RULE_log_damaged] = m->spool_damaged != 0;
	holds[STATUS_RULE_log_fills] = m->spool_bytes / 4 > (uint64_t)f->spool_bytes_max / 5 &&
				       age_us > STATUS_WAITS_US && !holds[STATUS_RULE_no_room] &&
				       !holds[STATUS_RULE_log_full];
	holds[STATUS_RULE_backlog] =
		f->database_up && !f->batch_refused && age_us > STATUS_BACKLOG_US;
}

static void status_hold_counts(const struct status *s, const struct status_facts *f,
	bool holds[static STATUS_RULES])
{
	const struct metrics *m = f->metrics;
	struct sample now = sample_of(m, f->mono_us);
	struct sample none = {.mono_us = 0}; /* counters begin at 0 */
	const struct sample *then =
		s->samples.count < SAMPLES_COUNT ? &none : samples_get(&s->samples, 0);

	holds[STATUS_RULE_gap] = now.gap > then->gap;
	holds[STATUS_RULE_dead_letters] = now.dead_lettered > then->dead_lettered;
	holds[STATUS_RULE_qos0] = now.qos0 > then->qos0;
	holds[STATUS_RULE_no_stations] = f->phase == STATUS_WORKING && m->stations_heard == 0 &&
					 s->broker.up &&
					 f->wall_us - s->broker.since_us > STATUS_HEARD_US;
	holds[STATUS_RULE_clock] = (int64_t)m->clock_offset_us > STATUS_CLOCK_US;
	holds[STATUS_RULE_files] = m->process_open_fds > m->process_max_fds / 5 * 4;
}

static void status_hold(const struct status *s, const struct status_facts *f,
	bool holds[static STATUS_RULES])
{
	holds[STATUS_RULE_starting] = f->phase == STATUS_STARTING;
	status_hold_broker(f, holds);
	status_hold_database(f, holds);
	status_hold_log(f, holds);
	status_hold_counts(s, f, holds);
	holds[STATUS_RULE_migrating] = f->phase == STATUS_MIGRATING;
	holds[STATUS_RULE_not_reloaded] = f->not_reloaded;
	holds[STATUS_RULE_draining] = f->phase == STATUS_DRAINING;
	holds[STATUS_RULE_stopping] = f->phase == STATUS_STOPPING;
}

static void status_note_link(struct status_link *link, bool up, const struct status_facts *f)
{
	if (link->since_us != 0 && link->up == up)
		return;
	link->up = up;
	link->since_us = f->wall_us;
}

void status_note(struct status *s, const struct status_facts *f)
{
	bool holds[STATUS_RULES] = {false};

	if (samples_due(&s->samples, f->mono_us))
		samples_add(&s->samples, f->metrics, f->mono_us);
	status_note_link(&s->broker, f->broker_up, f);
	status_note_link(&s->database, f->database_up && !f->batch_refused, f);
	status_hold(s, f, holds);
	for (size_t i = 0; i < STATUS_RULES; i++) {
		if (!holds[i])
			s->since_us[i] = 0;
		else if (s->since_us[i] == 0)
			s->since_us[i] = f->wall_us;
	}
}

/* ---- as JSON ---- */

static void json_printf(struct text *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void json_printf(struct text *t, const char *format, ...)
{
	char piece[256];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(piece, sizeof(piece), format, args);
	va_end(args);
	CHECK(size >= 0 && (size_t)size < sizeof(piece));
	text_put(t, piece, (size_t)size);
}

static void json_string(struct text *t, const char *key, const char *value)
{
	json_printf(t, "\"%s\":", key);
	text_put_json_string(t, slice_from_cstr(value));
}

static double seconds_of(int64_t us)
{
	return (double)us / (double)US_PER_SECOND;
}

static const char *status_why(const struct status_facts *f, enum status_rule rule)
{
	const char *const nothing = NULL; /* of a rule without a reason */
	const char *const broker_why = f->broker_why, *const database_why = f->database_why;
	const char *const reasons[STATUS_RULES] = {
#define RULE(name, level, why, text, todo) why,
#include "daemon/status_rules.def"
#undef RULE
	};

	return reasons[rule];
}

static void json_problem(struct text *t, const struct status *s, const struct status_facts *f,
	enum status_rule rule)
{
	const struct status_rule_text *r = &status_rules[rule];
	const char *why = status_why(f, rule);

	json_string(t, "name", r->name);
	text_put_char(t, ',');
	json_string(t, "level", r->level);
	text_put_char(t, ',');
	json_string(t, "text", r->text);
	if (why != NULL) {
		text_put_char(t, ',');
		json_string(t, "reason", why);
	}
	json_printf(t, ",\"since\":%.3f,", seconds_of(s->since_us[rule]));
	json_string(t, "todo", r->todo);
}

static void json_problems(struct text *t, const struct status *s, const struct status_facts *f)
{
	const char *verdict = "All is well", *sep = "";

	for (size_t i = STATUS_RULES; i-- > 0;) {
		if (s->since_us[i] != 0)
			verdict = status_rules[i].text;
	}
	json_string(t, "verdict", verdict);
	text_put_cstr(t, ",\"problems\":[");
	for (size_t i = 0; i < STATUS_RULES; i++) {
		if (s->since_us[i] == 0)
			continue;
		json_printf(t, "%s{", sep);
		json_problem(t, s, f, (enum status_rule)i);
		text_put_char(t, '}');
		sep = ",";
	}
	text_put_char(t, ']');
}

static void json_link(struct text *t, const char *name, const struct status_link *link)
{
	json_printf(t, "\"%s\":{\"up\":%s,\"since\":%.3f},", name, link->up ? "true" : "false",
		seconds_of(link->since_us));
}

static void json_family(struct text *t, const char *name, const struct metrics_family *f)
{
	json_printf(t, "\"%s\":{", name);
	for (size_t i = 0; i < f->count; i++) {
		json_printf(t, "%s", i == 0 ? "" : ",");
		text_put_json_string(t, slice_from_cstr(f->members[i].label));
		json_printf(t, ":%" PRIu64, f->members[i].value);
	}
	text_put_cstr(t, "},");
}

static void json_counts(struct text *t, const struct metrics *m)
{
	json_printf(t, "\"received\":%" PRIu64 ",\"rows\":%" PRIu64 ",",
		metrics_sum(m, "mqtt_messages_received_total"), metrics_sum(m, "rows_total"));
	json_printf(t,
		"\"messages\":{\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64
		",\"dead_lettered\":%" PRIu64 ",\"skipped\":%" PRIu64 "},",
		m->messages_stored, m->messages_duplicate, m->messages_dead_lettered,
		m->messages_skipped);
	json_family(t, "dead_letters", &m->dead_lettered_reasons);
	json_family(t, "skipped", &m->skipped_reasons);
	json_printf(t, "\"stations_heard\":%" PRIu64 ",", m->stations_heard);
}

static void json_log(struct text *t, const struct status_facts *f)
{
	const struct metrics *m = f->metrics;

	json_printf(t, "\"log\":{\"records_waiting\":%" PRIu64 ",\"oldest_waits_seconds\":%.3f,",
		m->backlog_records, seconds_of((int64_t)m->backlog_age_us));
	json_printf(t,
		"\"bytes\":%" PRIu64 ",\"bytes_max\":%" PRId64 ",\"disk_free_bytes\":%" PRIu64 "},",
		m->spool_bytes, f->spool_bytes_max, m->spool_disk_free_bytes);
}

/* Each: when it ended, in seconds from now (negative); messages received and rows written per
 * second. */
static void json_rates(struct text *t, const struct samples *s, int64_t mono_us)
{
	text_put_cstr(t, "\"rates\":[");
	for (size_t i = 1; i < s->count; i++) {
		const struct sample *from = samples_get(s, i - 1), *to = samples_get(s, i);
		double seconds = seconds_of(to->mono_us - from->mono_us);

		json_printf(t, "%s[%.1f,%.2f,%.2f]", i == 1 ? "" : ",",
			seconds_of(to->mono_us - mono_us),
			(double)(to->received - from->received) / seconds,
			(double)(to->rows - from->rows) / seconds);
	}
	text_put_char(t, ']');
}

struct slice status_json(const struct status *s, const struct status_facts *f, struct arena *arena)
{
	struct text t;

	text_begin(&t, arena);
	text_put_char(&t, '{');
	json_string(&t, "version", OCPP_PERSISTER_VERSION);
	json_printf(&t, ",\"now\":%.3f,\"started\":%.3f,", seconds_of(f->wall_us),
		seconds_of((int64_t)f->metrics->process_started_us));
	json_problems(&t, s, f);
	text_put_char(&t, ',');
	json_link(&t, "broker", &s->broker);
	json_link(&t, "database", &s->database);
	json_counts(&t, f->metrics);
	json_log(&t, f);
	json_rates(&t, &s->samples, f->mono_us);
	text_put_cstr(&t, "}\n");
	return text_end(&t);
}
