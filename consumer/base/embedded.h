#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include "base/check.h"

#include <stddef.h>
#include <string.h>

/*
 * A text file compiled into the program by embed_files() (consumer/cmake/Embed.cmake). text is
 * terminated; size does not count the terminator. Lives as long as the program.
 */
struct embedded_file {
	const char *name; /* without folder */
	const char *text;
	size_t size;
};

/* The text of a file that is among them. */
static inline const char *embedded_text(const struct embedded_file *files, size_t count,
	const char *name)
{
	size_t i = 0;

	while (i < count && strcmp(files[i].name, name) != 0)
		i++;
	CHECK(i < count);
	return files[i].text;
}

#endif
