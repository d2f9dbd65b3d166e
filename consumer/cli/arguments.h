#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "base/check.h"
#include "cli/cli.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where the options of a command go. commands.def says which options there are, and which take a
 * value (cli/syntax.h); a command only says for each where its value goes. Exactly one of these is
 * set:
 */
struct argument {
	const char *name;
	bool *given;       /* an option without a value */
	const char **text; /* the value, unchanged */
	int64_t *number;   /* within low to high */
	int64_t low, high;
	int64_t *time;                            /* RFC 3339, converted to microseconds */
	bool (*take)(void *context, char *value); /* false: invalid value */
	void *context;
	const char *example; /* shown if the value is invalid; may be NULL */
	const char *with;    /* the subcommands that it belongs to; NULL = all */
};

/*
 * Removes the options and their values (--name VALUE, --name=VALUE) from argv; *argc counts the
 * remaining words, at most words_max, and NULL follows them. After "--" there are only words. False
 * after reporting the error: EXIT_CODE_USAGE.
 */
MUST_CHECK bool arguments_take(const char *command, const struct argument *arguments, size_t count,
	int words_max, int *argc, char **argv);

/* The place of a word in a list that ends with NULL; -1 if it is not there, or NULL. */
int arguments_place(const char *const *words, const char *word);

/*
 * Which subcommand the first word is: its place among these, which end with NULL and are those of
 * commands.def. -1 after reporting that it is another word: EXIT_CODE_USAGE.
 */
MUST_CHECK int arguments_choose(const char *command, const char *const *words, int argc,
	char **argv);

/*
 * Reports that the command has no such subcommand, with the one that was probably meant, or else
 * with what to say. given: NULL or "" if no word was given. EXIT_CODE_USAGE.
 */
enum exit_code arguments_unknown(const char *command, const char *given, const char *say);

#endif
