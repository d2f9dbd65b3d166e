#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "base/error.h"
#include "config/config.h"

#include <stdbool.h>

/*
 * The program as a service: broker, log, pipeline, metrics, signals. Start order: HTTP, log,
 * pipeline, broker; stop order: the reverse, so that nothing is received that cannot be kept.
 *
 * SIGTERM and SIGINT stop it cleanly: it ends the connection to the broker, commits the batch in
 * progress, and closes the log. The broker keeps the session. SIGHUP reads the settings again
 * (daemon/settings.h). daemon/signals.h has the others.
 */
struct daemon_options {
	const struct config *config;
	bool migrate; /* bring the schema up to date if it is behind */
	/* Take the worker out of service: subscribe to nothing, take what the broker has queued for
	 * its session, store it, end the session, and stop. */
	bool drain;
	void (*on_reloaded)(const struct config *config); /* new settings are in force */
};

/*
 * Runs until a signal stops it: true. False with err if it could not start, or had to stop.
 * *hard_out: a thread of the MQTT library is still running, so the process must end with _exit().
 */
MUST_CHECK bool daemon_run(const struct daemon_options *options, bool *hard_out, struct error *err);

#endif
