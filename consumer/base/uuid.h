#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

/* Random UUIDs (RFC 4122 version 4): each log has one as its identity. Any thread. */
enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 37 };

struct uuid {
	uint8_t bytes[UUID_BYTES];
};

/* False only if the system cannot provide randomness. */
bool uuid_new(struct uuid *out);
void uuid_format(const struct uuid *u, char out[static UUID_TEXT_BYTES]);
bool uuid_from_text(const char *text, struct uuid *out);

#endif
