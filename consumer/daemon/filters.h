#ifndef DAEMON_FILTERS_H
#define DAEMON_FILTERS_H

#include "base/error.h"
#include "config/config.h"

#include <stddef.h>

/*
 * Topic filters: those in the settings, and those of earlier runs. The broker keeps subscriptions
 * in the session, so a filter that was removed from the settings has to be unsubscribed there; for
 * that, the list of subscribed filters is kept beside the log.
 */
struct filters {
	char **wanted; /* prefixed with $share/<group>/ if a group is set */
	size_t wanted_count;
	char **old; /* subscribed by an earlier run, and no longer wanted */
	size_t old_count;
	char path[4096];
};

MUST_CHECK bool filters_init(struct filters *f, const struct config *config, struct error *err);
void filters_fini(struct filters *f);

/*
 * Switch to new settings: filters that are no longer wanted will be unsubscribed, in addition to
 * earlier ones. *f is replaced; the caller frees the previous one, in *before_out. False with err:
 * nothing is changed.
 */
MUST_CHECK bool filters_reload(struct filters *f, const struct config *config,
	struct filters *before_out, struct error *err);

/* They are now subscribed: remember them for the next run. */
MUST_CHECK bool filters_save(const struct filters *f, struct error *err);

/* Nothing is subscribed any more. */
MUST_CHECK bool filters_forget(const struct filters *f, struct error *err);

#endif
