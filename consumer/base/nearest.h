#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "base/error.h"

/*
 * The name that somebody meant: of several, the one that takes the fewest letters left out, added,
 * changed or swapped with their neighbour. Pure; any thread.
 */
struct nearest {
	const char *word;  /* as it was written */
	const char *found; /* NULL: none is near enough */
	unsigned distance;
};

/* One more name, which is borrowed. More than a third of the word's letters is another word. */
void nearest_try(struct nearest *n, const char *name);

/* "did you mean "x"?" as the error's hint, or what else to do. Always false. */
bool nearest_hint(struct error *err, const struct nearest *n, const char *otherwise);

#endif
