#ifndef REPLAY_READERS_LINES_ZONE_H
#define REPLAY_READERS_LINES_ZONE_H

#include "base/slice.h"

#include <stdbool.h>

/*
 * Words for time zones beside a time, as logs have them: abbreviations ("CET", "(PDT)"), which mean
 * different offsets in different places, names ("Europe/Berlin"), and offsets that are not RFC
 * 3339's ("+1", "UTC+2"). Whoever finds one must not take it for something else. Pure.
 */
enum { LINES_ZONE_WORD_BYTES = 64 };

/* Whether text is such a word; out is without its brackets. */
bool lines_zone_word(struct slice text, char out[static LINES_ZONE_WORD_BYTES]);

#endif
