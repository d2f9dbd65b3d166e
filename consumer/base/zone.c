#include "base/zone.h"

#include "base/clock.h"
#include "base/iso8601.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static const int64_t ZONE_DAY_S = INT64_C(24) * 3600;
static const int64_t ZONE_DISORDER_US = US_PER_SECOND;

static bool zone_parse_offset(struct zone *out, const char *text)
{
	char time[64];
	int64_t us;

	if (strcmp(text, "UTC") == 0)
		text = "Z";
	if (strlen(text) > sizeof("+01:00") - 1 || *text == '\0')
		return false;
	snprintf(time, sizeof(time), "1970-01-01T00:00:00%s", text);
	if (iso8601_parse(slice_from_cstr(time), &us) != ISO8601_EXACT)
		return false;
	out->offset_us = -us;
	return true;
}

/* A zone's name must not lead anywhere but to a file in the folder of zones. */
bool zone_exists(const char *name)
{
	static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "_+-/";
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets variables meanwhile */
	const char *folder = getenv("TZDIR");
	char path[PATH_MAX], start[4];
	FILE *file;
	bool ok;

	if (*name == '/' || name[strspn(name, signs)] != '\0' || strlen(name) >= ZONE_NAME_BYTES)
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder != NULL ? folder : "/usr/share/zoneinfo",
		name);
	file = fopen(path, "rbe");
	if (file == NULL)
		return false;
	ok = fread(start, 1, sizeof(start), file) == sizeof(start) &&
	     memcmp(start, "TZif", sizeof(start)) == 0;
	(void)fclose(file);
	return ok;
}

bool zone_parse(struct zone *out, const char *text, struct error *err)
{
	char variable[ZONE_NAME_BYTES + 1];

	*out = (struct zone){.named = false};
	if (zone_parse_offset(out, text))
		return true;
	if (!zone_exists(text)) {
		error_set(err, ERROR_FATAL, REASON_bad_zone, "\"%.80s\" is not a time zone", text);
		return error_hint(err, "an offset like +01:00, UTC, or a name like Europe/Berlin "
				       "(package tzdata has them)");
	}
	out->named = true;
	snprintf(out->name, sizeof(out->name), "%s", text);
	snprintf(variable, sizeof(variable), ":%s", text);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): before there are other threads */
	setenv("TZ", variable, 1);
	tzset();
	return true;
}

/* How far clocks in the zone are ahead of UTC at that time. */
static bool zone_offset_s(int64_t utc_s, int64_t *offset_s_out)
{
	time_t t = (time_t)utc_s;
	struct tm local;

	if (localtime_r(&t, &local) == NULL)
		return false;
	*offset_s_out = local.tm_gmtoff;
	return true;
}

/* Lines are in order of time, apart from a little disorder. */
static bool zone_is_second(int64_t first_us, int64_t near_us)
{
	return near_us != INT64_MIN && first_us < near_us - ZONE_DISORDER_US;
}

bool zone_to_utc(const struct zone *zone, int64_t local_us, int64_t near_us, int64_t *utc_us_out)
{
	int64_t local_s = local_us / US_PER_SECOND - (local_us % US_PER_SECOND < 0);
	int64_t offsets[2], found[2];
	int count = 0;

	if (!zone->named) {
		*utc_us_out = local_us - zone->offset_us;
		return true;
	}
	/* The offsets on both sides of a change that may be near; the earlier one first. */
	if (!zone_offset_s(local_s - ZONE_DAY_S, &offsets[0]) ||
		!zone_offset_s(local_s + ZONE_DAY_S, &offsets[1]))
		return false;
	for (int i = 0; i < 2; i++) {
		int64_t there;

		if ((i == 1 && offsets[1] == offsets[0]) ||
			!zone_offset_s(local_s - offsets[i], &there) || there != offsets[i])
			continue;
		found[count++] = local_us - offsets[i] * US_PER_SECOND;
	}
	if (count == 0)
		return false;
	*utc_us_out = found[0];
	if (count == 2 && zone_is_second(found[0], near_us))
		*utc_us_out = found[1];
	return true;
}

/* Whether that is the zone's abbreviation at an instant. */
static bool zone_is_called(const char *word, int64_t utc_us)
{
	time_t t = (time_t)(utc_us / US_PER_SECOND - (utc_us % US_PER_SECOND < 0));
	struct tm local;

	return localtime_r(&t, &local) != NULL && strcasecmp(local.tm_zone, word) == 0;
}

bool zone_word_to_utc(const struct zone *zone, int64_t local_us, int64_t near_us, const char *word,
	int64_t *utc_us_out)
{
	if (!zone->named)
		return false;
	if (strcasecmp(zone->name, word) == 0)
		return zone_to_utc(zone, local_us, near_us, utc_us_out);
	return (zone_to_utc(zone, local_us, INT64_MIN, utc_us_out) &&
		       zone_is_called(word, *utc_us_out)) ||
	       (zone_to_utc(zone, local_us, INT64_MAX, utc_us_out) &&
		       zone_is_called(word, *utc_us_out));
}
