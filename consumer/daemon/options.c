#include "daemon/options.h"

#include <stdlib.h>
#include <string.h>

struct pg_options options_pg(const struct config *c, char url[static PG_CONNINFO_BYTES_MAX])
{
	struct pg_pool_settings pool = pg_pool_settings_default();

	/* libpq would refuse a string with pool settings, so they are taken out. If it cannot be
	 * split, libpq itself says what is wrong. */
	return (struct pg_options){
		.url = pg_conninfo_split(c->storage_url, url, &pool, NULL) ? url : c->storage_url,
		.host = c->storage_postgres_host,
		.database = c->storage_postgres_database,
		.user = c->storage_postgres_user,
		.password = c->storage_postgres_password,
		.ssl_mode = c->storage_postgres_ssl_mode,
		.ssl_root_cert = c->storage_postgres_ssl_root_cert,
		.ssl_cert = c->storage_postgres_ssl_cert,
		.ssl_key = c->storage_postgres_ssl_key,
		.schema = c->storage_postgres_schema,
		.port = c->storage_postgres_port,
		.connect_timeout_us = c->storage_postgres_connect_timeout,
		.application = "ocpp-persister",
	};
}

struct mqtt_options options_mqtt(const struct config *c)
{
	static const enum mqtt_version versions[] = {[CONFIG_MQTT_AUTO] = MQTT_VERSION_AUTO,
		[CONFIG_MQTT_5] = MQTT_VERSION_5,
		[CONFIG_MQTT_311] = MQTT_VERSION_311};

	return (struct mqtt_options){
		.urls = c->mqtt_url.items,
		.urls_count = c->mqtt_url.count,
		.user = c->mqtt_user,
		.password = c->mqtt_password,
		.qos = (int)c->mqtt_qos,
		.keep_alive_us = c->mqtt_keep_alive,
		.session_expiry_us = c->mqtt_session_expiry,
		.connect_timeout_us = c->mqtt_connect_timeout,
		.receive_maximum = c->mqtt_receive_maximum,
		.version = versions[c->mqtt_version],
		.tls_ca = c->mqtt_tls_ca,
		.tls_certificate = c->mqtt_tls_certificate,
		.tls_key = c->mqtt_tls_key,
		.tls_key_password = c->mqtt_tls_key_password,
		.tls_crl = c->mqtt_tls_crl,
		.tls_verify = c->mqtt_tls_verify,
	};
}

bool options_topics(const struct config *c, struct topic_patterns *patterns, struct error *err)
{
	patterns->count = 0;
	for (size_t i = 0; i < c->mqtt_topic_patterns.count; i++) {
		if (!topic_patterns_add(patterns, c->mqtt_topic_patterns.items[i], err))
			return false;
	}
	return true;
}

void options_retention(const struct config *c, int64_t out[static TABLE_COUNT])
{
	memset(out, 0, TABLE_COUNT * sizeof(*out));
	out[TABLE_meter_values] = c->retention_meter_values;
	out[TABLE_transaction_events] = c->retention_transaction_events;
	out[TABLE_transaction_starts] = c->retention_transaction_events;
	out[TABLE_authorizations] = c->retention_authorizations;
	out[TABLE_ocpp_events] = c->retention_ocpp_events;
	out[TABLE_transactions] = c->retention_transactions;
}

bool options_rows(const struct config *c, struct rows_options *out, struct slice **skip_out,
	struct error *err)
{
	int64_t retention_us[TABLE_COUNT];
	struct slice *skip = calloc(c->events_skip.count + 1, sizeof(*skip));

	if (skip == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading settings");
	for (size_t i = 0; i < c->events_skip.count; i++)
		skip[i] = slice_from_cstr(c->events_skip.items[i]);
	*skip_out = skip;
	*out = (struct rows_options){.results_all = c->events_results == CONFIG_RESULTS_ALL,
		.skip_actions = skip,
		.skip_actions_count = c->events_skip.count,
		.dedupe_window_us = c->dedupe_window};
	options_retention(c, retention_us);
	memcpy(out->retention_us, retention_us, sizeof(out->retention_us));
	return true;
}
