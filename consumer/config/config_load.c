#include "config/broker_url.h"
#include "config/config_private.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

enum { TOKEN_KEY_BYTES_MIN = 16 };

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

static bool config_check_topics(const struct config *c, struct error *err)
{
	if (c->mqtt_topics.count == 0)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.topics is empty: there is nothing to subscribe to");
	for (size_t i = 0; i < c->mqtt_topics.count; i++) {
		const char *topic = c->mqtt_topics.items[i];

		bool shared = strncmp(topic, "$share/", 7) == 0;
		const char *filter = shared ? strchr(topic + 7, '/') : NULL;

		if (shared && c->mqtt_group[0] != '\0') {
			error_set(err, ERROR_FATAL, REASON_bad_setting,
				"mqtt.topics has \"%s\", which names a group, as mqtt.group does",
				topic);
			return error_hint(err, "leave $share/... out of mqtt.topics");
		}
		if (!config_topic_is_filter(filter != NULL ? filter + 1 : topic)) {
			error_set(err, ERROR_FATAL, REASON_bad_setting,
				"mqtt.topics has \"%s\", which is not a topic filter", topic);
			return error_hint(err,
				"# stands for all levels at the end, + for one level");
		}
	}
	if (strpbrk(c->mqtt_group, "/+#") != NULL) /* MQTT 5, 4.8.2 */
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.group is \"%s\": /, + and # cannot be in it", c->mqtt_group);
	return true;
}

/* Data must not be dropped while it is still needed: to recognise a copy, to pair an answer with
 * its call, or by a table with a longer retention. */
static bool config_check_age(const struct config *c, const char *table, int64_t age_us, bool paired,
	struct error *err)
{
	if (age_us == 0)
		return true;
	if (age_us < US_PER_DAY)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"retention.%s is less than a day", table);
	if (age_us < c->dedupe_window)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"retention.%s is less than dedupe.window", table);
	if (!paired || (age_us >= 2 * c->pairing_keep && age_us >= c->pairing_window))
		return true;
	return error_set(err, ERROR_FATAL, REASON_bad_setting,
		"retention.%s is less than twice pairing.keep: answers would find their call "
		"dropped",
		table);
}

static bool config_check_retention(const struct config *c, struct error *err)
{
	if (!config_check_age(c, "authorizations", c->retention_authorizations, true, err) ||
		!config_check_age(c, "meter_values", c->retention_meter_values, false, err) ||
		!config_check_age(c, "ocpp_events", c->retention_ocpp_events, true, err) ||
		!config_check_age(c, "transaction_events", c->retention_transaction_events, true,
			err) ||
		!config_check_age(c, "transactions", c->retention_transactions, true, err))
		return false;
	if (c->retention_transactions == 0 ||
		(c->retention_transaction_events != 0 &&
			c->retention_transactions >= c->retention_transaction_events))
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_setting,
		"retention.transactions is less than retention.transaction_events");
	return error_hint(err,
		"a late event that is kept would create its transaction again; 0 = forever");
}

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

bool config_check(const struct config *c, struct error *err)
{
	if (c->spool_bytes_max < 2 * c->spool_segment_bytes) {
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"spool.bytes_max is less than two segments of spool.segment_bytes");
		return error_hint(err, "make spool.bytes_max larger or the segments smaller");
	}
	if (c->spool_segment_bytes < 2 * c->mqtt_message_bytes_max)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"spool.segment_bytes is less than twice mqtt.message_bytes_max");
	if (!config_check_topics(c, err))
		return false;
	if (c->mqtt_url.count == 0)
		return error_set(err, ERROR_FATAL, REASON_bad_setting, "mqtt.url is empty");
	for (size_t i = 0; i < c->mqtt_url.count; i++) {
		if (!broker_url_check("mqtt.url", c->mqtt_url.items[i], err))
			return false;
	}
	if (c->spool_dir[0] == '\0')
		return error_set(err, ERROR_FATAL, REASON_bad_setting, "spool.dir is empty");
	if (c->storage_postgres_schema[0] == '\0')
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"storage.postgres.schema is empty");
	if ((c->mqtt_tls_certificate[0] == '\0') != (c->mqtt_tls_key[0] == '\0'))
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"mqtt.tls_certificate and mqtt.tls_key go together");
	return config_check_token_key(c, err) && config_check_retention(c, err);
}

static bool config_load_options(struct config *c, struct error *err)
{
	c->source++;
	for (size_t i = 0; i < c->sources.options_count; i++) {
		const char *option = c->sources.options[i], *equals = strchr(option, '=');
		char name[256];

		CHECK(equals != NULL);
		snprintf(name, sizeof(name), "%.*s", (int)(equals - option), option);
		if (!config_set(c, name, equals + 1, "command line", err))
			return false;
	}
	return true;
}

bool config_load(struct config *c, const struct config_sources *from, struct error *err)
{
	if (!config_init(c, err))
		return false;
	c->sources = *from;
	if ((from->file == NULL || config_load_file(c, from->file, err)) &&
		config_load_credentials(c, err) && config_load_environment(c, err) &&
		config_load_options(c, err) && config_read_secrets(c, err) &&
		config_check(c, err) && config_note_files(c, err))
		return true;
	config_fini(c);
	return false;
}
