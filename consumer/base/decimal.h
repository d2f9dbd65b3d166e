#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "base/slice.h"

#include <stdint.h>

/*
 * Numbers as stations write them, without ever passing through a binary float: "1.10" stays 1.10. A
 * plain number can stand alone in a numeric column, because PostgreSQL gives back exactly its text.
 * For any other text, the text itself has to be kept beside the value. Pure; any thread.
 */
enum decimal_kind {
	DECIMAL_NONE,  /* not a number, or beyond PostgreSQL's numeric: only the text can be kept */
	DECIMAL_PLAIN, /* -?(0|[1-9][0-9]*)(\.[0-9]+)?, at most 38 digits, not minus zero */
	DECIMAL_OTHER, /* a finite number written otherwise: 1e3, +5.10, 007, .5, -0, " 5" */
};

struct decimal {
	bool negative;
	const uint8_t *digits; /* mantissa as written; may hold one point */
	size_t digits_size;
	int64_t exponent; /* of ten, applied to the mantissa */
};

/* *out is set unless the result is DECIMAL_NONE; it borrows from text. */
enum decimal_kind decimal_parse(struct slice text, struct decimal *out);

/* Bytes that decimal_to_numeric() needs at most. */
size_t decimal_numeric_bytes_max(const struct decimal *d);

/*
 * PostgreSQL's binary numeric (numeric_send(): ndigits, weight, sign, dscale, then digits of base
 * 10000). Returns the bytes written.
 */
size_t decimal_to_numeric(const struct decimal *d, uint8_t *out);

/* Below, at or above zero as a is less than, equal to or greater than b. Exact. Both must be
 * numbers. */
int decimal_compare(struct slice a, struct slice b);

/* The shortest decimal that reads back as the same double (float): at most 32 bytes, not
 * terminated. The value must be finite. */
enum { DECIMAL_FLOAT_BYTES = 40 };
size_t decimal_from_double(double value, char out[static DECIMAL_FLOAT_BYTES]);
size_t decimal_from_float(float value, char out[static DECIMAL_FLOAT_BYTES]);

/* The nearest double or one beside it, for estimates; the text must be a number. */
double decimal_to_double(struct slice text);

/* A whole number in [low, high]; "5.0" and "1e1" are whole. False otherwise. */
bool decimal_to_int64(struct slice text, int64_t low, int64_t high, int64_t *value_out);

#endif
