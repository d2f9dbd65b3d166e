#include "fuzz.h"

#include "base/check.h"
#include "decode/decode.h"
#include "rows/rows.h"

/*
 * Any payload, of either version, through decoding and rows: no crash, every message becomes rows
 * or a dead letter with a reason, and each pass gives the same: the decoder learns what comes a
 * second time (decode/forms.h), and uses that from then on.
 */
enum { ARENA_BYTES = 96 << 20 };

struct fuzzed {
	struct topic_patterns patterns;
	struct decoder *decoder;
	struct schemas *schemas;
	struct rows_builder builder;
	struct arena arena;
};

static struct fuzzed *fuzzed_once(void)
{
	static struct fuzzed f;
	struct error err;

	if (f.decoder == NULL) {
		CHECK(topic_patterns_add(&f.patterns, "+/{direction}/{version}/{station}", &err));
		CHECK(topic_patterns_add(&f.patterns, "+/store/{entity}", &err));
		CHECK(decoder_new(&f.decoder, &f.patterns, 1 << 20, &err));
		CHECK(schemas_new(&f.schemas, schema_files, schema_count, &err));
		CHECK(layouts_new(&f.builder.layouts, UINT32_MAX, &err));
		CHECK(sequences_new(&f.builder.sequences, &err));
		f.builder.schemas = f.schemas;
		CHECK(arena_init(&f.arena, ARENA_BYTES, 1 << 20));
	}
	return &f;
}

/* Sum of the digests of all events, and how many messages there were. */
static uint64_t fuzz_once(struct fuzzed *f, const struct decode_input *input, size_t *count_out)
{
	struct rows_result rows;
	struct message m;
	struct error err;
	uint64_t sum = 0;

	arena_reset(&f->arena);
	*count_out = 0;
	if (!decode_begin(f->decoder, input, &f->arena, &err)) {
		CHECK(err.kind == ERROR_POISON || err.kind == ERROR_FULL);
		CHECK(err.kind == ERROR_FULL || err.offset <= (int64_t)input->payload.size);
		return 0;
	}
	for (enum decode_next next; (next = decode_next(f->decoder, &m, &err)) != DECODE_END;) {
		++*count_out;
		if (next == DECODE_BAD) {
			CHECK(err.kind == ERROR_POISON && err.reason[0] != '\0');
			continue;
		}
		if (!rows_from_message(&f->builder, &m, &f->arena, &rows, &err)) {
			if (err.kind == ERROR_FULL)
				break; /* the arena is full */
			CHECK(!slice_is_absent(m.entity) && err.reason[0] != '\0');
			continue;
		}
		CHECK(rows.skipped != NULL || rows.first != NULL);
		if (!slice_is_absent(m.entity))
			continue;
		for (const struct row *row = rows.first; row != NULL; row = row->next) {
			if (row->table->id == TABLE_meter_value_layouts)
				continue; /* only the first time, and without a digest */
			sum = sum * 31 + (uint64_t)row->cells[KEY_DIGEST].number;
		}
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzed *f = fuzzed_once();
	static const char *const topics[] = {"cs/in/ocpp1.6/cs001", "cs/out/ocpp1.6/cs001",
		"cs/in/ocpp2.0.1/cs001", "cs/in/ocpp2.1/cs001", "cs/store/token",
		"cs/store/location", "cs/store/setting"};

	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
		struct decode_input input = {.seq = 1,
			.received_us = INT64_C(1769940000000000),
			.topic = slice_from_cstr(topics[i]),
			.trace = SLICE(""),
			.payload = slice_of(data, size)};
		size_t count, again;
		uint64_t sum = fuzz_once(f, &input, &count);

		for (int time = 0; time < 2; time++)
			CHECK(fuzz_once(f, &input, &again) == sum && again == count);
	}
	return 0;
}
