#include "fuzz.h"

#include "base/check.h"
#include "decode/decode.h"
#include "replay/readers/csv.h"
#include "rows/rows.h"

/*
 * A map in the first line, then any table. Every row is read, or is blank or bad, in whatever
 * pieces it comes; and what is made of them is a message of one meter value with every sample.
 */
enum { ARENA_BYTES = 96 << 20, MESSAGE_BYTES_MAX = 1 << 20 };

static struct topic_patterns patterns;
static struct decoder *decoder;
static struct schemas *schemas;
static struct arena arena;
static struct csv_reader reader;

static void check_message(const struct record *r, size_t samples)
{
	struct decode_input input = {.seq = 1,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload};
	struct rows_builder builder = {.schemas = schemas};
	struct rows_result rows;
	struct message m;
	struct error err;

	CHECK(layouts_new(&builder.layouts, 256, &err));
	CHECK(decode_begin(decoder, &input, &arena, &err));
	CHECK(decode_next(decoder, &m, &err) == DECODE_MESSAGE && !m.text_replaced);
	CHECK(rows_from_message(&builder, &m, &arena, &rows, &err));
	CHECK(rows.first->table->id == TABLE_meter_values && rows.halves == NULL);
	CHECK(rows.first->cells[KEY_TIME].number == r->received_us);
	CHECK(rows.first->cells[TABLE_meter_values_sampled].numerics_count == samples);
	for (size_t i = 0; i < samples; i++)
		CHECK(!slice_is_absent(
			rows.first->cells[TABLE_meter_values_sampled].numerics[i].text));
	CHECK(decode_next(decoder, &m, &err) == DECODE_END);
	layouts_free(&builder.layouts);
}

/* A row that is there is not seen before its last byte is. */
static void check_pieces(struct slice rest, size_t bytes, char separator)
{
	static struct csv_row row;
	const char *why;

	for (size_t size = bytes; size-- > 0 && bytes - size < 4;)
		CHECK(rest.data[bytes - 1] != '\n' ||
			csv_row(slice_of(rest.data, size), false, separator, &row, &why) ==
				CSV_PARTIAL);
}

static bool next_row(struct slice *rest, enum csv_status *status_out)
{
	const char *why = NULL;
	size_t bytes;

	if (rest->size == 0)
		return false;
	*status_out = csv_read(&reader, *rest, true, &why);
	CHECK(*status_out != CSV_PARTIAL && (*status_out != CSV_BAD || why != NULL));
	bytes = reader.row.bytes;
	CHECK(bytes <= rest->size && (bytes > 0 || *status_out == CSV_BAD));
	if (bytes > 0) {
		check_pieces(*rest, bytes, reader.separator);
	} else {
		const uint8_t *end = memchr(rest->data, '\n', rest->size);

		bytes = end == NULL ? rest->size : (size_t)(end - rest->data) + 1;
	}
	*rest = slice_of(rest->data + bytes, rest->size - bytes);
	return true;
}

static void fuzz_table(const struct csv_map *map, struct slice rest)
{
	enum csv_status status;
	struct record r;
	const char *why;

	reader.map = map;
	if (csv_header(&reader, rest, true, &why) != CSV_OK)
		return;
	CHECK(reader.row.bytes <= rest.size);
	rest = slice_of(rest.data + reader.row.bytes, rest.size - reader.row.bytes);
	while (next_row(&rest, &status)) {
		if (status != CSV_OK)
			continue;
		arena_reset(&arena);
		CHECK(csv_begin(&reader, &arena));
		CHECK(csv_goes_with(&reader));
		(void)csv_add(&reader, &why);
		CHECK(csv_end(&reader, &r));
		check_message(&r, reader.samples);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
	size_t used = end == NULL ? 0 : (size_t)(end - data) + 1;
	char *text = strndup((const char *)data, used == 0 ? 0 : used - 1);
	struct csv_map map;
	struct error err;

	CHECK(text != NULL);
	if (decoder == NULL) {
		CHECK(topic_patterns_add(&patterns, "+/{direction}/{version}/{station}", &err));
		CHECK(decoder_new(&decoder, &patterns, MESSAGE_BYTES_MAX, &err));
		CHECK(schemas_new(&schemas, schema_files, schema_count, &err));
		CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	}
	if (!csv_map_parse(text, &map, &err))
		CHECK(err.kind == ERROR_FATAL);
	else
		fuzz_table(&map, slice_of(data + used, size - used));
	CHECK(csv_map_parse("station=s,time=t,value=v,evse=e,transaction=x", &map, &err));
	fuzz_table(&map, slice_of(data, size));
	free(text);
	return 0;
}
