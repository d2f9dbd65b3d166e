#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The settings, from weakest to strongest: the defaults in config.def, an INI file, credentials of
 * systemd, the environment, the command line. A key that is not in config.def is an error with file
 * and line, so a typing error is never silently ignored. Sections of MaEVE's own configuration that
 * are not for us are skipped, so that both programs can share a file.
 *
 * A secret X may also be in a file of its own, named by X_file; the stronger of X and X_file
 * counts, and both in one source are an error. A credential is a file with the name of a secret
 * ("storage.postgres.password") in the folder $CREDENTIALS_DIRECTORY.
 *
 * Never changed once loaded: a process that reads the settings again uses another struct for them.
 * Text belongs to the struct.
 */

/* A comma-separated list, split. */
struct config_list {
	char **items;
	size_t count;
};

/* For settings of type CHOICE: the words of config.def, in their order. */
enum config_results { CONFIG_RESULTS_CONTENT, CONFIG_RESULTS_ALL };
enum config_mqtt_version { CONFIG_MQTT_AUTO, CONFIG_MQTT_5, CONFIG_MQTT_311 };
enum config_archive { CONFIG_ARCHIVE_ZSTD, CONFIG_ARCHIVE_NONE };
enum config_sync { CONFIG_SYNC_MESSAGE, CONFIG_SYNC_INTERVAL, CONFIG_SYNC_NONE };
enum config_commit { CONFIG_COMMIT_ASYNC, CONFIG_COMMIT_SYNC };

#define CONFIG_CHOICE_events_results enum config_results
#define CONFIG_CHOICE_log_format enum log_format
#define CONFIG_CHOICE_log_level enum log_level
#define CONFIG_CHOICE_mqtt_version enum config_mqtt_version
#define CONFIG_CHOICE_spool_archive enum config_archive
#define CONFIG_CHOICE_spool_sync enum config_sync
#define CONFIG_CHOICE_storage_commit enum config_commit

/* One field per setting. */
#define CONFIG_TYPE_TEXT(field) char *
#define CONFIG_TYPE_FILE(field) char *
#define CONFIG_TYPE_SECRET(field) char *
#define CONFIG_TYPE_WORD(field) char *
#define CONFIG_TYPE_CHOICE(field) CONFIG_CHOICE_##field
#define CONFIG_TYPE_LIST(field) struct config_list
#define CONFIG_TYPE_BOOLEAN(field) bool
#define CONFIG_TYPE_NUMBER(field) int64_t
#define CONFIG_TYPE_BYTES(field) int64_t
#define CONFIG_TYPE_DURATION(field) int64_t

struct config;

/* Called with each fault of the settings. */
typedef void config_fault(void *context, const struct error *err);

/* Calls back with each fault; returns how many there are. */
typedef unsigned config_checker(const struct config *c, config_fault *each, void *context);

