#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A time zone for times written without one: an offset from UTC ("Z", "UTC", "+01:00"), or a name
 * from the IANA database with its daylight saving ("Europe/Berlin"). The C library knows one named
 * zone per process (TZ): the last one parsed counts, so there is one per program. One thread.
 */
enum { ZONE_NAME_BYTES = 64 };

struct zone {
	bool named;
	int64_t offset_us; /* if it has no name */
	char name[ZONE_NAME_BYTES];
};

/* FATAL "bad_zone". */
MUST_CHECK bool zone_parse(struct zone *out, const char *text, struct error *err);

/*
 * local_us: what clocks in the zone show, as if it were UTC. When clocks are put back they show one
 * hour twice: then the result is the first of the two instants that is not before near_us, the time
 * of the previous message; if near_us is INT64_MIN (unknown), simply the first. False: clocks were
 * put forward and never showed that time.
 */
MUST_CHECK bool zone_to_utc(const struct zone *zone, int64_t local_us, int64_t near_us,
	int64_t *utc_us_out);

/*
 * The same for a time with a word for its zone beside it: the zone's name, or its abbreviation at
 * that time ("CEST"), which also decides between the two hours. False if the word is something
 * else, or the zone has no name.
 */
MUST_CHECK bool zone_word_to_utc(const struct zone *zone, int64_t local_us, int64_t near_us,
	const char *word, int64_t *utc_us_out);

/* Whether the IANA database has a zone of this name. */
bool zone_exists(const char *name);

#endif
