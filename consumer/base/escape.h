#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * Untrusted text on its way to a terminal or into the logging: topics, names of stations and files,
 * payloads, errors that quote them. A terminal obeys control characters, and characters that change
 * the direction of writing make one line read as another. They are written as \x1b (a byte) or
 * \u202e (a code point): control and format characters (Unicode's Cc and Cf, including marks,
 * embeddings and isolates of direction), line and paragraph separators, characters that are not
 * shown at all (Default_Ignorable_Code_Point: variation selectors, fillers), noncharacters, and
 * every byte that is not UTF-8. All other text stays as it is. Only this file knows which
 * characters these are. Any thread.
 */

/* All of it; false if it could not be written. */
bool escape_print(FILE *out, struct slice text);

/* The same for a string, padded with blanks to width columns, one per byte. */
void escape_print_padded(FILE *out, const char *text, int width);

/* Into a buffer, truncated to fit and terminated. Returns out. */
const char *escape_into(char *out, size_t room, const char *text);

/* For valid JSON: the output is valid and equivalent. Whitespace between its values stays. */
bool escape_print_json(FILE *out, struct slice json);

/* Escapes the first character of text, which is not empty, if it needs it. Returns how many bytes
 * of text it has. */
enum { ESCAPE_BYTES = 16 };
size_t escape_first(struct slice text, char out[static ESCAPE_BYTES]);

/* How many bytes from the start of text can go out as they are. */
size_t escape_harmless(struct slice text);

#endif
