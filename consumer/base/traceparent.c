#include "base/traceparent.h"

#include <string.h>

struct slice traceparent_id(struct slice data)
{
	static const char key[] = "\"traceparent\"";
	enum { KEY = sizeof(key) - 1, VERSION = 4, TRACE_ID = 32 }; /* "00-, 32 hex digits */
	const uint8_t *end = data.data + data.size;
	const uint8_t *at = data.size == 0 ? NULL : memmem(data.data, data.size, key, KEY);

	if (at == NULL)
		return slice_from_cstr("");
	for (at += KEY; at < end && (*at == ' ' || *at == ':'); at++)
		;
	if (end - at < VERSION + TRACE_ID || memcmp(at, "\"00-", VERSION) != 0)
		return slice_from_cstr("");
	at += VERSION;
	for (int i = 0; i < TRACE_ID; i++) {
		if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
			return slice_from_cstr("");
	}
	return slice_of(at, TRACE_ID);
}
