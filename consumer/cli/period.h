#ifndef CLI_PERIOD_H
#define CLI_PERIOD_H

#include "base/error.h"
#include "base/zone.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * The period that a report covers, [from, to), and the time zone in which it shows times: --from,
 * --to and --zone. A time is RFC 3339, or, without a zone, in that of --zone (UTC by default): a
 * month (2026-01), a day (2026-01-31), or more. The server applies the zone, including daylight
 * saving time, so that one set of rules decides what is selected, grouped and shown. One thread.
 */
enum { PERIOD_TIME_BYTES = 48 };

struct period {
	const char *given_from, *given_to, *given_zone; /* NULL = not given */
	struct zone zone;                               /* UTC, unless --zone says otherwise */
	char from[PERIOD_TIME_BYTES]; /* for a session in the zone; "" = from the beginning */
	char to[PERIOD_TIME_BYTES];   /* "" = to the end */
};

/* For arguments_take(). */
#define PERIOD_ARGUMENTS(period)                                                                   \
	{.name = "--from", .text = &(period).given_from},                                          \
		{.name = "--to", .text = &(period).given_to},                                      \
	{                                                                                          \
		.name = "--zone", .text = &(period).given_zone                                     \
	}

/* Parses the given values. False with err (FATAL) if one is not a time ("bad_time") or not a zone
 * ("bad_zone"). */
MUST_CHECK bool period_read(struct period *p, struct error *err);

/* Makes the session show and read times in the zone. */
MUST_CHECK bool period_set_zone(const struct period *p, PGconn *conn, struct error *err);

/* For a parameter: NULL instead of "". */
const char *period_parameter(const char *time);

#endif
