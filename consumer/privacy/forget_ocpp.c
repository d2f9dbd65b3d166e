#include "privacy/forget_ocpp.h"

#include "base/check.h"
#include "base/embedded.h"

#include <string.h>
#include <strings.h>

extern const struct embedded_file privacy_words_files[];
extern const size_t privacy_words_count;

bool forget_is_ocpp(struct slice text)
{
	const char *at;

	CHECK(privacy_words_count == 1);
	at = privacy_words_files[0].text;
	while (*at == '#')
		at += strcspn(at, "\n") + 1;
	while (*at != '\0') {
		size_t size = strcspn(at, " \n");

		if (size == text.size && strncasecmp(at, (const char *)text.data, size) == 0)
			return true;
		at += size;
		at += strspn(at, " \n");
	}
	return false;
}
