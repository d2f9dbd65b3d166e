#include "migrate/migrate_private.h"

#include <stdarg.h>
#include <stdio.h>

void migrate_say(const struct migrate *m, const char *format, ...)
{
	char text[512];
	va_list args;

	if (m->options.say == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	m->options.say(m->options.context, text);
}

const char *migrate_elsewhere(const struct migrate *m)
{
	return m->options.group == NULL ? "set storage.postgres.schema"
					: "rename it: the views need the name";
}
