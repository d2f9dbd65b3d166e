#ifndef CONFIG_CONFIG_VALUE_H
#define CONFIG_CONFIG_VALUE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers with units, as people write them in settings and options. Pure. */

/* 4096, 64KiB; whole numbers only, so 1.5 is refused. B, KiB to PiB; KB and kB are 1000. */
bool config_parse_bytes(const char *text, int64_t *bytes_out);

/* 250ms, 10s, 5min (or 5m), 24h, 7d. A number alone is seconds. */
bool config_parse_duration(const char *text, int64_t *us_out);

bool config_parse_number(const char *text, int64_t *number_out);
bool config_parse_boolean(const char *text, bool *value_out);

/* The same back to text, in the largest unit that divides it. */
enum { CONFIG_TEXT_BYTES = 32 };
void config_format_bytes(int64_t bytes, char out[static CONFIG_TEXT_BYTES]);
void config_format_duration(int64_t us, char out[static CONFIG_TEXT_BYTES]);

#endif
