#include "stations/amount.h"

#include "base/check.h"
#include "stations/digits.h"

static const int64_t amount_powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
	100000000, 1000000000};

static uint8_t *amount_put(uint8_t *at, struct amount a)
{
	uint64_t units = a.units < 0 ? -(uint64_t)a.units : (uint64_t)a.units;
	uint64_t power;

	CHECK(a.decimals <= AMOUNT_DECIMALS_MAX && a.exponent <= AMOUNT_EXPONENT_MAX);
	power = (uint64_t)amount_powers[a.decimals];
	if (a.units < 0)
		*at++ = '-';
	at = put_digits(at, units / power);
	if (a.decimals > 0) {
		*at++ = '.';
		at = put_digits_wide(at, units % power, a.decimals);
	}
	return at;
}

size_t amount_text(struct amount a, uint8_t out[static AMOUNT_BYTES])
{
	uint8_t *at = amount_put(out, a);

	if (a.exponent > 0) {
		*at++ = 'e';
		at = put_digits(at, a.exponent);
	}
	return (size_t)(at - out);
}

struct amount amount_scale(struct amount a, int power)
{
	int decimals = (int)a.decimals - (int)a.exponent - power;

	while (decimals < 0) {
		a.units *= 10;
		decimals++;
	}
	while (decimals > 0 && a.units % 10 == 0) {
		a.units /= 10;
		decimals--;
	}
	CHECK(decimals <= AMOUNT_DECIMALS_MAX);
	return (struct amount){.units = a.units, .decimals = (uint8_t)decimals};
}

size_t amount_shortest(struct amount a, uint8_t out[static AMOUNT_BYTES])
{
	return (size_t)(amount_put(out, amount_scale(a, 0)) - out);
}

double amount_double(struct amount a)
{
	struct amount plain = amount_scale(a, 0);

	/* Both are exact, so the division rounds once, as reading the decimal would. */
	return (double)plain.units / (double)amount_powers[plain.decimals];
}