/* Where settings come from besides the defaults and the environment. Borrowed. */
struct config_sources {
	const char *file;           /* NULL = none */
	const char *const *options; /* "section.name=value" from the command line */
	size_t options_count;
	config_checker *more; /* what else config_load() checks; NULL = nothing */
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order of config.def */
struct config {
	struct config_sources sources;
/* NOLINTBEGIN(bugprone-macro-parentheses): a field is declared */
#define SETTING(field, name, type, default_text, low, high, reload, help)                          \
	CONFIG_TYPE_##type(field) field;
#include "config/config.def"
#undef SETTING
	/* NOLINTEND(bugprone-macro-parentheses) */
	struct config_origin *origins; /* where each value came from, for config print */
	unsigned source;               /* number of the source being read, from 1 */
	bool in_file;                  /* it is the settings file ... */
	bool file_has_secret;          /* ... which has one, even if another source replaces it */
	bool unread;        /* a source could not be read: what goes together is not known */
	config_fault *each; /* in config_load() */
	void *context;
	unsigned faults;
};

/*
 * Everything above, checked. False if anything is wrong, with nothing to free: each fault is
 * reported, up to CONFIG_FAULTS_MAX, and then how many more there are. Whether settings go together
 * is checked for those that are valid on their own. Loading again later requires that no other
 * thread changes the environment.
 */
enum { CONFIG_FAULTS_MAX = 20 };
MUST_CHECK bool config_load(struct config *c, const struct config_sources *from, config_fault *each,
	void *context);

/* Whether any source sets something in the section ("storage") or in a section of it. */
bool config_sets(const struct config *c, const char *section);

/* What a running process needs for a changed setting to take effect, from config.def. */
enum config_reload {
	CONFIG_RELOAD_NOW,      /* nothing */
	CONFIG_RELOAD_BROKER,   /* a new connection to the broker ... */
	CONFIG_RELOAD_DATABASE, /* ... or to the database */
	CONFIG_RELOAD_RESTART,  /* a restart */
};

/* Called with every setting that differs between the two; one that names a file also differs if the
 * file's content was different when it was loaded. */
typedef void config_difference(void *context, const char *name, enum config_reload reload);
void config_compare(const struct config *a, const struct config *b, config_difference *each,
	void *context);

/* Set the settings that need a restart back to the values of the running process. Then call
 * config_check_each(): what is consistent in the file may not be with those values. */
MUST_CHECK bool config_keep(struct config *c, const struct config *running, struct error *err);

/* All defaults. */
MUST_CHECK bool config_init(struct config *c, struct error *err);
void config_fini(struct config *c);

/* The file must exist. */
MUST_CHECK bool config_load_file(struct config *c, const char *path, struct error *err);

/* Every secret for which there is a credential is read from that file. */
MUST_CHECK bool config_load_credentials(struct config *c, struct error *err);

/* Reads the files of secrets. Last, once it is known which ones count. */
MUST_CHECK bool config_read_secrets(struct config *c, struct error *err);

/* STORAGE_POSTGRES_HOST and so on; DATABASE_URL and STORAGE_POSTGRES_CONNECTION_STRING for
 * storage.url. Empty variables count as unset. */
MUST_CHECK bool config_load_environment(struct config *c, struct error *err);

/* One setting by name; errors and config print name the origin ("option", "x.ini:7"). */
MUST_CHECK bool config_set(struct config *c, const char *name, const char *value,
	const char *origin, struct error *err);

/* The word for the value of a CHOICE; returns out. */
enum { CONFIG_CHOICE_BYTES = 32 };
const char *config_choice(const struct config *c, const char *name,
	char out[static CONFIG_CHOICE_BYTES]);

/* Checks settings against each other, each of which is valid on its own. Calls back with each
 * fault, and returns how many there are. */
unsigned config_check_each(const struct config *c, config_fault *each, void *context);

/* One of mqtt.topics without its $share/<group>/. */
const char *config_topic_filter(const char *topic);

/* For a check that has found a fault of this setting: puts in front of err where the setting was
 * set, unless it has its default. False if its value was refused and reported before: the check has
 * seen another one. */
bool config_place(const struct config *c, const char *name, struct error *err);

/* Whether no value of a setting was refused whose name begins like that ("storage."). */
bool config_is_sound(const struct config *c, const char *beginning);

/* Whether the name, of size bytes, is that of a setting that is never shown. */
bool config_is_secret(const char *name, size_t size);

/* The files of secrets, one by one, from 0. False after the last. */
struct config_secret {
	const char *name;      /* storage.postgres.password */
	const char *file_name; /* storage.postgres.password_file */
	const char *path;      /* its value, or "" */
};
bool config_secret(const struct config *c, size_t index, struct config_secret *out);

/* Every setting as INI text with its origin; secrets as ********. */
void config_print(const struct config *c);

/* The description of a setting. */
struct config_words {
	const char *name, *default_text;
	char help[512];     /* what it does, and its valid values */
	const char *reload; /* what a change requires, in a word or two */
};

/* The settings one by one, from 0. False after the last. */
bool config_words(size_t index, struct config_words *out);

/* A Markdown table of all settings, for docs/settings.md. */
void config_reference(void);

/* A sample file with all settings as comments, with their defaults. */
void config_sample(void);

#endif
