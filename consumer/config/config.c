#include "config/config_private.h"

#include "base/check.h"
#include "base/escape.h"
#include "base/fs.h"
#include "base/nearest.h"
#include "config/config_value.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

struct config_origin {
	char text[256];
	unsigned source;
	uint64_t content; /* for FILE: digest of the file's content */
};

static const struct config_setting config_settings[] = {
#define SETTING(field, name, type, default_text, low, high, reload, help)                          \
	{name, default_text, low, high, help, offsetof(struct config, field), CONFIG_##type,       \
		CONFIG_RELOAD_##reload},
#include "config/config.def"
#undef SETTING
};

enum {
	CONFIG_COUNT = sizeof(config_settings) / sizeof(config_settings[0]),
	CONFIG_NAME_BYTES = 64
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

static const char *const config_reload_words[] = {
	[CONFIG_RELOAD_NOW] = "immediately",
	[CONFIG_RELOAD_BROKER] = "broker",
	[CONFIG_RELOAD_DATABASE] = "database",
	[CONFIG_RELOAD_RESTART] = "restart",
};

static void *config_field(const struct config *c, const struct config_setting *s)
{
	/* The table is const, the struct it points into is the caller's. */
	return (char *)(uintptr_t)c + s->offset;
}

/* MaEVE's name for storage.url. */
static const char config_alias[] = "storage.postgres.connection_string";

static const struct config_setting *config_find(const char *name)
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

/* For a secret, the setting that names its file, and the other way round; otherwise NULL. */
static const struct config_setting *config_counterpart(const struct config_setting *s)
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

static void config_list_free(struct config_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct config_list){NULL, 0};
}

/* Split at commas; blanks around items are cut off, and empty items dropped. */
static bool config_list_split(const char *text, struct config_list *out)
{
	struct config_list list = {NULL, 0};
	size_t commas = 0;

	for (const char *p = text; *p != '\0'; p++)
		commas += *p == ',';
	list.items = calloc(commas + 1, sizeof(*list.items));
	if (list.items == NULL)
		return false;
	while (*text != '\0') {
		size_t size = strcspn(text, ","), used = size;
		const char *start = text;

		while (used > 0 && isspace((unsigned char)*start)) {
			start++;
			used--;
		}
		while (used > 0 && isspace((unsigned char)start[used - 1]))
			used--;
		if (used > 0) {
			list.items[list.count] = strndup(start, used);
			if (list.items[list.count] == NULL) {
				config_list_free(&list);
				return false;
			}
			list.count++;
		}
		text += size;
		if (*text == ',')
			text++;
	}
	config_list_free(out);
	*out = list;
	return true;
}

/* Which of the words the value is. */
static bool config_choice_find(const char *words, const char *value, unsigned *index_out)
{
	size_t size = strlen(value);
	unsigned index = 0;

	for (const char *p = words; p != NULL && size > 0; p = strchr(p, '|'), index++) {
		if (*p == '|')
			p++;
		if (strncmp(p, value, size) == 0 && (p[size] == '|' || p[size] == '\0')) {
			*index_out = index;
			return true;
		}
	}
	return false;
}

const char *config_choice(const struct config *c, const char *name,
	char out[static CONFIG_CHOICE_BYTES])
{
	const struct config_setting *s = config_find(name);
	const char *word;

	CHECK(s != NULL && s->type == CONFIG_CHOICE);
	word = s->low;
	for (unsigned i = *(const unsigned *)config_field(c, s); i > 0; i--)
		word = strchr(word, '|') + 1;
	snprintf(out, CONFIG_CHOICE_BYTES, "%.*s", (int)strcspn(word, "|"), word);
	return out;
}

static bool config_set_text(char **field, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return false;
	free(*field);
	*field = copy;
	return true;
}

static bool config_parse_scalar(const struct config_setting *s, const char *text, int64_t *out)
{
	switch (s->type) {
	case CONFIG_BYTES:
		return config_parse_bytes(text, out);
	case CONFIG_DURATION:
		return config_parse_duration(text, out);
	case CONFIG_NUMBER:
		return config_parse_number(text, out);
	case CONFIG_TEXT:
	case CONFIG_FILE:
	case CONFIG_SECRET:
	case CONFIG_WORD:
	case CONFIG_CHOICE:
	case CONFIG_LIST:
	case CONFIG_BOOLEAN:
		break;
	}
	return false;
}

/* " (90s)" for 90, which somebody may have meant as days; "" if the value has a unit. */
static const char *config_as_read(const struct config_setting *s, const char *value, int64_t number,
	char out[static CONFIG_TEXT_BYTES + 4])
{
	char text[CONFIG_TEXT_BYTES];

	out[0] = '\0';
	if (s->type == CONFIG_NUMBER || value[strlen(value) - 1] > '9')
		return out;
	if (s->type == CONFIG_BYTES)
		config_format_bytes(number, text);
	else
		config_format_duration(number, text);
	snprintf(out, CONFIG_TEXT_BYTES + 4, " (%s)", text);
	return out;
}

static bool config_set_scalar(struct config *c, const struct config_setting *s, const char *value,
	struct error *err)
{
	char read[CONFIG_TEXT_BYTES + 4];
	int64_t number, low, high;

	CHECK(config_parse_scalar(s, s->low, &low) && config_parse_scalar(s, s->high, &high));
	if (!config_parse_scalar(s, value, &number))
		return error_set(err, ERROR_FATAL, REASON_bad_setting, "%s is \"%s\", not a %s",
			s->name, value, config_type_names[s->type]);
	if (number < low || number > high)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"%s is \"%s\"%s, outside %s to %s", s->name, value,
			config_as_read(s, value, number, read), s->low, s->high);
	*(int64_t *)config_field(c, s) = number;
	return true;
}

