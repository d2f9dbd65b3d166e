#include "daemon/settings.h"

#include "base/log.h"
#include "daemon/config_checks.h"
#include "daemon/options.h"
#include "pg/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool settings_new(struct settings **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading settings");
	(*out)->holders = 1;
	return true;
}

static void settings_use(struct settings *s, const struct config *config)
{
	s->config = config;
	s->pg = options_pg(config, s->url);
	s->pg_files = pg_files_digest(&s->pg);
}

bool settings_first(struct settings **out, const struct config *config, struct error *err)
{
	if (!settings_new(out, err))
		return false;
	settings_use(*out, config);
	return true;
}

static void settings_release(struct settings *s)
{
	if (s == NULL || --s->holders > 0)
		return;
	if (s->config == &s->own)
		config_fini(&s->own);
	explicit_bzero(s->url, sizeof(s->url));
	free(s);
}

void settings_hold(struct settings **slot, struct settings *other)
{
	struct settings *before = *slot;

	if (other != NULL)
		other->holders++;
	*slot = other;
	settings_release(before);
}

/* ---- what has changed ---- */

static void changes_name(char names[static SETTINGS_NAMES_BYTES], const char *name)
{
	size_t used = strlen(names);

	snprintf(names + used, SETTINGS_NAMES_BYTES - used, "%s%s", used > 0 ? ", " : "", name);
	if (used + strlen(name) + 3 > SETTINGS_NAMES_BYTES)
		memcpy(names + SETTINGS_NAMES_BYTES - 4, "...", 4);
}

static void changes_note(void *context, const char *name, enum config_reload reload)
{
	struct settings_changes *changes = context;

	changes_name(reload == CONFIG_RELOAD_RESTART ? changes->waiting : changes->taken, name);
	changes->broker |= reload == CONFIG_RELOAD_BROKER;
	changes->database |= reload == CONFIG_RELOAD_DATABASE;
}

/* ---- reading them again ---- */

static void settings_log_fault(void *context, const struct error *fault)
{
	struct error err = *fault;

	(void)context;
	error_prefix(&err, "the previous settings stay in force");
	if (err.hint[0] == '\0')
		error_hint(&err, "correct the settings and send SIGHUP again");
	log_fault(LOG_LEVEL_ERROR, "reload_failed", &err);
}

/* At the start it may be one: `OCPP_PERSISTER_CONFIG=<(...)`. Read again it would be waited for, or
 * be empty, which is as good as all defaults. */
static bool settings_file_is_no_pipe(const char *path, struct error *err)
{
	struct stat st;

	if (path == NULL || stat(path, &st) != 0 || S_ISREG(st.st_mode))
		return true; /* opening it reports that */
	error_set(err, ERROR_FATAL, REASON_bad_settings_file,
		"\"%s\" is not a regular file: it cannot be read a second time", path);
	return error_hint(err, "start the program again: with a file, if SIGHUP is to work");
}

static void settings_log_conflict(void *context, const struct error *fault)
{
	struct error err = *fault;

	error_prefix(&err, "conflicts with a setting that only a restart changes");
	error_hint(&err, "start the program again: a restart takes all settings");
	settings_log_fault(context, &err);
}

/* What is in force must go together, too. */
static bool settings_fit(struct settings *s, const struct settings *running)
{
	struct error err;

	if (!config_keep(&s->own, running->config, &err)) {
		settings_log_fault(NULL, &err);
		return false;
	}
	return config_check_each(&s->own, settings_log_conflict, NULL) == 0;
}

bool settings_read(const struct settings *running, struct settings **out,
	struct settings_changes *changes_out)
{
	struct config_sources sources = running->config->sources;
	struct settings_changes changes = {.broker = false};
	struct settings *s;
	struct error err;

	if (!settings_new(&s, &err)) {
		settings_log_fault(NULL, &err);
		return false;
	}
	if (!settings_file_is_no_pipe(running->config->sources.file, &err)) {
		settings_log_fault(NULL, &err);
		settings_release(s);
		return false;
	}
	sources.more = config_checks;
	if (!config_load(&s->own, &sources, settings_log_fault, NULL)) {
		settings_release(s);
		return false;
	}
	s->config = &s->own;
	config_compare(running->config, &s->own, changes_note, &changes);
	if (!settings_fit(s, running)) {
		settings_release(s);
		return false;
	}
	settings_use(s, &s->own);
	if (s->pg_files != running->pg_files)
		changes_note(&changes, "files that libpq reads", CONFIG_RELOAD_DATABASE);
	*changes_out = changes;
	*out = s;
	return true;
}

void settings_say(const struct settings *s, const struct settings_changes *changes)
{
	char level[CONFIG_CHOICE_BYTES];
	struct error err;

	log_info("reloaded", "", "changed=%s new_connections=%s log_level=%s",
		LOG_VALUE(changes->taken[0] != '\0' ? changes->taken : "nothing"),
		changes->broker && changes->database ? "broker,database"
		: changes->broker                    ? "broker"
		: changes->database                  ? "database"
						     : "none",
		config_choice(s->config, "log.level", level));
	if (changes->waiting[0] == '\0')
		return;
	error_set(&err, ERROR_FATAL, REASON_restart_needed,
		"these settings have changed and take effect at the next start: %s",
		changes->waiting);
	log_fault(LOG_LEVEL_WARN, "not_reloaded", &err);
}
