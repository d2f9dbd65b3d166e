#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "config/config.h"

/*
 * Reads the settings again, from where those of the running process came. log.level and log.format
 * take effect at once; a warning names all others that have changed and wait for a restart. Invalid
 * settings change nothing and are logged: false. The loop's thread.
 */
bool reload_settings(const struct config *running);

#endif
