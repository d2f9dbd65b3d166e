#include "cli/arguments.h"

#include "base/iso8601.h"
#include "base/nearest.h"
#include "cli/syntax.h"
#include "config/config_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_SAY_BYTES = 128 };

/* commands.def is what people and shells see: it must have the same option, with or without a
 * value. */
static bool arguments_are_in_table(const char *command, const struct argument *a)
{
	const struct command *c = cli_find(command, &(size_t){0});
	struct syntax syntax;

	CHECK(c != NULL);
	syntax_read(&syntax, c->arguments);
	for (size_t i = 0; i < syntax.options_count; i++) {
		if (strcmp(syntax.options[i].name, a->name) == 0)
			return syntax.options[i].takes_value == (a->given == NULL);
	}
	return false;
}

/* *value_out: what follows "=", or NULL. */
static const struct argument *arguments_find(const struct argument *arguments, size_t count,
	char *word, char **value_out)
{
	size_t size = strcspn(word, "=");

	*value_out = word[size] == '=' ? word + size + 1 : NULL;
	for (size_t i = 0; i < count; i++) {
		const struct argument *a = &arguments[i];

		if (strlen(a->name) == size && memcmp(a->name, word, size) == 0 &&
			(*value_out == NULL || a->given == NULL))
			return a;
	}
	return NULL;
}

static bool arguments_set(const struct argument *a, char *value)
{
	if (a->text != NULL)
		*a->text = value;
	else if (a->number != NULL)
		return config_parse_number(value, a->number) && *a->number >= a->low &&
		       *a->number <= a->high;
	else if (a->time != NULL)
		return iso8601_parse(slice_from_cstr(value), a->time) != ISO8601_INVALID;
	else
		return a->take(a->context, value);
	return true;
}

static void arguments_refuse(const char *command, const struct argument *a, const char *value)
{
	if (a->example != NULL)
		(void)cli_usage(command, "%s cannot be \"%s\": as in %s", a->name, value,
			a->example);
	else if (a->number != NULL && a->high == INT64_MAX)
		(void)cli_usage(command, "%s cannot be \"%s\": a number, at least %" PRId64,
			a->name, value, a->low);
	else if (a->number != NULL)
		(void)cli_usage(command,
			"%s cannot be \"%s\": a number from %" PRId64 " to %" PRId64, a->name,
			value, a->low, a->high);
	else if (a->time != NULL)
		(void)cli_usage(command, "%s cannot be \"%s\": a time as in 2026-01-31T10:00:00Z",
			a->name, value);
	else
		(void)cli_usage(command, "%s cannot be \"%s\"", a->name, value);
}

/* value: NULL if nothing follows the option. */
static bool arguments_take_one(const char *command, const struct argument *a, char *value)
{
	CHECK(arguments_are_in_table(command, a));
	if (a->given != NULL) {
		*a->given = true;
		return true;
	}
	if (value == NULL)
		(void)cli_usage(command, "%s needs a value", a->name);
	else if (arguments_set(a, value))
		return true;
	else
		arguments_refuse(command, a, value);
	return false;
}

static bool arguments_not_understood(const char *command, const struct argument *arguments,
	size_t count, const char *text, bool may_be_word)
{
	bool dash = may_be_word && text[1] != '-';
	struct nearest nearest = {.word = text};

	for (size_t i = 0; i < count && text[0] == '-'; i++)
		nearest_try(&nearest, arguments[i].name);
	if (nearest.found != NULL)
		(void)cli_usage(command, "\"%s\" is unexpected; did you mean \"%s\"?", text,
			nearest.found);
	else
		(void)cli_usage(command, "\"%s\" is unexpected%s", text,
			dash ? "; a word that begins with - comes after --" : "");
	return false;
}

/* Is it one of the words of a list? */
static bool arguments_lists(const char *list, const char *name)
{
	const char *word;
	int size;

	while ((size = syntax_word(&list, &word)) > 0) {
		if (strlen(name) == (size_t)size && memcmp(word, name, (size_t)size) == 0)
			return true;
	}
	return false;
}

