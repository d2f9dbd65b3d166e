#include "daemon/reload.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

struct reload_names {
	char text[512];
	size_t used;
	uint32_t count;
};

static void reload_note(void *context, const char *name)
{
	struct reload_names *n = context;

	if (strcmp(name, "log.level") == 0 || strcmp(name, "log.format") == 0)
		return;
	if (n->used + strlen(name) + 3 < sizeof(n->text))
		n->used += (size_t)snprintf(n->text + n->used, sizeof(n->text) - n->used, "%s%s",
			n->count > 0 ? ", " : "", name);
	n->count++;
}

bool reload_settings(const struct config *running)
{
	struct reload_names waiting = {.used = 0};
	char level[CONFIG_CHOICE_BYTES];
	struct config fresh;
	struct error err;

	if (!config_load(&fresh, &running->sources, &err)) {
		error_hint(&err,
			"the previous settings stay in force; fix them and send SIGHUP again");
		log_failure(LOG_LEVEL_ERROR, "reload_failed", &err);
		return false;
	}
	log_set_format(fresh.log_format);
	log_set_level(fresh.log_level);
	config_compare(running, &fresh, reload_note, &waiting);
	log_info("reloaded", "", "log_level=%s", config_choice(&fresh, "log.level", level));
	if (waiting.count > 0) {
		error_set(&err, ERROR_FATAL, REASON_restart_needed,
			"these settings have changed and take effect at the next start: %s%s",
			waiting.text, waiting.used + 64 > sizeof(waiting.text) ? ", ..." : "");
		log_failure(LOG_LEVEL_WARN, "not_reloaded", &err);
	}
	config_fini(&fresh);
	return true;
}
