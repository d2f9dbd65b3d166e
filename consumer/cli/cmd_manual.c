#include "cli/arguments.h"

#include <stdio.h>
#include <string.h>

/* The manual pages, man(7), from the same tables as --help and `config reference`, so the installed
 * pages always match the program. */

/* Literal text: a backslash, and a point or quote at the beginning of a line, mean something to
 * troff, and a hyphen is not a minus. */
static void manual_text(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\''))
			printf("\\&");
		if (*p == '\\')
			printf("\\e");
		else if (*p == '-')
			printf("\\-");
		else
			putchar(*p);
	}
}

static void manual_head(const char *section, const char *what)
{
	bool of_file = section[0] == '5';

	/* No hyphenation, not justified. */
	printf(".TH OCPP\\-PERSISTER%s %s \"\" \"ocpp\\-persister %s\"\n.nh\n.ad l\n"
	       ".SH NAME\nocpp\\-persister%s \\- %s\n",
		of_file ? ".INI" : "", section, OCPP_PERSISTER_VERSION, of_file ? ".ini" : "",
		what);
}

static void manual_commands(void)
{
	const struct command *c;

	printf(".SH COMMANDS\n");
	for (size_t i = 0; (c = cli_command(i)) != NULL; i++) {
		printf(".SS ");
		manual_text(c->name);
		printf("\n.B ocpp\\-persister ");
		manual_text(c->name);
		printf("\n");
		manual_text(c->arguments);
		printf("\n.PP\n");
		manual_text(c->summary);
		printf("\n");
		if (c->help == NULL)
			continue;
		printf(".PP\n.nf\n");
		manual_text(c->help);
		printf(".fi\n");
	}
}

static void manual_program(void)
{
	manual_head("1", "OCPP events from MQTT into PostgreSQL");
	printf(".SH SYNOPSIS\n.B ocpp\\-persister\n"
	       "[\\-\\-config FILE] [\\-\\-SETTING=VALUE ...] COMMAND ...\n"
	       ".SH DESCRIPTION\n"
	       "Subscribes to the topics on which a charging station management system publishes\n"
	       "OCPP events, keeps each on disk before it is acknowledged to the broker, and\n"
	       "stores it in PostgreSQL exactly once.\n.PP\n"
	       "Settings come from a file (\\-\\-config, or\n.BR OCPP_PERSISTER_CONFIG ),\n"
	       "the environment and the command line, later ones winning; see\n"
	       ".BR ocpp\\-persister.ini (5).\n");
	manual_commands();
	printf(".SH SIGNALS\nOf\n.BR run :\n"
	       ".TP\nSIGTERM, SIGINT\nstop: the current batch is committed first\n"
	       ".TP\nSIGHUP\nread settings, secrets and TLS files again, and use what has "
	       "changed;\n"
	       "the logging names what needs a restart\n"
	       ".TP\nSIGUSR1\nthe next message begins a new segment of the log\n"
	       ".TP\nSIGUSR2, SIGPIPE\nnothing\n"
	       ".TP\nSIGQUIT, SIGKILL\nend as in a crash: nothing acknowledged is lost\n"
	       ".SH EXIT STATUS\n"
	       ".TP\n%d\nended as asked\n.TP\n%d\nit failed, or the answer is no\n"
	       ".TP\n%d\nwrong arguments\n.TP\n%d\nwrong settings\n.TP\n%d\nPostgreSQL\n"
	       ".TP\n%d\nthe schema\n.TP\n%d\nthe log on disk\n.TP\n%d\nthe broker\n"
	       ".TP\n%d\nan error of the program\n"
	       ".SH FILES\n"
	       ".TP\n/etc/ocpp\\-persister.ini\nthe settings of the service. Other commands read "
	       "it only if\n.B \\-\\-config\nor\n.B OCPP_PERSISTER_CONFIG\nnames it\n"
	       ".TP\n/var/lib/ocpp\\-persister/spool\nthe log, unless\n.B spool.dir\nnames "
	       "another folder\n"
	       ".SH SEE ALSO\n.BR ocpp\\-persister.ini (5)\n",
		EXIT_CODE_OK, EXIT_CODE_FAILED, EXIT_CODE_USAGE, EXIT_CODE_CONFIG,
		EXIT_CODE_DATABASE, EXIT_CODE_SCHEMA, EXIT_CODE_SPOOL, EXIT_CODE_BROKER,
		EXIT_CODE_INTERNAL);
}

static void manual_settings(void)
{
	struct config_words words;

	manual_head("5", "settings of ocpp\\-persister");
	printf(".SH DESCRIPTION\n"
	       "Sections in brackets, and below each lines of the form name = value;\n"
	       "what follows # or ;, at the beginning of a line or after a blank, is a\n"
	       "comment. A value that has that in it, or blanks at its ends, needs quotes. A\n"
	       "setting section.name is also the option \\-\\-section.name=VALUE and the "
	       "environment\n"
	       "variable SECTION_NAME.\n.PP\n"
	       "Durations have a unit: us, ms, s, min (or m), h, d; a number alone is seconds.\n"
	       "Sizes are whole numbers of bytes, with KiB, MiB, GiB, TiB, PiB (1024) or kB, MB,\n"
	       "GB (1000); a number alone is bytes. A list has commas between its items.\n"
	       ".SH SETTINGS\n");
	for (size_t i = 0; config_words(i, &words); i++) {
		printf(".TP\n.B ");
		manual_text(words.name);
		printf("\n");
		manual_text(words.help);
		printf(".\n");
		if (words.default_text[0] != '\0') {
			printf("Default: ");
			manual_text(words.default_text);
			printf(".\n");
		}
	}
	printf(".SH SEE ALSO\n.BR ocpp\\-persister (1)\n");
}

enum exit_code cmd_manual(const struct config *config, int argc, char **argv)
{
	static const char *const sections[] = {"1", "5", NULL};

	(void)config;
	switch (arguments_place(sections, argc == 1 ? argv[0] : NULL)) {
	case -1:
		return cli_usage("manual", "name the section: 1 or 5");
	case 0:
		manual_program();
		break;
	default:
		manual_settings();
	}
	return EXIT_CODE_OK;
}
