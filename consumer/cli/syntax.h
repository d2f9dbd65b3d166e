#ifndef CLI_SYNTAX_H
#define CLI_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The arguments of a command, as commands.def writes them for people, taken apart for those who
 * complete them: alternatives between " | ", words between "|", what may be left out in brackets,
 * capitals for what the user fills in. An option's value follows it. Words of a list are each
 * followed by a blank but for the last one. Our own table is read, nothing else: what does not
 * fit the arrays is a bug (CHECK).
 */
enum {
	SYNTAX_WORDS_BYTES = 512,
	SYNTAX_ALTERNATIVES_MAX = 16,
	SYNTAX_OPTIONS_MAX = 32,
	SYNTAX_NAME_BYTES = 32
};

struct syntax_alternative {
	char heads[SYNTAX_WORDS_BYTES]; /* what it begins with: "up" */
	char next[SYNTAX_WORDS_BYTES];  /* what comes then */
};

struct syntax_option {
	char name[SYNTAX_NAME_BYTES]; /* "--path" */
	bool takes_value;
	char values[SYNTAX_WORDS_BYTES]; /* those that are known */
};

struct syntax {
	char first[SYNTAX_WORDS_BYTES]; /* what may follow the command's name */
	char again[SYNTAX_WORDS_BYTES]; /* of these, what all of first may follow: "maeve" */
	struct syntax_alternative alternatives[SYNTAX_ALTERNATIVES_MAX];
	size_t alternatives_count;
	struct syntax_option options[SYNTAX_OPTIONS_MAX]; /* each once */
	size_t options_count;
};

/* FILE and DIR become the words @files and @folders, ENTITY the names of the store's entities. */
void syntax_read(struct syntax *out, const char *arguments);

/* The next word of a list, and its size; 0 after the last. *list moves on. */
int syntax_word(const char **list, const char **word_out);

#endif
