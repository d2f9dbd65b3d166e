#ifndef CLI_RISKS_H
#define CLI_RISKS_H

#include "config/config.h"

/*
 * Settings that work but are dangerous. For `run`, once, before it starts: each is logged as
 * event=risky with what to do. False with err if nobody can have meant it: the folder of the log is
 * writable by everybody.
 */
MUST_CHECK bool risks_check(const struct config *config, struct error *err);

/* The same after settings were read again: only logs what they have made dangerous. Does not look
 * up a service that storage.url names. */
void risks_say(const struct config *config);

#endif
