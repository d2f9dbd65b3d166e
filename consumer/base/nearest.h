#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "base/error.h"

/* The name that somebody probably meant: the one with the fewest letters left out, added, changed
 * or swapped with their neighbour. Pure; any thread. */
struct nearest {
	const char *word;  /* as it was written */
	const char *found; /* NULL: none is close enough */
	unsigned distance;
};

/* Consider one more name, which is borrowed. If more than a third of the word's letters differ, it
 * is a different word. */
void nearest_try(struct nearest *n, const char *name);

/* Sets the error's hint to "did you mean "x"?" or to otherwise. Always false. */
bool nearest_hint(struct error *err, const struct nearest *n, const char *otherwise);

#endif
