#ifndef DAEMON_FILTERS_H
#define DAEMON_FILTERS_H

#include "base/error.h"
#include "config/config.h"

#include <stddef.h>

/*
 * Topic filters: those in the settings, and those of an earlier run. The broker keeps subscriptions
 * in the session, so one that was removed from the settings has to be unsubscribed there, too; for
 * that, the list of what was subscribed is kept beside the log.
 */
struct filters {
	char **wanted; /* with $share/<group>/ before, where a group is set */
	size_t wanted_count;
	char **old; /* subscribed by an earlier run and not wanted any more */
	size_t old_count;
	char path[4096];
};

MUST_CHECK bool filters_init(struct filters *f, const struct config *config, struct error *err);
void filters_fini(struct filters *f);

/*
 * By other settings: what was wanted so far, and is not any more, is to be unsubscribed, as well as
 * what still was. *f is another one then; the one before, in *before_out, is for the caller to end.
 * False with err: nothing is changed.
 */
MUST_CHECK bool filters_reload(struct filters *f, const struct config *config,
	struct filters *before_out, struct error *err);

/* They are subscribed: remember them for the next run. */
MUST_CHECK bool filters_save(const struct filters *f, struct error *err);

/* Nothing is subscribed any more. */
MUST_CHECK bool filters_forget(const struct filters *f, struct error *err);

#endif
