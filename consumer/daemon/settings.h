#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include "config/config.h"
#include "pg/connect.h"
#include "pg/conninfo.h"

/*
 * The settings as they were read once. They are never changed: SIGHUP reads a new set, and each
 * owner switches to it when it can. Until then it keeps the old one alive, since options of stages
 * borrow its texts. All on the loop's thread.
 *
 * Who switches when (each says in its header what it takes over, and how):
 *
 *	logging              at once
 *	intake.h, heard.h    at once, by an atomic or under a lock; so does the log (spool.h)
 *	pipeline.h           when no batch is being stored
 *	dropper.h            at once, with another connection
 *	mqtt.h, filters.h    when there is no connection to the broker; one is ended only for
 *	                     settings that need it
 */
struct settings {
	const struct config *config;
	struct pg_options pg;

	unsigned holders;
	struct config own;
	char url[PG_CONNINFO_BYTES_MAX];
	uint64_t pg_files; /* what libpq would find */
};

/* Those of the start; config outlives them. FATAL. The caller holds them. */
MUST_CHECK bool settings_first(struct settings **out, const struct config *config,
	struct error *err);

/* What others change, by what it needs (enum config_reload). Names are cut where there are many. */
enum { SETTINGS_NAMES_BYTES = 400 };

struct settings_changes {
	bool broker, database;
	char taken[SETTINGS_NAMES_BYTES];
	char waiting[SETTINGS_NAMES_BYTES]; /* for a restart */
};

/*
 * Reads them again, from where those of the running process came. What needs a restart is in them
 * as it is in the running ones. False if they are wrong: each fault is logged (reload_failed) as
 * `config check` would say it, and nothing is changed.
 */
MUST_CHECK bool settings_read(const struct settings *running, struct settings **out,
	struct settings_changes *changes_out);

/* Logs what was taken over and what waits. */
void settings_say(const struct settings *s, const struct settings_changes *changes);

/* *slot holds the other ones from here on; NULL on either side is fine. */
void settings_hold(struct settings **slot, struct settings *other);

#endif
