#ifndef DAEMON_CONFIG_CHECKS_H
#define DAEMON_CONFIG_CHECKS_H

#include "config/config.h"

/*
 * What `run` would stumble over later although each setting is right for itself: for `config
 * check`, and before a running process takes other settings. Nothing is opened for writing, and no
 * server is asked. Calls back with each fault; returns how many there are. Any thread.
 */
typedef void config_fault(void *context, const struct error *err);
unsigned config_checks(const struct config *config, config_fault *each, void *context);

/* The same of the disk that the log is on. For `config check` alone: a start on a disk that is too
 * small works, and so must SIGHUP. */
unsigned config_checks_room(const struct config *config, config_fault *each, void *context);

#endif
