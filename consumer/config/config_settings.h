#ifndef CONFIG_CONFIG_SETTINGS_H
#define CONFIG_CONFIG_SETTINGS_H

#include "config/config.h"

#include <stddef.h>

/*
 * The table of all settings, made from config.def, and how to find a setting in it. For config*.c
 * only. Pure; any thread.
 */
enum config_type {
	CONFIG_TEXT,
	CONFIG_FILE,
	CONFIG_SECRET,
	CONFIG_WORD,
	CONFIG_CHOICE,
	CONFIG_LIST,
	CONFIG_BOOLEAN,
	CONFIG_NUMBER,
	CONFIG_BYTES,
	CONFIG_DURATION,
};

struct config_setting {
	const char *name;
	const char *default_text;
	const char *low; /* for CHOICE and WORD: its words */
	const char *high;
	const char *help;
	size_t offset;
	enum config_type type;
	enum config_reload reload;
};

enum {
#define SETTING(field, name, type, default_text, low, high, reload, help) CONFIG_INDEX_##field,
#include "config/config.def"
#undef SETTING
	CONFIG_COUNT,
};

enum { CONFIG_NAME_BYTES = 64 };

extern const struct config_setting config_settings[CONFIG_COUNT];

/* MaEVE's name for storage.url. */
extern const char config_alias[];

/* What the type is called in errors: "number". */
const char *config_type_name(enum config_type type);

/* By name or alias; NULL if there is none. */
const struct config_setting *config_find(const char *name);

/* For a secret, the setting that names its file, and the other way round; otherwise NULL. */
const struct config_setting *config_counterpart(const struct config_setting *s);

/* Address of its value. The table is const, the struct it points into is the caller's. */
static inline void *config_field(const struct config *c, const struct config_setting *s)
{
	return (char *)(uintptr_t)c + s->offset;
}

/* Where a value came from. */
struct config_origin {
	char text[256];
	unsigned source;
	uint64_t content; /* for FILE: digest of the file's content */
	bool refused;     /* its value of the last source that has one */
};

static inline struct config_origin *config_origin(const struct config *c,
	const struct config_setting *s)
{
	return &c->origins[s - config_settings];
}

#endif
