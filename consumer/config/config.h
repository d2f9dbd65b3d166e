#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The settings, from weakest to strongest: the defaults in config.def, an INI file, the
 * environment, the command line. A key that is not in config.def is an error with file and line,
 * so that a typing error cannot pass for a setting. Sections of MaEVE's own configuration that are
 * not for us are passed over, so that both programs can share a file.
 *
 * Loaded once at start, before threads; read only after that. Text belongs to the struct.
 */

/* A comma-separated list, split. */
struct config_list {
	char **items;
	size_t count;
};

/* One field per setting: const char * for TEXT, SECRET and CHOICE, struct config_list for LIST,
 * bool for BOOLEAN, int64_t for the others. */
#define CONFIG_TYPE_TEXT char *
#define CONFIG_TYPE_SECRET char *
#define CONFIG_TYPE_CHOICE char *
#define CONFIG_TYPE_LIST struct config_list
#define CONFIG_TYPE_BOOLEAN bool
#define CONFIG_TYPE_NUMBER int64_t
#define CONFIG_TYPE_BYTES int64_t
#define CONFIG_TYPE_DURATION int64_t

/* Where settings come from besides the defaults and the environment. Borrowed. */
struct config_sources {
	const char *file;           /* NULL = none */
	const char *const *options; /* "section.name=value" of the command line */
	size_t options_count;
};

struct config {
	struct config_sources sources;
#define SETTING(field, name, type, default_text, low, high, help) CONFIG_TYPE_##type field;
#include "config/config.def"
#undef SETTING
	struct config_origin *origins; /* where each value came from, for config print */
};

/*
 * All of the above, checked. False with err and nothing to free. Reading it again later needs no
 * other thread that changes the environment.
 */
MUST_CHECK bool config_load(struct config *c, const struct config_sources *from, struct error *err);

/* Calls back with the name of every setting that differs between the two. */
typedef void config_difference(void *context, const char *name);
void config_compare(const struct config *a, const struct config *b, config_difference *each,
	void *context);

/* All defaults. */
MUST_CHECK bool config_init(struct config *c, struct error *err);
void config_fini(struct config *c);

/* The file must exist. */
MUST_CHECK bool config_load_file(struct config *c, const char *path, struct error *err);

/* STORAGE_POSTGRES_HOST and so on; DATABASE_URL for storage.url. Empty variables count as unset. */
MUST_CHECK bool config_load_environment(struct config *c, struct error *err);

/* One setting by name; errors and config print name the origin ("option", "x.ini:7"). */
MUST_CHECK bool config_set(struct config *c, const char *name, const char *value,
	const char *origin, struct error *err);

/* What is wrong between settings that are right each for itself. */
MUST_CHECK bool config_check(const struct config *c, struct error *err);

/* Whether the name, of so many bytes, is that of a setting that is never shown. */
bool config_is_secret(const char *name, size_t size);

/* INI text of every setting with its origin; secrets as ********. */
void config_print(const struct config *c);

/* A setting in words. */
struct config_words {
	const char *name, *default_text;
	char help[512]; /* what it does, and what it may be */
};

/* The settings one by one, from 0. False after the last. */
bool config_words(size_t index, struct config_words *out);

/* A Markdown table of all settings, for docs/settings.md. */
void config_reference(void);

#endif
