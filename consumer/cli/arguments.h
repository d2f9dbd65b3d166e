#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What becomes of the options of a command. Which ones there are, and which take a value, is in
 * commands.def (cli/syntax.h): a command says for each only where it goes. One of these is set:
 */
struct argument {
	const char *name;
	bool *given;       /* it takes no value */
	const char **text; /* the value as it is */
	int64_t *number;   /* from low to high */
	int64_t low, high;
	int64_t *time;                            /* RFC 3339, in microseconds */
	bool (*take)(void *context, char *value); /* false: not that value */
	void *context;
	const char *example; /* of a value, for whoever gave another one; may be NULL */
};

/*
 * Takes the options and their values (--name VALUE, --name=VALUE) out of argv; *argc counts the
 * words that stay, words_max at most, and NULL follows them. After "--" there are only words. False
 * after reporting the error: EXIT_CODE_USAGE.
 */
MUST_CHECK bool arguments_take(const char *command, const struct argument *arguments, size_t count,
	int words_max, int *argc, char **argv);

#endif