static bool config_set_value(struct config *c, const struct config_setting *s, const char *value,
	struct error *err)
{
	void *field = config_field(c, s);
	bool done = true;
	unsigned index;

	switch (s->type) {
	case CONFIG_CHOICE:
	case CONFIG_WORD:
		if (!config_choice_find(s->low, value, &index))
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"%s is \"%s\", not one of %s", s->name, value, s->low);
		if (s->type == CONFIG_CHOICE)
			*(unsigned *)field = index;
		else
			done = config_set_text(field, value);
		break;
	case CONFIG_TEXT:
	case CONFIG_FILE:
	case CONFIG_SECRET:
		done = config_set_text(field, value);
		break;
	case CONFIG_LIST:
		done = config_list_split(value, field);
		break;
	case CONFIG_BOOLEAN:
		if (!config_parse_boolean(value, field))
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"%s is \"%s\", not true or false", s->name, value);
		break;
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
		return config_set_scalar(c, s, value, err);
	}
	if (!done)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading settings");
	return true;
}

static bool config_hint_nearest(const char *name, struct error *err)
{
	struct nearest nearest = {.word = name};

	for (size_t i = 0; i < CONFIG_COUNT; i++)
		nearest_try(&nearest, config_settings[i].name);
	return nearest_hint(err, &nearest, "`ocpp-persister config reference` lists all settings");
}

