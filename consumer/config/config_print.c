#include "config/config_settings.h"

#include "base/check.h"
#include "base/escape.h"
#include "config/config_value.h"

#include <stdio.h>
#include <string.h>

/* Settings as text: for config print, config reference, config sample and the manual. */

static const char *const config_reload_words[] = {
	[CONFIG_RELOAD_NOW] = "immediately",
	[CONFIG_RELOAD_BROKER] = "broker",
	[CONFIG_RELOAD_DATABASE] = "database",
	[CONFIG_RELOAD_RESTART] = "restart",
};

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
