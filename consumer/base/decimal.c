#include "base/decimal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* PostgreSQL's numeric.c */
enum { NUMERIC_NEGATIVE = 0x4000, NUMERIC_BASE_DIGITS = 4, NUMERIC_HEADER_BYTES = 8 };

/* The result of one pass over the text. */
struct decimal_scan {
	size_t before; /* digits before the point */
	size_t after;
	bool zero; /* no digit but 0 */
	bool leading_zero;
};

static bool decimal_scan_mantissa(const uint8_t **at, const uint8_t *end, struct decimal_scan *scan)
{
	const uint8_t *p = *at;

	*scan = (struct decimal_scan){.zero = true};
	scan->leading_zero = end - p > 1 && p[0] == '0' && p[1] >= '0' && p[1] <= '9';
	for (; p < end && *p >= '0' && *p <= '9'; p++, scan->before++)
		scan->zero &= *p == '0';
	if (p < end && *p == '.') {
		p++;
		for (; p < end && *p >= '0' && *p <= '9'; p++, scan->after++)
			scan->zero &= *p == '0';
	}
	*at = p;
	return scan->before + scan->after > 0;
}

/* "e+12" to the end of the text. */
static bool decimal_scan_exponent(const uint8_t *at, const uint8_t *end, int64_t *exponent_out)
{
	int64_t value = 0;
	bool negative;

	at++;
	negative = at < end && *at == '-';
	if (at < end && (*at == '-' || *at == '+'))
		at++;
	if (at == end)
		return false;
	for (; at < end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		if (value < 1000000) /* far beyond numeric; no overflow */
			value = value * 10 + (*at - '0');
	}
	*exponent_out = negative ? -value : value;
	return true;
}

static bool decimal_in_range(const struct decimal_scan *scan, int64_t exponent)
{
	int64_t before = (int64_t)scan->before + exponent;
	int64_t after = (int64_t)scan->after - exponent;

	if (after > NUMERIC_DIGITS_AFTER_MAX)
		return false;
	return scan->zero ? before <= NUMERIC_DIGITS_AFTER_MAX
			  : before <= NUMERIC_DIGITS_BEFORE_MAX;
}

