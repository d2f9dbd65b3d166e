#ifndef CLI_PERIOD_H
#define CLI_PERIOD_H

#include "base/error.h"
#include "base/zone.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * The time that a report is about, [from, to), and the zone whose clocks it shows: --from, --to and
 * --zone. A time is RFC 3339, or without a zone one of --zone (UTC by default): a month (2026-01),
 * a day (2026-01-31), or more. The server applies the zone, daylight saving time included, so that
 * one set of rules decides what is selected, grouped and shown. One thread.
 */
enum { PERIOD_TIME_BYTES = 48 };

struct period {
	const char *given_from, *given_to, *given_zone; /* NULL = not given */
	struct zone zone;                               /* UTC, unless --zone says otherwise */
	char from[PERIOD_TIME_BYTES]; /* for a session of the zone; "" = from the beginning */
	char to[PERIOD_TIME_BYTES];   /* "" = to the end */
};

/* For arguments_take(). */
#define PERIOD_ARGUMENTS(period)                                                                   \
	{.name = "--from", .text = &(period).given_from},                                          \
		{.name = "--to", .text = &(period).given_to},                                      \
	{                                                                                          \
		.name = "--zone", .text = &(period).given_zone                                     \
	}

/* What was given is read. False with err (FATAL) if it is not a time ("bad_time") or not a zone
 * ("bad_zone"). */
MUST_CHECK bool period_read(struct period *p, struct error *err);

/* The session shows times in the zone, and reads them so. */
MUST_CHECK bool period_set_zone(const struct period *p, PGconn *conn, struct error *err);

/* For a parameter: NULL instead of "". */
const char *period_parameter(const char *time);

#endif
