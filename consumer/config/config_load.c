#include "config/config_private.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static bool config_load_options(struct config *c, struct error *err)
{
	c->source++;
	for (size_t i = 0; i < c->sources.options_count; i++) {
		const char *option = c->sources.options[i], *equals = strchr(option, '=');
		char name[256];

		CHECK(equals != NULL);
		snprintf(name, sizeof(name), "%.*s", (int)(equals - option), option);
		if (!config_set(c, name, equals + 1, "command line", err) &&
			!config_read_on(c, err))
			return false;
	}
	return true;
}

static void config_note_fault(void *context, const struct error *err)
{
	bool noted = config_read_on(context, err);

	CHECK(noted);
}

/* False with err if it had to stop. */
static bool config_load_sources(struct config *c, struct error *err)
{
	if (c->sources.file != NULL && !config_load_file(c, c->sources.file, err)) {
		c->unread = true;
		if (!config_read_on(c, err))
			return false;
	}
	if (!config_load_credentials(c, err)) {
		c->unread = true;
		if (!config_read_on(c, err))
			return false;
	}
	if (!config_load_environment(c, err) || !config_load_options(c, err) ||
		!config_read_secrets(c, err))
		return false;
	if (!c->unread) {
		(void)config_check_each(c, config_note_fault, c);
		if (c->sources.more != NULL)
			(void)c->sources.more(c, config_note_fault, c);
	}
	return config_note_files(c, err);
}

bool config_load(struct config *c, const struct config_sources *from, config_fault *each,
	void *context)
{
	struct error err;

	if (!config_init(c, &err)) {
		each(context, &err);
		return false;
	}
	c->sources = *from;
	c->each = each;
	c->context = context;
	if (!config_load_sources(c, &err)) {
		c->faults = 1;
		each(context, &err);
	} else if (c->faults > CONFIG_FAULTS_MAX) {
		error_set(&err, ERROR_FATAL, REASON_bad_setting, "and %u more faults",
			c->faults - CONFIG_FAULTS_MAX);
		each(context, &err);
	}
	c->each = NULL;
	if (c->faults == 0)
		return true;
	config_fini(c);
	return false;
}