static bool config_put(struct config *c, const struct config_setting *s, const char *value,
	const char *origin, struct error *err)
{
	struct config_origin *o = &c->origins[s - config_settings];

	if (!config_set_value(c, s, value, err)) {
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
	if (c->origins[other - config_settings].source != c->source)
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
		return config_hint_nearest(name, err);
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

static bool config_is_text(const struct config_setting *s)
{
	return s->type == CONFIG_TEXT || s->type == CONFIG_FILE || s->type == CONFIG_SECRET ||
	       s->type == CONFIG_WORD;
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct config_setting *s = &config_settings[i];
		void *field = config_field(c, s);

		if (s->type == CONFIG_LIST) {
			config_list_free(field);
		} else if (config_is_text(s)) {
			free(*(char **)field);
			*(char **)field = NULL;
		}
	}
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

static bool config_is_equal(const struct config *a, const struct config *b,
	const struct config_setting *s)
{
	const void *left = config_field(a, s), *right = config_field(b, s);

	switch (s->type) {
	case CONFIG_FILE:
		return strcmp(*(char *const *)left, *(char *const *)right) == 0 &&
		       a->origins[s - config_settings].content ==
			       b->origins[s - config_settings].content;
	case CONFIG_TEXT:
	case CONFIG_SECRET:
	case CONFIG_WORD:
		return strcmp(*(char *const *)left, *(char *const *)right) == 0;
	case CONFIG_CHOICE:
		return *(const unsigned *)left == *(const unsigned *)right;
	case CONFIG_LIST: {
		const struct config_list *one = left, *other = right;

		for (size_t i = 0; i < one->count && i < other->count; i++) {
			if (strcmp(one->items[i], other->items[i]) != 0)
				return false;
		}
		return one->count == other->count;
	}
	case CONFIG_BOOLEAN:
		return *(const bool *)left == *(const bool *)right;
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
		return *(const int64_t *)left == *(const int64_t *)right;
	}
	return false;
}

void config_compare(const struct config *a, const struct config *b, config_difference *each,
	void *context)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (!config_is_equal(a, b, &config_settings[i]))
			each(context, config_settings[i].name, config_settings[i].reload);
	}
}

static bool config_list_copy(const struct config_list *from, struct config_list *to)
{
	struct config_list copy = {.items = calloc(from->count + 1, sizeof(*copy.items))};

	for (; copy.items != NULL && copy.count < from->count; copy.count++) {
		copy.items[copy.count] = strdup(from->items[copy.count]);
		if (copy.items[copy.count] == NULL)
			break;
	}
	if (copy.items == NULL || copy.count < from->count) {
		config_list_free(&copy);
		return false;
	}
	config_list_free(to);
	*to = copy;
	return true;
}

static bool config_copy(struct config *to, const struct config *from,
	const struct config_setting *s)
{
	const void *value = config_field(from, s);
	void *field = config_field(to, s);

	to->origins[s - config_settings] = from->origins[s - config_settings];
	switch (s->type) {
	case CONFIG_TEXT:
	case CONFIG_FILE:
	case CONFIG_SECRET:
	case CONFIG_WORD:
		return config_set_text(field, *(char *const *)value);
	case CONFIG_LIST:
		return config_list_copy(value, field);
	case CONFIG_CHOICE:
		*(unsigned *)field = *(const unsigned *)value;
		break;
	case CONFIG_BOOLEAN:
		*(bool *)field = *(const bool *)value;
		break;
	case CONFIG_NUMBER:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
		*(int64_t *)field = *(const int64_t *)value;
		break;
	}
	return true;
}

bool config_keep(struct config *c, const struct config *running, struct error *err)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct config_setting *s = &config_settings[i];

		if (s->reload == CONFIG_RELOAD_RESTART && !config_copy(c, running, s))
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

