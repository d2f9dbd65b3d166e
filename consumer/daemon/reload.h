#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "config/config.h"

/*
 * Reads the settings again, from where those of the running process came. log.level counts at once;
 * of all others that have changed it is said that they wait for a restart. Settings that are wrong
 * change nothing. The loop's thread.
 */
void reload_settings(const struct config *running);

#endif
