#include "base/say.h"

#include "base/escape.h"
#include "base/log.h"
#include "base/redact.h"

#include <stdio.h>

void say_line(const char *what, const char *text)
{
	char hidden[1024], escaped[4 * sizeof(hidden)];

	snprintf(hidden, sizeof(hidden), "%s", text);
	redact_passwords(hidden);
	fprintf(stderr, "%s%s: %s\n", log_priority(LOG_LEVEL_ERROR), what,
		escape_into(escaped, sizeof(escaped), hidden));
}
