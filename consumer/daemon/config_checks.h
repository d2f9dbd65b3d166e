#ifndef DAEMON_CONFIG_CHECKS_H
#define DAEMON_CONFIG_CHECKS_H

#include "config/config.h"

/*
 * Problems that `run` would meet later although each setting is valid on its own: for `config
 * check`, and before a running process takes over new settings. Opens nothing for writing, and asks
 * no server. Calls back with each fault; returns how many there are. Any thread.
 */
unsigned config_checks(const struct config *config, config_fault *each, void *context);

/* The same for the disk of the log. Only for `config check`: a start on a disk that is too small
 * works, and so must SIGHUP. */
unsigned config_checks_room(const struct config *config, config_fault *each, void *context);

/* What works but can hardly be meant, with settings that are right otherwise: each as an error
 * whose kind means nothing. */
void config_warnings(const struct config *config, config_fault *each, void *context);

#endif
