#include "fuzz.h"

#include "base/check.h"
#include "base/escape.h"
#include "cli/export.h"

#include <stdlib.h>
#include <yajl/yajl_parse.h>

/*
 * Any payload, below any topic, in every form of `spool export`: no crash; what goes out as lines
 * is valid JSON, a value a line, with nothing in it that a terminal would obey.
 */
enum { ARENA_BYTES = 96 << 20 };

static struct exporter *exporter_once(struct arena *arena)
{
	static struct topic_patterns patterns;
	static struct exporter e;
	struct error err;

	if (e.decoder == NULL) {
		CHECK(topic_patterns_add(&patterns, "+/{direction}/{version}/{station}", &err));
		CHECK(topic_patterns_add(&patterns, "+/store/{entity}", &err));
		CHECK(decoder_new(&e.decoder, &patterns, 1 << 20, &err));
		CHECK(arena_init(arena, ARENA_BYTES, 1 << 20));
	}
	return &e;
}

static void check_line(const char *line, size_t size)
{
	yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
	bool ok = yajl_parse(parser, (const unsigned char *)line, size) == yajl_status_ok &&
		  yajl_complete_parse(parser) == yajl_status_ok;

	yajl_free(parser);
	CHECK(ok);
	CHECK(escape_harmless(slice_of(line, size)) == size);
}

static void check_lines(const char *text, size_t size)
{
	CHECK(size == 0 || text[size - 1] == '\n');
	while (size > 0) {
		size_t line = (size_t)((const char *)memchr(text, '\n', size) - text);

		check_line(text, line);
		text += line + 1;
		size -= line + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const topics[] = {"cs/in/ocpp1.6/cs001", "cs/out/ocpp2.1/cs001",
		"cs/store/token", "cs/store/nothing", "unknown", "cs/in/ocpp1.6/\xff\x1b[2J",
		"cs/store/\xe2\x80\xae"};
	static export_format *const forms[] = {export_json, export_maeve, export_msgpack};
	static struct arena arena;
	struct exporter *e = exporter_once(&arena);

	for (size_t i = 0; i < 3 * sizeof(topics) / sizeof(*topics); i++) {
		export_format *form = forms[i % 3];
		struct record r = {.seq = 1,
			.received_us = INT64_C(1769940000000000),
			.flags = size % 7 == 6 ? RECORD_OVERSIZED : 0,
			.topic = slice_from_cstr(topics[i / 3]),
			.trace = SLICE("\xc2\x9b\xff"),
			.payload = slice_of(data, size)};
		char *text = NULL;
		size_t written = 0;
		struct error err;

		arena_reset(&arena);
		e->out = open_memstream(&text, &written);
		CHECK(e->out != NULL);
		if (!form(e, &r, 1, &arena, &err))
			CHECK(strcmp(err.reason, "memory") == 0);
		fclose(e->out);
		if (form == export_msgpack)
			CHECK(written == record_bytes(&r));
		else
			check_lines(text, written);
		free(text);
	}
	return 0;
}
