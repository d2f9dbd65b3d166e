#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include "config/config.h"
#include "pg/connect.h"
#include "pg/conninfo.h"

/*
 * One reading of the settings. It is never changed: SIGHUP reads a new set, and each owner switches
 * to it when it can. Until then the owner keeps the old one alive, since options of stages borrow
 * its texts. All on the loop's thread.
 *
 * Who switches when (each header says what it takes over, and how):
 *
 *	logging              immediately
 *	intake.h, heard.h    immediately, by an atomic or under a lock; so does the log (spool.h)
 *	pipeline.h           when no batch is being stored
 *	dropper.h            immediately, with another connection
 *	mqtt.h, filters.h    when there is no connection to the broker; one is ended only for
 *	                     settings that need it
 */
struct settings {
	const struct config *config;
	struct pg_options pg;

	unsigned holders;
	struct config own;
	char url[PG_CONNINFO_BYTES_MAX];
	uint64_t pg_files; /* digest of the files that libpq would use */
};

/* The settings at start; config outlives them. FATAL. The caller holds them. */
MUST_CHECK bool settings_first(struct settings **out, const struct config *config,
	struct error *err);

/* Which settings differ, by what a change needs (enum config_reload). A long list of names is
 * cut. */
enum { SETTINGS_NAMES_BYTES = 400 };

struct settings_changes {
	bool broker, database;
	char taken[SETTINGS_NAMES_BYTES];
	char waiting[SETTINGS_NAMES_BYTES]; /* those that wait for a restart */
};

/*
 * Reads the settings again, from the sources of the running process. Settings that need a restart
 * get their running values. False if they are wrong: each fault is logged (reload_failed) in the
 * words of `config check`, and nothing is changed.
 */
MUST_CHECK bool settings_read(const struct settings *running, struct settings **out,
	struct settings_changes *changes_out);

/* Logs what was taken over and what waits. */
void settings_say(const struct settings *s, const struct settings_changes *changes);

/* From now on *slot holds the other ones; NULL on either side is fine. */
void settings_hold(struct settings **slot, struct settings *other);

#endif
