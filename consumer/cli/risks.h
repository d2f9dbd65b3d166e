#ifndef CLI_RISKS_H
#define CLI_RISKS_H

#include "config/config.h"

/*
 * Settings that work and are dangerous. For `run`, once, before it starts: each is logged as
 * event=risky with what to do. False with err where nobody can have wanted it: the folder of the
 * log is open for everybody to write to.
 */
MUST_CHECK bool risks_check(const struct config *config, struct error *err);

/* The same for settings that are read again: what they have made dangerous, logged only. A service
 * that storage.url names is not looked up. */
void risks_say(const struct config *config);

#endif
