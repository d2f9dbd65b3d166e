#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * Text of other people on its way to a terminal or into the logging: topics, names of stations and
 * files, payloads, errors that quote them. A terminal obeys control characters, and characters that
 * turn the direction of writing make a line read as another one. They are written as \x1b (a byte)
 * or \u202e (a code point): control and format characters (Cc and Cf of Unicode: marks, embeddings
 * and isolates of direction among them), line and paragraph separators, what is not shown at all
 * (Default_Ignorable_Code_Point: variation selectors, fillers), noncharacters, and every byte that
 * is not UTF-8. All other text stays as it is. This is the only place that knows which characters
 * these are. Any thread.
 */

/* Whole; false if it could not be written. */
bool escape_print(FILE *out, struct slice text);

/* The same of a string, filled up with blanks to width columns, a byte each. */
void escape_print_padded(FILE *out, const char *text, int width);

/* Into a buffer, cut off at its end and terminated. Returns out. */
const char *escape_into(char *out, size_t room, const char *text);

/*
 * JSON text, which must be valid: it still is, and says the same. Blanks and newlines between its
 * values stay.
 */
bool escape_print_json(FILE *out, struct slice json);

/* The first character of text, which is not empty, as it may go out. Returns its bytes in text. */
enum { ESCAPE_BYTES = 16 };
size_t escape_first(struct slice text, char out[static ESCAPE_BYTES]);

/* How many bytes from the start of text can go out as they are. */
size_t escape_harmless(struct slice text);

#endif
