#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

/*
 * A text file compiled into the program by embed_files() (consumer/cmake/Embed.cmake). text is
 * terminated; size does not count the terminator. Lives as long as the program.
 */
struct embedded_file {
	const char *name; /* without folder */
	const char *text;
	size_t size;
};

#endif
