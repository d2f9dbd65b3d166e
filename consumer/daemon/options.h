#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "config/config.h"
#include "decode/topic.h"
#include "mqtt/mqtt.h"
#include "pg/connect.h"
#include "pg/conninfo.h"
#include "rows/rows.h"

/* Turns settings into the options of stages that both the daemon and commands use: in one place, so
 * that a setting applies to both. Text is borrowed from the settings. */

/* The database settings as connection options; url holds the text of theirs. */
struct pg_options options_pg(const struct config *c, char url[static PG_CONNINFO_BYTES_MAX]);

/* Everything but the client id and the filters. */
struct mqtt_options options_mqtt(const struct config *c);

/* The meaning of topic levels. FATAL. */
MUST_CHECK bool options_topics(const struct config *c, struct topic_patterns *patterns,
	struct error *err);

/* How long tables keep rows, by table id; 0 = forever. */
void options_retention(const struct config *c, int64_t out[static TABLE_COUNT]);

/* *skip_out has the skipped actions: free() it after the last use. False with err. */
MUST_CHECK bool options_rows(const struct config *c, struct rows_options *out,
	struct slice **skip_out, struct error *err);

#endif
