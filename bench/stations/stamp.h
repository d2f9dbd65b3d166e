#ifndef STATIONS_STAMP_H
#define STATIONS_STAMP_H

#include "base/slice.h"

#include <stdint.h>

/*
 * Times as the stations of a fleet write them: RFC 3339, each station in its own way (Z or an
 * offset, none to three decimals). Pure.
 */
struct stamp_style {
	int16_t offset_minutes;
	bool zulu; /* Z; otherwise the offset, even if it is +00:00 */
	uint8_t decimals;
};

enum { STAMP_BYTES = 31 };

struct stamp {
	uint8_t size; /* 0 = no time stated */
	uint8_t text[STAMP_BYTES];
};

/* us since 1970-01-01 UTC, years 1970 to 9999; what is finer than the style is cut off. */
void stamp_format(struct stamp *out, int64_t us, struct stamp_style style);

/* The smallest step that the style can show. */
int64_t stamp_step_us(struct stamp_style style);

/* Borrows from s. */
static inline struct slice stamp_slice(const struct stamp *s)
{
	return slice_of(s->text, s->size);
}

#endif
