#include "cli/cmd_replay.h"
#include "replay/dry_run.h"

#include <inttypes.h>
#include <stdio.h>

static void dry_show(const struct replay_dry_run *d)
{
	printf("would take %" PRIu64 " records, %" PRIu64 " messages; %" PRIu64
	       " not asked for, %" PRIu64 " unreadable\n",
		d->records, d->messages, d->unwanted, d->unreadable);
	for (int t = 0; t < TABLE_COUNT; t++) {
		if (d->rows[t] > 0)
			printf("  rows for %s: %" PRIu64 "\n", tables[t].name, d->rows[t]);
	}
	cmd_replay_show_reasons("dead letters", &d->dead_reasons);
	cmd_replay_show_reasons("skipped", &d->skip_reasons);
}

static void dry_show_json(const struct replay_dry_run *d)
{
	const char *before = "";

	printf("{\"dry_run\":true,\"records\":%" PRIu64 ",\"messages\":%" PRIu64
	       ",\"not_asked_for\":%" PRIu64 ",\"unreadable\":%" PRIu64 ",\"rows\":{",
		d->records, d->messages, d->unwanted, d->unreadable);
	for (int t = 0; t < TABLE_COUNT; t++) {
		if (d->rows[t] == 0)
			continue;
		printf("%s\"%s\":%" PRIu64, before, tables[t].name, d->rows[t]);
		before = ",";
	}
	printf("}");
	cmd_replay_show_json_reasons("dead_lettered_reasons", &d->dead_reasons);
	cmd_replay_show_json_reasons("skipped_reasons", &d->skip_reasons);
	printf("}\n");
}

enum exit_code cmd_replay_dry_run(const struct config *config, const struct cmd_replay *options)
{
	struct replay_dry_run d;
	struct error err;

	if (!replay_dry_run(config, &options->request, &d, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	if (options->json)
		dry_show_json(&d);
	else
		dry_show(&d);
	return d.unreadable > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
