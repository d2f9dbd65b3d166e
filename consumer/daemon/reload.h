#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "config/config.h"

/*
 * Reads the settings again, from where those of the running process came. log.level takes effect at
 * once; a warning names all others that have changed and wait for a restart. Invalid settings
 * change nothing. The loop's thread.
 */
void reload_settings(const struct config *running);

#endif
