#ifndef BASE_ISO8601_H
#define BASE_ISO8601_H

#include "base/slice.h"

#include <stdint.h>

/*
 * Times as stations write them. OCPP asks for RFC 3339 (1.6 section 3.14, 2.0.1 part 2 section
 * 2.1.4); real stations leave out the zone, write 24:00, leap seconds and dates that do not exist.
 * The result says whether the instant carries everything that the text does, so that the caller can
 * keep the text where it says more. Pure; any thread.
 */
enum iso8601_kind {
	ISO8601_INVALID,  /* no instant; *us_out untouched */
	ISO8601_EXACT,    /* the instant says all that the text said */
	ISO8601_ZONELESS, /* no zone given: read as UTC */
	ISO8601_ADJUSTED, /* 24:00, second 60, or more than six decimals: nearest instant */
};

/* Microseconds since 1970-01-01 UTC. Years 0000 to 9999. */
enum iso8601_kind iso8601_parse(struct slice text, int64_t *us_out);

/* "2026-01-31T10:00:00.123456Z", without trailing zeros in the decimals. */
enum { ISO8601_BYTES = 40 };
size_t iso8601_format(int64_t us, char out[static ISO8601_BYTES]);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. */
int64_t iso8601_days(int64_t year, int month, int day);
void iso8601_date(int64_t days, int64_t *year_out, int *month_out, int *day_out);

#endif
