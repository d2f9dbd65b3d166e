#include "config/broker_url.h"
#include "config/config_settings.h"
#include "config/config_value.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* Do the settings go together? Each is valid on its own. */

enum { TOKEN_KEY_BYTES_MIN = 16 };

struct config_checks {
	const struct config *config;
	config_fault *each;
	void *context;
	unsigned faults;
};

/* name: the setting at fault; also: how others begin that it is compared with, or NULL. */
static void config_check_note_both(struct config_checks *k, const char *name, const char *also,
	bool ok, struct error *err)
{
	if (ok || !config_place(k->config, name, err) ||
		(also != NULL && !config_is_sound(k->config, also)))
		return;
	k->faults++;
	k->each(k->context, err);
}

static void config_check_note(struct config_checks *k, const char *name, bool ok, struct error *err)
{
	config_check_note_both(k, name, NULL, ok, err);
}

/* MQTT 5, 4.7.1: # stands for all levels at the end, + for one. */
static bool config_topic_is_filter(const char *topic)
{
	const char *level = topic;

	for (const char *at = topic;; at++) {
		size_t size = (size_t)(at - level);

		if (*at != '/' && *at != '\0')
			continue;
		if (memchr(level, '#', size) != NULL && (size != 1 || *at != '\0'))
			return false;
		if (memchr(level, '+', size) != NULL && size != 1)
			return false;
		if (*at == '\0')
			return at - topic <= UINT16_MAX;
		level = at + 1;
	}
}

static bool config_topic_is_shared(const char *topic)
{
	return strncmp(topic, "$share/", 7) == 0;
}

const char *config_topic_filter(const char *topic)
{
	const char *slash = config_topic_is_shared(topic) ? strchr(topic + 7, '/') : NULL;

	return slash != NULL ? slash + 1 : topic;
}

static bool config_check_topic(const struct config *c, const char *topic, struct error *err)
{
	if (config_topic_is_shared(topic) && c->mqtt_group[0] != '\0') {
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.topics has \"%s\", which names a group, as mqtt.group does", topic);
		return error_hint(err, "leave $share/... out of mqtt.topics");
	}
	if (!config_topic_is_filter(config_topic_filter(topic))) {
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.topics has \"%s\", which is not a topic filter", topic);
		return error_hint(err, "# stands for all levels at the end, + for one level");
	}
	return true;
}

static bool config_check_group(const struct config *c, struct error *err)
{
	return strpbrk(c->mqtt_group, "/+#") == NULL || /* MQTT 5, 4.8.2 */
	       error_set(err, ERROR_FATAL, REASON_bad_setting,
		       "mqtt.group is \"%s\": /, + and # cannot be in it", c->mqtt_group);
}

static void config_check_topics(struct config_checks *k, const struct config *c)
{
	struct error err;

	if (c->mqtt_topics.count == 0) {
		error_set(&err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.topics is empty: there is nothing to subscribe to");
		config_check_note(k, "mqtt.topics", false, &err);
	}
	for (size_t i = 0; i < c->mqtt_topics.count; i++)
		config_check_note(k, "mqtt.topics",
			config_check_topic(c, c->mqtt_topics.items[i], &err), &err);
	config_check_note(k, "mqtt.group", config_check_group(c, &err), &err);
}

/* ---- how long rows are kept ---- */

struct config_age {
	const char *table;
	int64_t us;
	bool paired;
};

/* than: the setting that it is less than; value: what that is. */
static bool config_age_is_less(const struct config_age *age, const char *than, int64_t value_us,
	struct error *err)
{
	char is[CONFIG_TEXT_BYTES], value[CONFIG_TEXT_BYTES];

	config_format_duration(age->us, is);
	if (value_us == 0)
		snprintf(value, sizeof(value), "0: forever");
	else
		config_format_duration(value_us, value);
	return error_set(err, ERROR_FATAL, REASON_bad_setting,
		"retention.%s (%s) is less than %s (%s)", age->table, is, than, value);
}

static bool config_age_is_too_little(const struct config_age *age, struct error *err)
{
	char is[CONFIG_TEXT_BYTES];

	config_format_duration(age->us, is);
	error_set(err, ERROR_FATAL, REASON_bad_setting, "retention.%s (%s) is less than a day",
		age->table, is);
	return error_hint(err, "a number without a unit is seconds: write 90d for 90 days");
}

/* Data must not be dropped while it is still needed: to recognise a copy, to pair an answer with
 * its call, or by a table with a longer retention. */
static bool config_check_age(const struct config *c, const struct config_age *age,
	struct error *err)
{
	if (age->us == 0)
		return true;
	if (age->us < US_PER_DAY)
		return config_age_is_too_little(age, err);
	if (age->us < c->dedupe_window)
		return config_age_is_less(age, "dedupe.window", c->dedupe_window, err);
	if (!age->paired)
		return true;
	if (age->us < 2 * c->pairing_keep) {
		(void)config_age_is_less(age, "twice pairing.keep", 2 * c->pairing_keep, err);
		return error_hint(err, "answers would find their call dropped");
	}
	return age->us >= c->pairing_window ||
	       config_age_is_less(age, "pairing.window", c->pairing_window, err);
}

static bool config_check_late_events(const struct config *c, struct error *err)
{
	struct config_age age = {.table = "transactions", .us = c->retention_transactions};

	if (age.us == 0 ||
		(c->retention_transaction_events != 0 && age.us >= c->retention_transaction_events))
		return true;
	(void)config_age_is_less(&age, "retention.transaction_events",
		c->retention_transaction_events, err);
	return error_hint(err,
		"a late event that is kept would create its transaction again; 0 = forever");
}

static void config_check_ages(struct config_checks *k, const struct config *c)
{
	const struct config_age ages[] = {
		{"authorizations", c->retention_authorizations, true},
		{"meter_values", c->retention_meter_values, false},
		{"ocpp_events", c->retention_ocpp_events, true},
		{"transaction_events", c->retention_transaction_events, true},
		{"transactions", c->retention_transactions, true},
	};
	struct error err;

	for (size_t i = 0; i < sizeof(ages) / sizeof(*ages); i++) {
		char name[CONFIG_NAME_BYTES];

		snprintf(name, sizeof(name), "retention.%s", ages[i].table);
		config_check_note_both(k, name, "pairing.", config_check_age(c, &ages[i], &err),
			&err);
	}
	config_check_note_both(k, "retention.transactions", "retention.transaction_events",
		config_check_late_events(c, &err), &err);
}

/* ---- the rest ---- */

static bool config_check_token_key(const struct config *c, struct error *err)
{
	size_t size = strlen(c->privacy_token_key);

	if (size == 0 || size >= TOKEN_KEY_BYTES_MIN)
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_setting,
		"privacy.token_key has %zu characters; it must have at least %d", size,
		TOKEN_KEY_BYTES_MIN);
	return error_hint(err, "openssl rand -base64 32 makes one");
}

