#include "config/config_settings.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

const struct config_setting config_settings[CONFIG_COUNT] = {
#define SETTING(field, name, type, default_text, low, high, reload, help)                          \
	{name, default_text, low, high, help, offsetof(struct config, field), CONFIG_##type,       \
		CONFIG_RELOAD_##reload},
#include "config/config.def"
#undef SETTING
};

static const char *const config_type_names[] = {
	[CONFIG_TEXT] = "text",
	[CONFIG_FILE] = "text",
	[CONFIG_SECRET] = "text (secret)",
	[CONFIG_WORD] = "choice",
	[CONFIG_CHOICE] = "choice",
	[CONFIG_LIST] = "list",
	[CONFIG_BOOLEAN] = "true or false",
	[CONFIG_NUMBER] = "number",
	[CONFIG_BYTES] = "size (64KiB, 1GiB)",
	[CONFIG_DURATION] = "duration (250ms, 10s, 5min, 24h, 7d)",
};

const char *config_type_name(enum config_type type)
{
	return config_type_names[type];
}

const char config_alias[] = "storage.postgres.connection_string";

const struct config_setting *config_find(const char *name)
{
	if (strcmp(name, config_alias) == 0)
		name = "storage.url";
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (strcmp(config_settings[i].name, name) == 0)
			return &config_settings[i];
	}
	return NULL;
}

bool config_is_secret(const char *name, size_t size)
{
	if (size == strlen(config_alias) && memcmp(name, config_alias, size) == 0)
		return true;
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (config_settings[i].type == CONFIG_SECRET &&
			strlen(config_settings[i].name) == size &&
			memcmp(config_settings[i].name, name, size) == 0)
			return true;
	}
	return false;
}

static const char config_file_suffix[] = "_file";

const struct config_setting *config_counterpart(const struct config_setting *s)
{
	char name[CONFIG_NAME_BYTES + sizeof(config_file_suffix)];
	size_t size = strlen(s->name), suffix = strlen(config_file_suffix);
	const struct config_setting *found;

	if (s->type == CONFIG_SECRET) {
		snprintf(name, sizeof(name), "%s%s", s->name, config_file_suffix);
		found = config_find(name);
		CHECK(found != NULL && found->type == CONFIG_TEXT);
		return found;
	}
	if (size <= suffix || strcmp(s->name + size - suffix, config_file_suffix) != 0)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)(size - suffix), s->name);
	found = config_find(name);
	return found != NULL && found->type == CONFIG_SECRET ? found : NULL;
}

bool config_secret(const struct config *c, size_t index, struct config_secret *out)
{
	const struct config_setting *file;

	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (config_settings[i].type != CONFIG_SECRET || index-- > 0)
			continue;
		file = config_counterpart(&config_settings[i]);
		out->name = config_settings[i].name;
		out->file_name = file->name;
		out->path = *(char *const *)config_field(c, file);
		return true;
	}
	return false;
}
