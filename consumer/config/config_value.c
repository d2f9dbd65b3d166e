#include "config/config_value.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct config_unit {
	const char *name;
	int64_t factor;
};

/* Ascending, the preferred spelling of each factor first. */
static const struct config_unit config_byte_units[] = {
	{"B", 1},
	{"", 1},
	{"kB", 1000},
	{"KB", 1000},
	{"KiB", INT64_C(1) << 10},
	{"MB", 1000000},
	{"MiB", INT64_C(1) << 20},
	{"GB", 1000000000},
	{"GiB", INT64_C(1) << 30},
	{"TiB", INT64_C(1) << 40},
	{"PiB", INT64_C(1) << 50},
};

static const struct config_unit config_duration_units[] = {
	{"us", 1},
	{"ms", US_PER_MS},
	{"s", US_PER_SECOND},
	{"", US_PER_SECOND},
	{"min", 60 * US_PER_SECOND},
	{"m", 60 * US_PER_SECOND},
	{"h", 3600 * US_PER_SECOND},
	{"d", US_PER_DAY},
};

static bool config_parse_scaled(const char *text, const struct config_unit *units, size_t count,
	int64_t *value_out)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || errno != 0)
		return false;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(end, units[i].name) == 0)
			return !__builtin_mul_overflow(number, units[i].factor, value_out);
	}
	return false;
}

static void config_format_scaled(int64_t value, const struct config_unit *units, size_t count,
	char *out)
{
	const struct config_unit *best = &units[0];

	for (size_t i = 0; i < count && value != 0; i++) {
		if (value % units[i].factor == 0 && units[i].factor > best->factor)
			best = &units[i];
	}
	snprintf(out, CONFIG_TEXT_BYTES, "%lld%s", (long long)(value / best->factor), best->name);
}

bool config_parse_bytes(const char *text, int64_t *bytes_out)
{
	return config_parse_scaled(text, config_byte_units,
		sizeof(config_byte_units) / sizeof(*config_byte_units), bytes_out);
}

bool config_parse_duration(const char *text, int64_t *us_out)
{
	return config_parse_scaled(text, config_duration_units,
		sizeof(config_duration_units) / sizeof(*config_duration_units), us_out);
}

void config_format_bytes(int64_t bytes, char out[static CONFIG_TEXT_BYTES])
{
	config_format_scaled(bytes, config_byte_units,
		sizeof(config_byte_units) / sizeof(*config_byte_units), out);
}

void config_format_duration(int64_t us, char out[static CONFIG_TEXT_BYTES])
{
	config_format_scaled(us, config_duration_units,
		sizeof(config_duration_units) / sizeof(*config_duration_units), out);
}

bool config_parse_number(const char *text, int64_t *number_out)
{
	static const struct config_unit none = {"", 1};

	return config_parse_scaled(text, &none, 1, number_out);
}

bool config_parse_boolean(const char *text, bool *value_out)
{
	static const char *const words[][2] = {{"true", "false"}, {"yes", "no"}, {"on", "off"},
		{"1", "0"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		for (int j = 0; j < 2; j++) {
			if (strcasecmp(text, words[i][j]) == 0) {
				*value_out = j == 0;
				return true;
			}
		}
	}
	return false;
}
