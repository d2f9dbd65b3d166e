#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/arena.h"
#include "base/slice.h"

/*
 * Text that PostgreSQL can hold: well-formed UTF-8 (no overlong forms, no surrogates, nothing
 * above U+10FFFF) without NUL. Pure; any thread.
 */
bool utf8_is_storable(struct slice text);

/*
 * Ill-formed text made readable: each ill-formed part (Unicode 15 section 3.9, "maximal subpart")
 * and each NUL becomes U+FFFD. From the arena; absent if it does not fit.
 */
MUST_CHECK struct slice utf8_replace(struct arena *arena, struct slice text);

/* The code point that text begins with; returns its bytes, or 0 if it is ill-formed or NUL. text is
 * not empty. */
size_t utf8_get(struct slice text, uint32_t *code_point_out);

/* Write one code point (at most 4 bytes); returns the address after it. */
uint8_t *utf8_put(uint8_t *at, uint32_t code_point);

#endif
