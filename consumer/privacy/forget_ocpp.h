#ifndef PRIVACY_FORGET_OCPP_H
#define PRIVACY_FORGET_OCPP_H

#include "base/slice.h"

#include <stdbool.h>

/*
 * Whether a text is a word of OCPP (ocpp_words.txt): an action, the name of a member, a value such
 * as "Remote". Replacing it would damage unrelated data. ASCII letters are compared without regard
 * to case. Pure; any thread.
 */
bool forget_is_ocpp(struct slice text);

#endif
