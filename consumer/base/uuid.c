#include "base/uuid.h"

#include "base/hex.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool uuid_new(struct uuid *out)
{
	if (getrandom(out->bytes, UUID_BYTES, 0) != UUID_BYTES)
		return false;
	out->bytes[6] = (uint8_t)((out->bytes[6] & 0x0f) | 0x40);
	out->bytes[8] = (uint8_t)((out->bytes[8] & 0x3f) | 0x80);
	return true;
}

void uuid_format(const struct uuid *u, char out[static UUID_TEXT_BYTES])
{
	char *at = out;

	for (int i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at = hex_put(at, &u->bytes[i], 1);
	}
	*at = '\0';
}

bool uuid_from_text(const char *text, struct uuid *out)
{
	struct uuid u;
	int used = 0;
	uint8_t *b = u.bytes;

	if (strlen(text) != UUID_TEXT_BYTES - 1)
		return false;
	if (sscanf(text,
		    "%2hhx%2hhx%2hhx%2hhx-%2hhx%2hhx-%2hhx%2hhx-%2hhx%2hhx-"
		    "%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%n",
		    &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6], &b[7], &b[8], &b[9], &b[10],
		    &b[11], &b[12], &b[13], &b[14], &b[15], &used) != UUID_BYTES)
		return false;
	if (used != UUID_TEXT_BYTES - 1)
		return false;
	*out = u;
	return true;
}