static const uint8_t *decimal_skip_digits(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* Nearly all numbers are plain. False for a few that are too ("-0.5"): decimal_parse() handles
 * those. */
static bool decimal_parse_plain(struct slice text, struct decimal *out)
{
	const uint8_t *at = text.data, *end = text.data + text.size, *digits, *point;

	out->negative = at < end && *at == '-';
	digits = at + out->negative;
	at = point = decimal_skip_digits(digits, end);
	if (point == digits || (*digits == '0' && (point - digits > 1 || out->negative)))
		return false;
	if (point < end) {
		at = decimal_skip_digits(point + 1, end);
		if (*point != '.' || at == point + 1)
			return false;
	}
	out->digits = digits;
	out->digits_size = (size_t)(end - digits);
	out->exponent = 0;
	return at == end && out->digits_size <= PLAIN_DIGITS_MAX;
}

/* Strips the blanks around it; true if there were any. */
static bool decimal_trim(const uint8_t **begin, const uint8_t **end)
{
	const uint8_t *at = *begin, *last = *end;

	while (at < last && *at == ' ')
		at++;
	while (last > at && last[-1] == ' ')
		last--;
	if (at == *begin && last == *end)
		return false;
	*begin = at;
	*end = last;
	return true;
}

/* Whether numeric prints the digits as they are. It has no minus zero. */
static bool decimal_is_plain(const struct decimal *d, const struct decimal_scan *scan,
	bool negative)
{
	return d->digits[0] != '.' && d->digits[d->digits_size - 1] != '.' && !scan->leading_zero &&
	       !(negative && scan->zero) && scan->before + scan->after <= PLAIN_DIGITS_MAX;
}

enum decimal_kind decimal_parse(struct slice text, struct decimal *out)
{
	const uint8_t *at = text.data, *end = text.data + text.size, *mantissa;
	struct decimal_scan scan;
	bool negative, plain;
	int64_t exponent = 0;

	if (decimal_parse_plain(text, out))
		return DECIMAL_PLAIN;
	plain = !decimal_trim(&at, &end);
	if (at == end)
		return DECIMAL_NONE;
	negative = *at == '-';
	if (*at == '-' || *at == '+') {
		plain &= negative;
		at++;
	}
	mantissa = at;
	if (!decimal_scan_mantissa(&at, end, &scan))
		return DECIMAL_NONE;
	out->digits = mantissa;
	out->digits_size = (size_t)(at - mantissa);
	if (at < end) {
		if ((*at != 'e' && *at != 'E') || !decimal_scan_exponent(at, end, &exponent))
			return DECIMAL_NONE;
		plain = false;
	}
	if (!decimal_in_range(&scan, exponent))
		return DECIMAL_NONE;
	out->negative = negative && !scan.zero;
	out->exponent = exponent;
	return plain && decimal_is_plain(out, &scan, negative) ? DECIMAL_PLAIN : DECIMAL_OTHER;
}

size_t decimal_numeric_bytes_max(const struct decimal *d)
{
	/* Alignment to groups of four can cost one group at either end. */
	return NUMERIC_HEADER_BYTES + 2 * (d->digits_size / NUMERIC_BASE_DIGITS + 2);
}

/* Floor of a / 4, for negative numbers too. */
static int64_t decimal_group(int64_t position)
{
	return position >= 0 ? position / NUMERIC_BASE_DIGITS
			     : -((-position + NUMERIC_BASE_DIGITS - 1) / NUMERIC_BASE_DIGITS);
}

size_t decimal_to_numeric(const struct decimal *d, uint8_t *out)
{
	static const uint16_t scale[] = {1, 10, 100, 1000};
	const uint8_t *point = memchr(d->digits, '.', d->digits_size);
	int64_t before = point == NULL ? (int64_t)d->digits_size : point - d->digits;
	int64_t after = point == NULL ? 0 : (int64_t)d->digits_size - before - 1;
	/* Power of ten of the current digit; groups are aligned to the decimal point. */
	int64_t power = before + d->exponent - 1;
	int64_t dscale = after - d->exponent > 0 ? after - d->exponent : 0;
	uint8_t *groups = out + NUMERIC_HEADER_BYTES, *at = groups, *last = groups;
	int64_t weight = 0, place = 0; /* of the current digit within its group */
	uint32_t value = 0;
	bool started = false;

	for (size_t i = 0; i < d->digits_size; i++) {
		uint8_t c = d->digits[i];

		if (c == '.')
			continue;
		if (!started && c == '0') {
			power--;
			continue;
		}
		if (!started) {
			started = true;
			weight = decimal_group(power);
			place = power - weight * NUMERIC_BASE_DIGITS;
		}
		value = value * 10 + (uint32_t)(c - '0');
		if (place-- > 0)
			continue;
		at = put_be16(at, (uint16_t)value);
		if (value != 0)
			last = at;
		value = 0;
		place = NUMERIC_BASE_DIGITS - 1;
	}
	if (value != 0)
		last = put_be16(at, (uint16_t)(value * scale[place + 1]));
	put_be16(out, (uint16_t)((last - groups) / 2));
	put_be16(out + 2, (uint16_t)(last == groups ? 0 : weight));
	put_be16(out + 4, d->negative ? NUMERIC_NEGATIVE : 0);
	put_be16(out + 6, (uint16_t)dscale);
	return (size_t)(last - out);
}

/* A number as digits at powers of ten, from its first to its last digit that is not 0. */
struct decimal_digits {
	const uint8_t *at;
	const uint8_t *end;
	int64_t power; /* of the current digit; INT64_MIN once there are no more */
};

static struct decimal_digits decimal_digits(const struct decimal *d)
{
	const uint8_t *point = memchr(d->digits, '.', d->digits_size);
	int64_t before = point == NULL ? (int64_t)d->digits_size : point - d->digits;
	struct decimal_digits r = {d->digits, d->digits + d->digits_size, before + d->exponent - 1};

	while (r.end > r.at && (r.end[-1] == '0' || r.end[-1] == '.'))
		r.end--;
	for (; r.at < r.end && (*r.at == '0' || *r.at == '.'); r.at++)
		r.power -= *r.at == '0';
	if (r.at == r.end)
		r.power = INT64_MIN;
	return r;
}

static int decimal_compare_magnitude(const struct decimal *a, const struct decimal *b)
{
	struct decimal_digits x = decimal_digits(a), y = decimal_digits(b);

	if (x.power != y.power)
		return x.power < y.power ? -1 : 1;
	for (;;) {
		x.at += x.at < x.end && *x.at == '.';
		y.at += y.at < y.end && *y.at == '.';
		if (x.at == x.end || y.at == y.end)
			return (x.at != x.end) - (y.at != y.end);
		if (*x.at != *y.at)
			return *x.at < *y.at ? -1 : 1;
		x.at++;
		y.at++;
	}
}

int decimal_compare(struct slice a, struct slice b)
{
	struct decimal x, y;

	CHECK(decimal_parse(a, &x) != DECIMAL_NONE && decimal_parse(b, &y) != DECIMAL_NONE);
	if (x.negative != y.negative)
		return x.negative ? -1 : 1; /* zero is never negative */
	return x.negative ? -decimal_compare_magnitude(&x, &y) : decimal_compare_magnitude(&x, &y);
}

/* A whole number with a point before the last of its digits: 5 with two decimals is 0.05. */
static size_t decimal_put_point(bool negative, uint64_t whole, int decimals, char *out)
{
	char digits[DECIMAL_FLOAT_BYTES], *end = digits + sizeof(digits), *at = end;

	for (int i = 0; i <= decimals || whole > 0; i++) {
		if (i > 0 && i == decimals)
			*--at = '.';
		*--at = (char)('0' + whole % 10);
		whole /= 10;
	}
	if (negative)
		*--at = '-';
	memcpy(out, at, (size_t)(end - at));
	return (size_t)(end - at);
}

/*
 * Most measured values have few decimals. If round(v * 10^k) / 10^k gives v again, then that
 * decimal reads back as v, and the smallest such k makes it the shortest. Both operands are exact
 * doubles (below 2^53 and 10^22), so the division rounds correctly.
 */
static size_t decimal_from_short(double value, bool single, char *out)
{
	double scale = 1;

	for (int decimals = 0; decimals <= 9; decimals++, scale *= 10) {
		double scaled = value * scale, rounded = nearbyint(scaled);

		if (fabs(rounded) >= 9007199254740992.0)
			return 0;
		if (single ? (float)(rounded / scale) != (float)value : rounded / scale != value)
			continue;
		return decimal_put_point(value < 0, (uint64_t)fabs(rounded), decimals, out);
	}
	return 0;
}

static size_t decimal_from_printf(double value, bool single, char *out)
{
	int first = single ? 6 : 15, last = single ? 9 : 17;

	for (int digits = first;; digits++) {
		int n = snprintf(out, DECIMAL_FLOAT_BYTES, "%.*g", digits, value);

		if (digits == last ||
			(single ? strtof(out, NULL) == (float)value : strtod(out, NULL) == value))
			return (size_t)n;
	}
}

size_t decimal_from_double(double value, char out[static DECIMAL_FLOAT_BYTES])
{
	size_t n;

	CHECK(isfinite(value));
	n = value == 0 && signbit(value) ? 0 : decimal_from_short(value, false, out);
	return n > 0 ? n : decimal_from_printf(value, false, out);
}

size_t decimal_from_float(float value, char out[static DECIMAL_FLOAT_BYTES])
{
	size_t n;

	CHECK(isfinite(value));
	n = value == 0 && signbit(value) ? 0 : decimal_from_short((double)value, true, out);
	return n > 0 ? n : decimal_from_printf((double)value, true, out);
}

double decimal_to_double(struct slice text)
{
	struct decimal d;
	double value = 0;
	int64_t power;
	bool fraction = false;

	if (decimal_parse(text, &d) == DECIMAL_NONE)
		return 0;
	power = d.exponent;
	for (size_t i = 0; i < d.digits_size; i++) {
		if (d.digits[i] == '.') {
			fraction = true;
			continue;
		}
		value = value * 10 + (d.digits[i] - '0');
		power -= fraction;
	}
	value *= pow(10, (double)power);
	return d.negative ? -value : value;
}

/* Accumulates below zero, where there is one value more. False if it is not whole, or too large. */
static bool decimal_sum_down(const struct decimal *d, int64_t *value_out)
{
	int64_t value = 0, power = d->exponent;
	size_t left = d->digits_size;
	const uint8_t *point = memchr(d->digits, '.', d->digits_size);

	if (point != NULL) {
		left--;
		power -= d->digits + d->digits_size - point - 1;
	}
	/* power is that of the last digit. Take digits while they are whole numbers. */
	for (size_t i = 0; i < d->digits_size; i++) {
		int digit = d->digits[i] - '0';

		if (d->digits[i] == '.')
			continue;
		left--;
		if (power + (int64_t)left < 0) {
			if (digit != 0)
				return false;
			continue;
		}
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_sub_overflow(value, digit, &value))
			return false;
	}
	for (; power > 0 && value != 0; power--) {
		if (__builtin_mul_overflow(value, 10, &value))
			return false;
	}
	*value_out = value;
	return true;
}

bool decimal_to_int64(struct slice text, int64_t low, int64_t high, int64_t *value_out)
{
	struct decimal d;
	int64_t value;

	if (decimal_parse(text, &d) == DECIMAL_NONE || !decimal_sum_down(&d, &value) ||
		(!d.negative && __builtin_sub_overflow(0, value, &value)) || value < low ||
		value > high)
		return false;
	*value_out = value;
	return true;
}
