#ifndef ROWS_ROWS_METER_PRIVATE_H
#define ROWS_ROWS_METER_PRIVATE_H

#include "base/decimal.h"
#include "rows/rows_private.h"

#include <strings.h>

/* Shared by the files of rows/ that handle meter values. */

/* A sample of a MeterValue, looked up once. */
struct sample {
	struct value *value;
	struct value *parts[SAMPLE_PARTS]; /* NULL = not stated */
	enum decimal_kind number_kind;     /* kind of SAMPLE_VALUE's text; NONE also if signed */
	struct numeric *number;            /* the number in the row; absent if NONE */
};

/* The current MeterValue. */
struct meter {
	struct rows_work *work;
	const struct schema_block *block;
	struct value *element;
	struct sample *samples;
	uint32_t samples_count;
	struct value *list; /* the samples, or NULL */
	struct row *row;
	struct numeric *numbers; /* the array `sampled` */
	bool has_raw;
	uint64_t layout_id;
	bool layout_in_row;
	bool known; /* recognised by forms; then samples have no parts */
};

/* The text of the value, whether a number or not. */
static inline struct slice sample_value(const struct sample *sample)
{
	return value_text(sample->parts[SAMPLE_VALUE]);
}

/* Signed data may look like a number without being one. Stations vary the case of the format. */
static inline bool sample_is_signed(const struct sample *sample)
{
	static const char format[] = "SignedData";
	struct slice text = value_text(sample->parts[SAMPLE_FORMAT]);

	return text.size == sizeof(format) - 1 &&
	       strncasecmp((const char *)text.data, format, text.size) == 0;
}

static inline bool sample_has_signed(const struct sample *sample)
{
	const struct value *is_signed = sample->parts[SAMPLE_SIGNED];

	return is_signed != NULL && is_signed->kind != VALUE_NULL;
}

/* rows_meter_raw.c: what neither array nor layout can express. message_rest: the rest of the whole
 * message, or NULL if another row keeps it. False if the arena is full. */
MUST_CHECK bool meter_raw(struct meter *v, const struct value *message_rest);

#endif
