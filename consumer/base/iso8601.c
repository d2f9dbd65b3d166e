#include "base/iso8601.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>

struct iso8601_reader {
	const uint8_t *at;
	const uint8_t *end;
};

int64_t iso8601_days(int64_t year, int month, int day)
{
	/* Years begin in March here, so that the leap day is the last one. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t month_from_march = (month + 9) % 12;
	int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

void iso8601_date(int64_t days, int64_t *year_out, int *month_out, int *day_out)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;

	*day_out = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	*month_out = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
	*year_out = year_of_era + era * 400 + (*month_out <= 2);
}

/* Exactly count digits. */
static bool iso8601_digits(struct iso8601_reader *r, int count, int *value_out)
{
	int value = 0;

	if (r->end - r->at < count)
		return false;
	for (int i = 0; i < count; i++) {
		uint8_t c = r->at[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	r->at += count;
	*value_out = value;
	return true;
}

static bool iso8601_one_of(struct iso8601_reader *r, const char *set)
{
	for (; r->at < r->end && *set != '\0'; set++) {
		if (*r->at == (uint8_t)*set) {
			r->at++;
			return true;
		}
	}
	return false;
}

static int iso8601_days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool iso8601_read_date(struct iso8601_reader *r, int64_t *days_out)
{
	int year, month, day;

	if (!iso8601_digits(r, 4, &year) || !iso8601_one_of(r, "-") ||
		!iso8601_digits(r, 2, &month) || !iso8601_one_of(r, "-") ||
		!iso8601_digits(r, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > iso8601_days_in_month(year, month))
		return false;
	*days_out = iso8601_days(year, month, day);
	return true;
}

/* Decimals after a point or (ISO 8601 allows it) a comma. *exact_out: no decimal was lost. */
static bool iso8601_read_fraction(struct iso8601_reader *r, int64_t *us_out, bool *exact_out)
{
	int64_t scale = 100000;
	const uint8_t *start;

	*us_out = 0;
	if (!iso8601_one_of(r, ".,"))
		return true;
	start = r->at;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		*us_out += (*r->at - '0') * scale;
		if (scale == 0 && *r->at != '0')
			*exact_out = false;
		scale /= 10;
	}
	return r->at > start;
}

static bool iso8601_read_time(struct iso8601_reader *r, int64_t *us_out, bool *exact_out)
{
	int hour, minute, second = 0;
	int64_t fraction = 0;

	if (!iso8601_digits(r, 2, &hour) || !iso8601_one_of(r, ":") ||
		!iso8601_digits(r, 2, &minute))
		return false;
	if (iso8601_one_of(r, ":") &&
		(!iso8601_digits(r, 2, &second) || !iso8601_read_fraction(r, &fraction, exact_out)))
		return false;
	if (minute > 59 || second > 60)
		return false;
	if (hour == 24) { /* ISO 8601's end of day; RFC 3339 has none */
		if (minute != 0 || second != 0 || fraction != 0)
			return false;
		*exact_out = false;
	} else if (hour > 24) {
		return false;
	}
	if (second == 60) { /* a leap second has no instant of its own in UTC microseconds */
		fraction = 0;
		*exact_out = false;
	}
	*us_out = (hour * INT64_C(3600) + minute * INT64_C(60) + second) * US_PER_SECOND + fraction;
	return true;
}

/* "Z", "+01:00", "+0100", "+01" or nothing. */
static bool iso8601_read_zone(struct iso8601_reader *r, int64_t *offset_us_out, bool *given_out)
{
	int hour, minute = 0;
	bool west;

	*offset_us_out = 0;
	*given_out = r->at < r->end;
	if (!*given_out || iso8601_one_of(r, "Zz"))
		return r->at == r->end;
	west = *r->at == '-';
	if (!iso8601_one_of(r, "+-") || !iso8601_digits(r, 2, &hour))
		return false;
	if (r->at < r->end) {
		(void)iso8601_one_of(r, ":");
		if (!iso8601_digits(r, 2, &minute))
			return false;
	}
	if (hour > 23 || minute > 59 || r->at != r->end)
		return false;
	*offset_us_out = ((int64_t)hour * 60 + minute) * 60 * US_PER_SECOND * (west ? -1 : 1);
	return true;
}

enum iso8601_kind iso8601_parse(struct slice text, int64_t *us_out)
{
	struct iso8601_reader r = {text.data, text.data + text.size};
	int64_t days, time_us, offset_us, us;
	bool exact = true, zone_given;

	if (text.size == 0 || !iso8601_read_date(&r, &days) || !iso8601_one_of(&r, "Tt ") ||
		!iso8601_read_time(&r, &time_us, &exact) ||
		!iso8601_read_zone(&r, &offset_us, &zone_given))
		return ISO8601_INVALID;
	us = days * US_PER_DAY + time_us - offset_us;
	/* The zone, or second 60, may lead outside the years that can be written. */
	if (us < iso8601_days(0, 1, 1) * US_PER_DAY || us >= iso8601_days(10000, 1, 1) * US_PER_DAY)
		return ISO8601_INVALID;
	*us_out = us;
	if (!zone_given)
		return ISO8601_ZONELESS;
	return exact ? ISO8601_EXACT : ISO8601_ADJUSTED;
}

size_t iso8601_format(int64_t us, char out[static ISO8601_BYTES])
{
	int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
	int64_t rest = us - days * US_PER_DAY;
	int seconds = (int)(rest / US_PER_SECOND), fraction = (int)(rest % US_PER_SECOND);
	int64_t year;
	int month, day, n;

	iso8601_date(days, &year, &month, &day);
	n = snprintf(out, ISO8601_BYTES, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)year, month,
		day, seconds / 3600, seconds / 60 % 60, seconds % 60);
	if (fraction != 0) {
		n += snprintf(out + n, ISO8601_BYTES - (size_t)n, ".%06d", fraction);
		while (out[n - 1] == '0')
			n--;
	}
	out[n++] = 'Z';
	out[n] = '\0';
	return (size_t)n;
}
