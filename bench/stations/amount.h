#ifndef STATIONS_AMOUNT_H
#define STATIONS_AMOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A measured value exactly as a station writes it: {110, 2, 0} is "1.10", {0, 3, 0} is "0.000",
 * {25, 1, 1} is "2.5e1". The text matters, because it must come out of the database unchanged.
 * units has at most 15 digits, so a binary float of 64 bits tells all values apart. Pure.
 */
struct amount {
	int64_t units;
	uint8_t decimals; /* digits after the point */
	uint8_t exponent; /* of ten, written as "e1" when not 0 */
};

enum { AMOUNT_BYTES = 40, AMOUNT_DECIMALS_MAX = 9, AMOUNT_EXPONENT_MAX = 9 };

/* As the station writes it. */
size_t amount_text(struct amount a, uint8_t out[static AMOUNT_BYTES]);

/*
 * As a float says it: the shortest decimal that reads back to amount_double(). Since no two
 * decimals of up to 15 digits share a float, that is the plain decimal without zeros at its end.
 */
size_t amount_shortest(struct amount a, uint8_t out[static AMOUNT_BYTES]);

/* The nearest float. */
double amount_double(struct amount a);

/* Multiply by ten to the power (-9 to 9), e.g. kWh to Wh. The result is without exponent. */
struct amount amount_scale(struct amount a, int power);

static inline bool amount_is_whole(struct amount a)
{
	return a.decimals == 0 && a.exponent == 0;
}

#endif
