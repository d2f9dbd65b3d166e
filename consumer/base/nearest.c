#include "base/nearest.h"

#include <string.h>

/* None of our names is longer; longer words are compared up to here. */
enum { NEAREST_BYTES = 64 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance: no letter is edited twice. */
static unsigned nearest_distance(const char *a, const char *b)
{
	size_t rows = strnlen(a, NEAREST_BYTES), columns = strnlen(b, NEAREST_BYTES);
	unsigned table[3][NEAREST_BYTES + 1];

	for (size_t j = 0; j <= columns; j++)
		table[0][j] = (unsigned)j;
	for (size_t i = 1; i <= rows; i++) {
		const unsigned *before = table[(i - 1) % 3], *two_before = table[(i + 1) % 3];
		unsigned *row = table[i % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= columns; j++) {
			row[j] = least(before[j], row[j - 1]) + 1;
			row[j] = least(row[j], before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], two_before[j - 2] + 1);
		}
	}
	return table[rows % 3][columns];
}

void nearest_try(struct nearest *n, const char *name)
{
	unsigned distance = nearest_distance(n->word, name);

	if (distance > (strnlen(n->word, NEAREST_BYTES) + 2) / 3 ||
		(n->found != NULL && distance >= n->distance))
		return;
	n->found = name;
	n->distance = distance;
}

bool nearest_hint(struct error *err, const struct nearest *n, const char *otherwise)
{
	if (n->found != NULL)
		return error_hint(err, "did you mean \"%s\"? %s", n->found, otherwise);
	return error_hint(err, "%s", otherwise);
}
