#ifndef PG_LIBPQ_OPTIONS_H
#define PG_LIBPQ_OPTIONS_H

#include <libpq-fe.h>
#include <stddef.h>
#include <string.h>

/*
 * What libpq's lists of options say: those of a URL (PQconninfoParse()), of the environment and
 * its defaults (PQconndefaults()), of a connection (PQconninfo()). Pure; any thread. Values are
 * borrowed from the list, which may be NULL.
 */

/* "" if it is not set. */
static inline const char *libpq_option(const PQconninfoOption *options, const char *keyword)
{
	for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, keyword) == 0)
			return o->val == NULL ? "" : o->val;
	}
	return "";
}

/* What the URL says, otherwise what the defaults say, as libpq does. */
static inline const char *libpq_option_or(const PQconninfoOption *url,
	const PQconninfoOption *defaults, const char *keyword)
{
	const char *value = libpq_option(url, keyword);

	return value[0] != '\0' ? value : libpq_option(defaults, keyword);
}

#endif