static bool config_check_size(const struct config *c, struct error *err)
{
	char size[CONFIG_TEXT_BYTES], segment[CONFIG_TEXT_BYTES];

	if (c->spool_bytes_max >= 2 * c->spool_segment_bytes)
		return true;
	config_format_bytes(c->spool_bytes_max, size);
	config_format_bytes(c->spool_segment_bytes, segment);
	error_set(err, ERROR_FATAL, REASON_bad_setting,
		"spool.bytes_max (%s) is less than two segments of spool.segment_bytes (%s)", size,
		segment);
	return error_hint(err, "make spool.bytes_max larger or the segments smaller");
}

static bool config_check_segment(const struct config *c, struct error *err)
{
	char segment[CONFIG_TEXT_BYTES], message[CONFIG_TEXT_BYTES];

	if (c->spool_segment_bytes >= 2 * c->mqtt_message_bytes_max)
		return true;
	config_format_bytes(c->spool_segment_bytes, segment);
	config_format_bytes(c->mqtt_message_bytes_max, message);
	return error_set(err, ERROR_FATAL, REASON_bad_setting,
		"spool.segment_bytes (%s) is less than twice mqtt.message_bytes_max (%s)", segment,
		message);
}

static void config_check_is_there(struct config_checks *k, const char *name, bool there)
{
	struct error err;

	if (there)
		return;
	error_set(&err, ERROR_FATAL, REASON_bad_setting, "%s is empty", name);
	config_check_note(k, name, false, &err);
}

static void config_check_tls(struct config_checks *k, const struct config *c)
{
	bool certificate = c->mqtt_tls_certificate[0] != '\0', key = c->mqtt_tls_key[0] != '\0';
	struct error err;

	if (certificate == key)
		return;
	error_set(&err, ERROR_FATAL, REASON_bad_setting,
		"mqtt.tls_certificate and mqtt.tls_key go together");
	config_check_note_both(k, certificate ? "mqtt.tls_certificate" : "mqtt.tls_key",
		certificate ? "mqtt.tls_key" : "mqtt.tls_certificate", false, &err);
}

unsigned config_check_each(const struct config *c, config_fault *each, void *context)
{
	struct config_checks k = {.config = c, .each = each, .context = context};
	struct error err;

	config_check_is_there(&k, "spool.dir", c->spool_dir[0] != '\0');
	config_check_note_both(&k, "spool.bytes_max", "spool.segment_bytes",
		config_check_size(c, &err), &err);
	config_check_note_both(&k, "spool.segment_bytes", "mqtt.message_bytes_max",
		config_check_segment(c, &err), &err);
	config_check_topics(&k, c);
	config_check_is_there(&k, "storage.postgres.schema", c->storage_postgres_schema[0] != '\0');
	config_check_tls(&k, c);
	config_check_is_there(&k, "mqtt.url", c->mqtt_url.count > 0);
	for (size_t i = 0; i < c->mqtt_url.count; i++)
		config_check_note(&k, "mqtt.url",
			broker_url_check("mqtt.url", c->mqtt_url.items[i], &err), &err);
	config_check_note(&k, "privacy.token_key", config_check_token_key(c, &err), &err);
	config_check_ages(&k, c);
	return k.faults;
}
