#ifndef CLI_CONFIG_CHECKS_H
#define CLI_CONFIG_CHECKS_H

#include "config/config.h"

/*
 * `config check`: what `run` would stumble over later although each setting is right for itself.
 * Nothing is opened for writing, and no server is asked. Each fault is said on stderr. Returns how
 * many there are.
 */
unsigned config_checks(const struct config *config);

#endif
