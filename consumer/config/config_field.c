#include "config/config_field.h"

#include "base/check.h"
#include "config/config_value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
			s->name, value, config_type_name(s->type));
	if (number < low || number > high)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"%s is \"%s\"%s, outside %s to %s", s->name, value,
			config_as_read(s, value, number, read), s->low, s->high);
	*(int64_t *)config_field(c, s) = number;
	return true;
}

bool config_field_set(struct config *c, const struct config_setting *s, const char *value,
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

bool config_field_equals(const struct config *a, const struct config *b,
	const struct config_setting *s)
{
	const void *left = config_field(a, s), *right = config_field(b, s);

	switch (s->type) {
	case CONFIG_FILE:
		return strcmp(*(char *const *)left, *(char *const *)right) == 0 &&
		       config_origin(a, s)->content == config_origin(b, s)->content;
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

bool config_field_copy(struct config *to, const struct config *from, const struct config_setting *s)
{
	const void *value = config_field(from, s);
	void *field = config_field(to, s);

	*config_origin(to, s) = *config_origin(from, s);
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

static bool config_is_text(const struct config_setting *s)
{
	return s->type == CONFIG_TEXT || s->type == CONFIG_FILE || s->type == CONFIG_SECRET ||
	       s->type == CONFIG_WORD;
}

void config_field_free(struct config *c, const struct config_setting *s)
{
	void *field = config_field(c, s);

	if (s->type == CONFIG_LIST) {
		config_list_free(field);
	} else if (config_is_text(s)) {
		free(*(char **)field);
		*(char **)field = NULL;
	}
}
