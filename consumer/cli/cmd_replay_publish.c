#include "cli/cmd_replay.h"
#include "replay/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void publish_show(const struct cmd_replay *options, const struct replay_published *p)
{
	if (options->json)
		printf("{\"records\":%" PRIu64 ",\"published\":%" PRIu64
		       ",\"acknowledged\":%" PRIu64 ",\"resent\":%" PRIu64
		       ",\"not_asked_for\":%" PRIu64 ",\"unreadable\":%" PRIu64
		       ",\"settled\":%" PRIu64 ",\"seconds\":%.3f}\n",
			p->records, p->published, p->acknowledged, p->resent, p->unwanted,
			p->unreadable, p->settled, p->seconds);
	else
		printf("%" PRIu64 " records: %" PRIu64
		       " published, of which the broker has %" PRIu64 " (%" PRIu64
		       " sent again); %" PRIu64 " not asked for, %" PRIu64 " unreadable; %.1f s\n",
			p->records, p->published, p->acknowledged, p->resent, p->unwanted,
			p->unreadable, p->seconds);
}

enum exit_code cmd_replay_publish(const struct config *config, const struct cmd_replay *options)
{
	struct replay_published published;
	struct error err;
	bool ok = replay_publish(config, &options->request, &options->publish, &published, &err);

	publish_show(options, &published);
	if (!ok)
		return cli_fail(cli_exit_code(&err, EXIT_CODE_FAILED), &err);
	return published.unreadable > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
