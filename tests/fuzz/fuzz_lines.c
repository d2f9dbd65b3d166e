#include "fuzz.h"

#include "base/check.h"
#include "replay/readers/json_scan.h"
#include "replay/readers/lines.h"

#include <stdlib.h>

/* Any line, as a capture and as what a pattern says; and the text as a pattern. */
enum { ARENA_BYTES = 8 << 20 };

static bool is_within(struct slice part, struct slice all)
{
	return part.data >= all.data && part.data + part.size <= all.data + all.size;
}

static void fuzz_scan(struct slice line)
{
	struct slice rest = line, key, value;
	uint8_t *text = malloc(line.size + 1);
	size_t left = line.size + 1;
	bool ok;

	CHECK(text != NULL);
	while (json_scan_member(&rest, &key, &value, &ok)) {
		CHECK(ok && rest.size < left);
		left = rest.size;
		CHECK(is_within(key, line) && is_within(value, line) && is_within(rest, line));
		CHECK(key.data + key.size <= value.data && value.size > 0);
		CHECK(json_scan_string(key, text) <= (int64_t)key.size - 2);
		(void)json_scan_string(value, text);
	}
	free(text);
}

static void fuzz_line(struct slice line, const struct lines_pattern *pattern)
{
	static struct arena arena;
	struct record r;
	struct error err;

	if (arena.base == NULL)
		CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	arena_reset(&arena);
	if (lines_record(line, pattern, &arena, &r, &err)) {
		CHECK(!slice_is_absent(r.topic) && !slice_is_absent(r.payload));
		CHECK(r.trace.size <= RECORD_TRACE_BYTES_MAX && (r.flags & RECORD_QOS_MASK) < 3);
		/* It can be kept. */
		CHECK(record_bytes(&r) >= RECORD_FIXED_BYTES);
	} else {
		/* One without a zone ends the replay. */
		CHECK(err.kind == ERROR_POISON || err.kind == ERROR_FULL ||
			(err.kind == ERROR_FATAL && err.code == REASON_no_zone));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const patterns[] = {"{time} {station} {frame}",
		"[{time}] {skip} {direction}/{version} <{station}> {frame}"};
	struct lines_pattern none = {.count = 0}, pattern;
	struct slice line = slice_of(data, size);
	char *text = strndup((const char *)data, size);
	struct error err;

	CHECK(text != NULL);
	fuzz_scan(line);
	fuzz_line(line, &none);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		CHECK(lines_pattern_parse(patterns[i], &pattern, &err));
		fuzz_line(line, &pattern);
	}
	if (lines_pattern_parse(text, &pattern, &err))
		fuzz_line(line, &pattern);
	else
		CHECK(err.kind == ERROR_FATAL);
	free(text);
	return 0;
}
