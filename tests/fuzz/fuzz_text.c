#include "fuzz.h"

#include "base/check.h"
#include "base/decimal.h"
#include "base/iso8601.h"
#include "decode/topic.h"

#include <stdlib.h>

/* Texts of stations and settings: times, numbers, topics. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size);
	struct topic_patterns patterns = {.count = 0};
	char formatted[ISO8601_BYTES], *pattern;
	int64_t us, again, number;
	struct decimal decimal;
	struct error err;

	if (iso8601_parse(text, &us) != ISO8601_INVALID) {
		iso8601_format(us, formatted);
		CHECK(iso8601_parse(slice_from_cstr(formatted), &again) != ISO8601_INVALID);
		CHECK(again == us);
	}
	if (decimal_parse(text, &decimal) != DECIMAL_NONE) {
		uint8_t *numeric = malloc(decimal_numeric_bytes_max(&decimal));

		CHECK(numeric != NULL);
		CHECK(decimal_to_numeric(&decimal, numeric) <= decimal_numeric_bytes_max(&decimal));
		CHECK(decimal_compare(text, text) == 0);
		free(numeric);
	}
	if (decimal_to_int64(text, INT64_MIN, 0, &number))
		CHECK(number <= 0);
	pattern = strndup((const char *)data, size);
	CHECK(pattern != NULL);
	if (topic_patterns_add(&patterns, pattern, &err))
		CHECK(patterns.count == 1);
	else
		CHECK(err.message[0] != '\0');
	free(pattern);
	return 0;
}
