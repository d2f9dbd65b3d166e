#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "config/config.h"
#include "decode/topic.h"
#include "mqtt/mqtt.h"
#include "pg/connect.h"
#include "pg/conninfo.h"
#include "rows/rows.h"

/*
 * From the settings to the options of stages that both the daemon and a command use: made in one
 * place, so that a setting counts for both. Text is borrowed from the settings.
 */

/* The settings as libpq wants them; url is for the text of it. */
struct pg_options options_pg(const struct config *c, char url[static PG_CONNINFO_BYTES_MAX]);

/* All but the client id and the filters. */
struct mqtt_options options_mqtt(const struct config *c);

/* What the levels of topics mean. FATAL. */
MUST_CHECK bool options_topics(const struct config *c, struct topic_patterns *patterns,
	struct error *err);

/* How long tables keep rows, by their id; 0 = for ever. */
void options_retention(const struct config *c, int64_t out[static TABLE_COUNT]);

/* *skip_out holds the actions that are skipped: free() it after the last use. False with err. */
MUST_CHECK bool options_rows(const struct config *c, struct rows_options *out,
	struct slice **skip_out, struct error *err);

#endif
