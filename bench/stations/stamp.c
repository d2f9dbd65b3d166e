#include "stations/stamp.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/iso8601.h"
#include "stations/digits.h"

int64_t stamp_step_us(struct stamp_style style)
{
	static const int64_t steps[] = {1000000, 100000, 10000, 1000};

	CHECK(style.decimals < sizeof(steps) / sizeof(steps[0]));
	return steps[style.decimals];
}

void stamp_format(struct stamp *out, int64_t us, struct stamp_style style)
{
	int64_t local = us + style.offset_minutes * 60 * US_PER_SECOND;
	int64_t days = local / US_PER_DAY, rest = local % US_PER_DAY, year;
	uint64_t seconds = (uint64_t)(rest / US_PER_SECOND);
	int minutes = style.offset_minutes;
	int month, day;
	uint8_t *at = out->text;

	CHECK(us >= US_PER_DAY);
	iso8601_date(days, &year, &month, &day);
	at = put_digits_wide(at, (uint64_t)year, 4);
	*at++ = '-';
	at = put_digits_wide(at, (uint64_t)month, 2);
	*at++ = '-';
	at = put_digits_wide(at, (uint64_t)day, 2);
	*at++ = 'T';
	at = put_digits_wide(at, seconds / 3600, 2);
	*at++ = ':';
	at = put_digits_wide(at, seconds / 60 % 60, 2);
	*at++ = ':';
	at = put_digits_wide(at, seconds % 60, 2);
	if (style.decimals > 0) {
		*at++ = '.';
		at = put_digits_wide(at, (uint64_t)(rest % US_PER_SECOND / stamp_step_us(style)),
			style.decimals);
	}
	if (style.zulu) {
		*at++ = 'Z';
	} else {
		*at++ = minutes < 0 ? '-' : '+';
		minutes = minutes < 0 ? -minutes : minutes;
		at = put_digits_wide(at, (uint64_t)(minutes / 60), 2);
		*at++ = ':';
		at = put_digits_wide(at, (uint64_t)(minutes % 60), 2);
	}
	out->size = (uint8_t)(at - out->text);
}
