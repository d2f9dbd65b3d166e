#ifndef REPLAY_READERS_LINES_ZONE_H
#define REPLAY_READERS_LINES_ZONE_H

#include "base/slice.h"

#include <stdbool.h>

/*
 * Words for time zones beside a time, as in logs: abbreviations ("CET", "(PDT)"), which mean
 * different offsets in different places, names ("Europe/Berlin"), and offsets that are not RFC
 * 3339's ("+1", "UTC+2"). Such a word must not be mistaken for anything else. Pure.
 */
enum { LINES_ZONE_WORD_BYTES = 64 };

/* Whether text is such a word; out is the word without brackets. */
bool lines_zone_word(struct slice text, char out[static LINES_ZONE_WORD_BYTES]);

#endif
