#include "cli/arguments.h"

#include "base/embedded.h"
#include "cli/syntax.h"

#include <stdio.h>
#include <string.h>

/* What a shell needs to complete our command line: a table as a shell function, from the same data
 * as --help and `config reference`, and the functions of cli/shell/ that use it. */
extern const struct embedded_file completion_files[];
extern const size_t completion_count;

static void completion_print_file(const char *name)
{
	printf("%s", embedded_text(completion_files, completion_count, name));
}

/* In single quotes for a shell. */
static void completion_quoted(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			printf("'\\''");
		else
			putchar(*text);
	}
}

static void completion_commands(void)
{
	const struct command *c;

	printf("    next) echo '");
	for (size_t i = 0; (c = cli_command(i)) != NULL; i++)
		printf("%s%s", i == 0 ? "" : " ", c->name);
	printf("' ;;\n    summaries)\n        echo '");
	for (size_t i = 0; (c = cli_command(i)) != NULL; i++) {
		printf("%s%s:", i == 0 ? "" : "\n", c->name);
		completion_quoted(c->summary);
	}
	printf("'\n        ;;\n    'options ') echo '--config --help --version' ;;\n");
}

/* 'next COMMAND WORDS' for each of the words; each is a pattern of the table. */
static void completion_patterns(const char *command, const char *words)
{
	const char *word;
	int size;

	for (bool first = true; (size = syntax_word(&words, &word)) > 0; first = false)
		printf("%s'next %s %.*s'", first ? "    " : " | ", command, size, word);
}

static void completion_words(const char *command, const struct syntax *s)
{
	printf("    'next %s'%s) echo '%s' ;;\n", command,
		strchr(s->first, '@') != NULL ? "*" : "", /* any number of files */
		s->first);
	if (s->again[0] != '\0') {
		completion_patterns(command, s->again);
		printf(") echo '%s' ;;\n", s->first);
	}
	for (size_t i = 0; i < s->alternatives_count; i++) {
		const struct syntax_alternative *a = &s->alternatives[i];

		if (a->heads[0] == '\0' || a->heads[0] == '@' || a->next[0] == '\0')
			continue;
		completion_patterns(command, a->heads);
		printf(") echo '%s' ;;\n", a->next);
	}
}

static void completion_options(const char *command, const struct syntax *s)
{
	printf("    'options %s') echo '", command);
	for (size_t i = 0; i < s->options_count; i++)
		printf("%s ", s->options[i].name);
	printf("--config --help' ;;\n");
	for (size_t i = 0; i < s->options_count; i++) {
		if (s->options[i].takes_value)
			printf("    'value %s %s') echo '%s' ;;\n", command, s->options[i].name,
				s->options[i].values);
	}
}

static void completion_table(void)
{
	struct config_words words;
	struct syntax syntax;
	const struct command *c;

	printf("_ocpp_persister_table() {\n    case \"$1\" in\n");
	completion_commands();
	for (size_t i = 0; (c = cli_command(i)) != NULL; i++) {
		syntax_read(&syntax, c->arguments);
		completion_words(c->name, &syntax);
		completion_options(c->name, &syntax);
	}
	printf("    settings)\n        echo '");
	for (size_t i = 0; config_words(i, &words); i++)
		printf("%s--%s=", i == 0 ? "" : "\n", words.name);
	printf("'\n        ;;\n    *) return 1 ;;\n    esac\n}\n");
}

enum exit_code cmd_completion(const struct config *config, int argc, char **argv)
{
	static const char *const shells[] = {"bash", "zsh", NULL};
	int shell;

	(void)config;
	shell = arguments_place(shells, argc == 1 ? argv[0] : NULL);
	if (shell < 0)
		return cli_usage("completion", "say bash or zsh");
	if (shell > 0)
		printf("#compdef ocpp-persister\n");
	printf("# Completion for %s, made by `ocpp-persister completion %s`.\n\n", argv[0],
		argv[0]);
	completion_table();
	completion_print_file("words.sh");
	completion_print_file(shell == 0 ? "completion.bash" : "completion.zsh");
	return EXIT_CODE_OK;
}
