#include "config/config_field.h"
#include "config/config_private.h"
#include "config/config_settings.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void config_refuse(struct config *c, const char *name)
{
	const struct config_setting *s = config_find(name);

	if (s != NULL)
		config_origin(c, s)->refused = true;
}

/* The setting that was meant, probably, counts as refused. */
static bool config_hint_nearest(struct config *c, const char *name, struct error *err)
{
	struct nearest nearest = {.word = name};

	for (size_t i = 0; i < CONFIG_COUNT; i++)
		nearest_try(&nearest, config_settings[i].name);
	if (nearest.found != NULL)
		config_refuse(c, nearest.found);
	return nearest_hint(err, &nearest, "`ocpp-persister config reference` lists all settings");
}

static bool config_put(struct config *c, const struct config_setting *s, const char *value,
	const char *origin, struct error *err)
{
	struct config_origin *o = config_origin(c, s);

	o->refused = !config_field_set(c, s, value, err);
	if (o->refused) {
		/* A secret must not appear in an error text; secrets are not checked here. */
		return error_prefix(err, "%s", origin);
	}
	snprintf(o->text, sizeof(o->text), "%s", origin);
	o->source = c->source;
	c->file_has_secret |= c->in_file && s->type == CONFIG_SECRET && *value != '\0';
	return true;
}

/* A secret replaces its file's setting, and the other way round. */
static bool config_displace(struct config *c, const struct config_setting *s, const char *value,
	const char *origin, struct error *err)
{
	const struct config_setting *other = config_counterpart(s);
	const char *set = other == NULL ? NULL : *(char *const *)config_field(c, other);

	if (set == NULL || *set == '\0')
		return true;
	if (config_origin(c, other)->source != c->source)
		return config_put(c, other, "", origin, err);
	if (*value == '\0')
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_setting, "%s: %s and %s are both set", origin,
		other->name, s->name);
	return error_hint(err, "leave one of them out");
}

bool config_set(struct config *c, const char *name, const char *value, const char *origin,
	struct error *err)
{
	const struct config_setting *s = config_find(name);

	if (s == NULL) {
		error_set(err, ERROR_FATAL, REASON_unknown_setting,
			"%s: there is no setting \"%s\"", origin, name);
		return config_hint_nearest(c, name, err);
	}
	return config_displace(c, s, value, origin, err) && config_put(c, s, value, origin, err);
}

bool config_set_read(struct config *c, const char *name, const char *value, const char *path,
	struct error *err)
{
	return config_put(c, config_find(name), value, path, err);
}

bool config_init(struct config *c, struct error *err)
{
	memset(c, 0, sizeof(*c));
	c->origins = calloc(CONFIG_COUNT, sizeof(*c->origins));
	if (c->origins == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading settings");
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (!config_set(c, config_settings[i].name, config_settings[i].default_text,
			    "default", err)) {
			config_fini(c);
			return false;
		}
	}
	return true;
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++)
		config_field_free(c, &config_settings[i]);
	free(c->origins);
	c->origins = NULL;
}

static void config_environment_name(const char *name, char out[static CONFIG_NAME_BYTES])
{
	size_t i;

	for (i = 0; name[i] != '\0' && i < CONFIG_NAME_BYTES - 1; i++)
		out[i] = name[i] == '.' ? '_' : (char)toupper((unsigned char)name[i]);
	out[i] = '\0';
}

bool config_place(const struct config *c, const char *name, struct error *err)
{
	const struct config_origin *o = config_origin(c, config_find(name));

	if (o->source > 0)
		(void)error_prefix(err, "%s", o->text);
	return !o->refused;
}

bool config_is_sound(const struct config *c, const char *beginning)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (c->origins[i].refused &&
			strncmp(config_settings[i].name, beginning, strlen(beginning)) == 0)
			return false;
	}
	return true;
}

bool config_read_on(struct config *c, const struct error *err)
{
	if (c->each == NULL)
		return false;
	if (c->faults++ < CONFIG_FAULTS_MAX)
		c->each(c->context, err);
	return true;
}

bool config_sets(const struct config *c, const char *section)
{
	size_t size = strlen(section);

	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (c->origins[i].source > 0 &&
			strncmp(config_settings[i].name, section, size) == 0 &&
			config_settings[i].name[size] == '.')
			return true;
	}
	return false;
}

static bool config_load_variable(struct config *c, const char *variable, const char *setting,
	struct error *err)
{
	char origin[CONFIG_NAME_BYTES + 16];
	const char *value = getenv(variable); /* NOLINT(concurrency-mt-unsafe): before threads */

	if (value == NULL || *value == '\0')
		return true;
	snprintf(origin, sizeof(origin), "environment %s", variable);
	return config_set(c, setting, value, origin, err) || config_read_on(c, err);
}

bool config_load_environment(struct config *c, struct error *err)
{
	char name[CONFIG_NAME_BYTES];

	c->source++;
	config_environment_name(config_alias, name);
	if (!config_load_variable(c, "DATABASE_URL", "storage.url", err) ||
		!config_load_variable(c, name, "storage.url", err))
		return false;
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		config_environment_name(config_settings[i].name, name);
		if (!config_load_variable(c, name, config_settings[i].name, err))
			return false;
	}
	return true;
}

void config_compare(const struct config *a, const struct config *b, config_difference *each,
	void *context)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (!config_field_equals(a, b, &config_settings[i]))
			each(context, config_settings[i].name, config_settings[i].reload);
	}
}

bool config_keep(struct config *c, const struct config *running, struct error *err)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct config_setting *s = &config_settings[i];

		if (s->reload == CONFIG_RELOAD_RESTART && !config_field_copy(c, running, s))
			return error_set(err, ERROR_FATAL, REASON_memory,
				"out of memory reading settings");
	}
	return true;
}

/* Opening a pipe waits for its writer, and the second time it is empty. A file that does not exist
 * is reported elsewhere. */
static bool config_file_can_be_read_again(const char *name, const char *path, struct error *err)
{
	struct stat st;

	if (*path == '\0' || stat(path, &st) != 0 || S_ISREG(st.st_mode))
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_setting, "%s: \"%s\" is not a regular file", name,
		path);
	return error_hint(err,
		"name a file: it is read again for new connections and after SIGHUP");
}

bool config_note_files(struct config *c, struct error *err)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct config_setting *s = &config_settings[i];
		const char *path;

		if (s->type != CONFIG_FILE)
			continue;
		path = *(char *const *)config_field(c, s);
		if (!config_file_can_be_read_again(s->name, path, err) && !config_read_on(c, err))
			return false;
		c->origins[i].content = *path == '\0' ? 0 : fs_digest(path);
	}
	return true;
}
