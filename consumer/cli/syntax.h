#ifndef CLI_SYNTAX_H
#define CLI_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Parses the arguments of a command, which commands.def writes for people, for shell completion:
 * alternatives separated by " | ", words by "|", optional parts in brackets, capitals for what the
 * user fills in. An option's value follows it. Words of a list are separated by a blank. Only our
 * own table is parsed: what does not fit the arrays is a bug (CHECK).
 */
enum {
	SYNTAX_WORDS_BYTES = 512,
	SYNTAX_ALTERNATIVES_MAX = 16,
	SYNTAX_OPTIONS_MAX = 32,
	SYNTAX_NAME_BYTES = 32
};

struct syntax_alternative {
	char heads[SYNTAX_WORDS_BYTES]; /* its first words: "up" */
	char next[SYNTAX_WORDS_BYTES];  /* the words after that */
};

struct syntax_option {
	char name[SYNTAX_NAME_BYTES]; /* "--path" */
	bool takes_value;
	char values[SYNTAX_WORDS_BYTES]; /* the known values */
};

struct syntax {
	char first[SYNTAX_WORDS_BYTES]; /* words that may follow the command's name */
	char again[SYNTAX_WORDS_BYTES]; /* those of them that any of first may follow: "maeve" */
	struct syntax_alternative alternatives[SYNTAX_ALTERNATIVES_MAX];
	size_t alternatives_count;
	struct syntax_option options[SYNTAX_OPTIONS_MAX]; /* each once */
	size_t options_count;
};

/* FILE and DIR become the words @files and @folders, ENTITY the names of the store's entities. */
void syntax_read(struct syntax *out, const char *arguments);

/* The next word of a list, and its size; 0 after the last. Advances *list. */
int syntax_word(const char **list, const char **word_out);

#endif
