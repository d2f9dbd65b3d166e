#include "daemon/daemon_private.h"

#include "daemon/options.h"

/* SIGHUP: new settings, and who switches to them when (daemon/settings.h). Before there is a log,
 * nobody uses any. */

static bool reload_dropper(struct daemon *d, struct error *err)
{
	int64_t retention_us[TABLE_COUNT] = {0};

	if (d->config->retention_drop)
		options_retention(d->config, retention_us);
	return dropper_reload(d->dropper, &d->settings->pg, retention_us, err);
}

/* False with err: out of memory. Then some parts use the new settings, and others do not. */
static bool reload_parts(struct daemon *d, const struct settings_changes *changes,
	struct error *err)
{
	const struct config *c = d->config;

	if (d->phase != DAEMON_RUNNING)
		return true;
	d->intake.message_bytes_max = c->mqtt_message_bytes_max;
	spool_set_limits(d->spool, c->spool_bytes_max, c->spool_retain, c->spool_sync_interval);
	if (!heard_reload(&d->heard, c, err) || !reload_dropper(d, err))
		return false;
	pipeline_reload(d->pipeline, c, &d->settings->pg, changes->database);
	if (changes->broker)
		daemon_renew_broker(d);
	return true;
}

void daemon_on_reloaded(void *context)
{
	struct daemon *d = context;

	settings_hold(&d->pipeline_settings, d->settings);
}

static void reload_take(struct daemon *d, struct settings *fresh,
	const struct settings_changes *changes)
{
	struct settings *before = NULL;
	struct error err;

	settings_hold(&before, d->settings); /* until nobody uses it */
	settings_hold(&d->settings, fresh);
	d->config = d->settings->config;
	log_set_format(d->config->log_format);
	log_set_level(d->config->log_level);
	if (!reload_parts(d, changes, &err))
		daemon_fail(d, &err);
	settings_hold(&before, NULL);
}

bool daemon_reload(struct daemon *d)
{
	struct settings_changes changes;
	struct settings *fresh;

	if (!settings_read(d->settings, &fresh, &changes))
		return false;
	if (changes.taken[0] != '\0')
		reload_take(d, fresh, &changes);
	settings_say(d->settings, &changes);
	if (changes.taken[0] != '\0')
		d->options->on_reloaded(d->config);
	settings_hold(&fresh, NULL);
	return true;
}
