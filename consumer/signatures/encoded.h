#ifndef SIGNATURES_ENCODED_H
#define SIGNATURES_ENCODED_H

#include "base/arena.h"
#include "base/slice.h"

/* Bytes that were sent as text: stations write signed data, signatures and keys in hexadecimal or
 * in base64, without saying which. Pure; any thread. The results have the lifetime of the arena. */

/* Absent if the text is not an even number (not zero) of hexadecimal digits, or the arena is full.
 * Blanks do not count. */
struct slice encoded_hex(struct slice text, struct arena *arena);

/* Absent if the text is not base64, in either of the alphabets of RFC 4648, padded or not, or the
 * arena is full. Blanks do not count. */
struct slice encoded_base64(struct slice text, struct arena *arena);

/* Hexadecimal, or else base64. */
struct slice encoded_bytes(struct slice text, struct arena *arena);

#endif