/*
 * Does the option belong to the subcommand, which is the first word, or the second of an entity?
 * An option that is not heeded may be what somebody relies on, as on --to with the wrong
 * subcommand. Unknown subcommands are for the command to report.
 */
static bool arguments_belong(const char *command, const struct argument *a, int words, char **argv)
{
	struct syntax syntax;

	if (a->with == NULL || words == 0)
		return true;
	syntax_read(&syntax, cli_find(command, &(size_t){0})->arguments);
	if (!arguments_lists(syntax.first, argv[0]) || arguments_lists(a->with, argv[0]) ||
		(words > 1 && arguments_lists(a->with, argv[1])))
		return true;
	(void)cli_usage(command, "%s goes only with: %s", a->name, a->with);
	return false;
}

/* Keeps the words after the options have been taken. given: the options, one bit each. */
static bool arguments_keep(const char *command, const struct argument *arguments, size_t count,
	uint32_t given, int words, char **argv)
{
	argv[words] = NULL;
	for (size_t i = 0; i < count; i++) {
		if ((given >> i & 1) != 0 && !arguments_belong(command, &arguments[i], words, argv))
			return false;
	}
	return true;
}

bool arguments_take(const char *command, const struct argument *arguments, size_t count,
	int words_max, int *argc, char **argv)
{
	bool options = true;
	uint32_t given = 0;
	int words = 0;

	CHECK(count <= SYNTAX_OPTIONS_MAX);
	for (int i = 0; i < *argc; i++) {
		char *value = NULL;
		const struct argument *a =
			options ? arguments_find(arguments, count, argv[i], &value) : NULL;
		bool word = !options || argv[i][0] != '-' || argv[i][1] == '\0';

		if (a != NULL) {
			if (a->given == NULL && value == NULL)
				value = argv[++i]; /* NULL at the end */
			if (!arguments_take_one(command, a, value))
				return false;
			given |= UINT32_C(1) << (a - arguments);
		} else if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (word && words < words_max) {
			argv[words++] = argv[i];
		} else {
			return arguments_not_understood(command, arguments, count, argv[i],
				!word && words < words_max);
		}
	}
	*argc = words;
	return arguments_keep(command, arguments, count, given, words, argv);
}

enum exit_code arguments_unknown(const char *command, const char *given, const char *say)
{
	struct nearest nearest = {.word = given};
	struct syntax syntax;

	if (given == NULL || given[0] == '\0')
		return cli_usage(command, "%s", say);
	syntax_read(&syntax, cli_find(command, &(size_t){0})->arguments);
	for (char *word = syntax.first, *end; word != NULL; word = end) {
		end = strchr(word, ' ');
		if (end != NULL)
			*end++ = '\0';
		nearest_try(&nearest, word);
	}
	if (nearest.found != NULL && nearest.distance == 0)
		return cli_usage(command, "\"%s %s\" does not take these words", command, given);
	if (nearest.found != NULL)
		return cli_usage(command, "there is no \"%s %s\"; did you mean \"%s %s\"?", command,
			given, command, nearest.found);
	return cli_usage(command, "there is no \"%s %s\": %s", command, given, say);
}

int arguments_place(const char *const *words, const char *word)
{
	for (int i = 0; word != NULL && words[i] != NULL; i++) {
		if (strcmp(words[i], word) == 0)
			return i;
	}
	return -1;
}

int arguments_choose(const char *command, const char *const *words, int argc, char **argv)
{
	int chosen = arguments_place(words, argc > 0 ? argv[0] : NULL);
	char say[ARGUMENTS_SAY_BYTES] = "say ";
	size_t used = strlen(say);
	struct syntax syntax;

	if (chosen >= 0)
		return chosen;
	syntax_read(&syntax, cli_find(command, &(size_t){0})->arguments);
	for (size_t i = 0; words[i] != NULL; i++) {
		CHECK(arguments_lists(syntax.first, words[i]) && used < sizeof(say));
		used += (size_t)snprintf(say + used, sizeof(say) - used, "%s%s",
			i == 0                 ? ""
			: words[i + 1] == NULL ? " or "
					       : ", ",
			words[i]);
	}
	(void)arguments_unknown(command, argc > 0 ? argv[0] : NULL, say);
	return -1;
}