static void config_print_value(const struct config *c, const struct config_setting *s)
{
	const void *field = config_field(c, s);
	char text[CONFIG_TEXT_BYTES];

	switch (s->type) {
	case CONFIG_SECRET:
		printf("%s", **(char *const *)field == '\0' ? "" : "********");
		break;
	case CONFIG_TEXT:
	case CONFIG_FILE:
		printf("\"");
		(void)escape_print(stdout, slice_from_cstr(*(char *const *)field));
		printf("\"");
		break;
	case CONFIG_WORD:
		printf("%s", *(char *const *)field);
		break;
	case CONFIG_CHOICE:
		printf("%s", config_choice(c, s->name, (char[CONFIG_CHOICE_BYTES]){0}));
		break;
	case CONFIG_LIST: {
		const struct config_list *list = field;

		printf("\"");
		for (size_t i = 0; i < list->count; i++) {
			printf("%s", i > 0 ? ", " : "");
			(void)escape_print(stdout, slice_from_cstr(list->items[i]));
		}
		printf("\"");
		break;
	}
	case CONFIG_BOOLEAN:
		printf("%s", *(const bool *)field ? "true" : "false");
		break;
	case CONFIG_NUMBER:
		printf("%lld", (long long)*(const int64_t *)field);
		break;
	case CONFIG_BYTES:
		config_format_bytes(*(const int64_t *)field, text);
		printf("%s", text);
		break;
	case CONFIG_DURATION:
		config_format_duration(*(const int64_t *)field, text);
		printf("%s", text);
		break;
	}
}

void config_print(const struct config *c)
{
	const char *section = "";
	size_t section_size = 0;

	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct config_setting *s = &config_settings[i];
		const char *dot = strrchr(s->name, '.');
		size_t size = (size_t)(dot - s->name);

		if (size != section_size || strncmp(section, s->name, size) != 0) {
			printf("%s[%.*s]\n", i > 0 ? "\n" : "", (int)size, s->name);
			section = s->name;
			section_size = size;
		}
		printf("%s = ", dot + 1);
		config_print_value(c, s);
		printf(" # ");
		(void)escape_print(stdout, slice_from_cstr(c->origins[i].text));
		printf("\n");
	}
}

bool config_words(size_t index, struct config_words *out)
{
	const struct config_setting *s = &config_settings[index];
	char *at = out->help;

	if (index >= CONFIG_COUNT)
		return false;
	out->name = s->name;
	out->default_text = s->default_text;
	out->reload = config_reload_words[s->reload];
	CHECK(strlen(s->help) + 2 * (strlen(s->low) + strlen(s->high)) + 16 < sizeof(out->help));
	at = stpcpy(at, s->help);
	if (s->type == CONFIG_CHOICE || s->type == CONFIG_WORD) {
		at = stpcpy(at, ". One of ");
		for (const char *p = s->low; *p != '\0'; p++)
			at = stpcpy(at, *p == '|' ? ", " : (char[]){*p, '\0'});
	} else if (s->low[0] != '\0') {
		stpcpy(stpcpy(stpcpy(stpcpy(at, ". "), s->low), " to "), s->high);
	}
	return true;
}

void config_reference(void)
{
	struct config_words words;

	printf("| setting | default | what it does | after SIGHUP |\n|---|---|---|---|\n");
	for (size_t i = 0; config_words(i, &words); i++) {
		printf("| `%s` | ", words.name);
		if (words.default_text[0] != '\0')
			printf("`%s` ", words.default_text);
		printf("| %s | %s |\n", words.help, words.reload);
	}
}

/* The settings of one section, even if others stand between them. */
static void config_sample_section(const char *section, size_t size)
{
	struct config_words words;

	printf("\n[%.*s]\n", (int)size, section);
	for (size_t i = 0; config_words(i, &words); i++) {
		const char *dot = strrchr(words.name, '.');

		if ((size_t)(dot - words.name) == size && strncmp(words.name, section, size) == 0)
			printf("# %s.\n#%s = %s\n", words.help, dot + 1, words.default_text);
	}
}

void config_sample(void)
{
	struct config_words words;

	printf("# Settings of ocpp-persister. Each has its default here: take the # away to change "
	       "it.\n");
	for (size_t i = 0; config_words(i, &words); i++) {
		size_t size = (size_t)(strrchr(words.name, '.') - words.name);
		bool done = false;

		for (size_t k = 0; k < i && !done; k++)
			done = (size_t)(strrchr(config_settings[k].name, '.') -
					config_settings[k].name) == size &&
			       strncmp(config_settings[k].name, words.name, size) == 0;
		if (!done)
			config_sample_section(words.name, size);
	}
}
