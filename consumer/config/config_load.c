#include "config/broker_url.h"
#include "config/config.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

bool config_check(const struct config *c, struct error *err)
{
	if (c->spool_bytes_max < 2 * c->spool_segment_bytes) {
		error_set(err, ERROR_FATAL, "bad_setting",
			"spool.bytes_max is less than two segments of spool.segment_bytes");
		return error_hint(err, "make spool.bytes_max larger or the segments smaller");
	}
	if (c->spool_segment_bytes < 2 * c->mqtt_message_bytes_max)
		return error_set(err, ERROR_FATAL, "bad_setting",
			"spool.segment_bytes is less than twice mqtt.message_bytes_max");
	if (c->mqtt_topics.count == 0)
		return error_set(err, ERROR_FATAL, "bad_setting",
			"mqtt.topics is empty: there is nothing to subscribe to");
	if (c->mqtt_url.count == 0)
		return error_set(err, ERROR_FATAL, "bad_setting", "mqtt.url is empty");
	for (size_t i = 0; i < c->mqtt_url.count; i++) {
		if (!broker_url_check("mqtt.url", c->mqtt_url.items[i], err))
			return false;
	}
	if (c->spool_dir[0] == '\0')
		return error_set(err, ERROR_FATAL, "bad_setting", "spool.dir is empty");
	if (c->storage_postgres_schema[0] == '\0')
		return error_set(err, ERROR_FATAL, "bad_setting",
			"storage.postgres.schema is empty");
	if ((c->mqtt_tls_certificate[0] == '\0') != (c->mqtt_tls_key[0] == '\0'))
		return error_set(err, ERROR_FATAL, "bad_setting",
			"mqtt.tls_certificate and mqtt.tls_key go together");
	return true;
}

static bool config_load_options(struct config *c, struct error *err)
{
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
		config_load_environment(c, err) && config_load_options(c, err) &&
		config_check(c, err))
		return true;
	config_fini(c);
	return false;
}
