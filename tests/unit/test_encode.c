#include "unit.h"

#include "base/arena.h"
#include "copy/encode.h"

enum { ROWS = 7, LAYOUT_COLUMNS = TABLE_meter_value_layouts_columns };

static struct arena arena;

static int make_arena(void **state)
{
	(void)state;
	return arena_init(&arena, 1 << 20, 0) ? 0 : -1;
}

static int free_arena(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

#define assert_field(c, type, literal)                                                             \
	do {                                                                                       \
		struct cell cell_ = (c);                                                           \
		uint8_t field_[256];                                                               \
		size_t size_ = (size_t)(encode_field(field_, &cell_, (type)) - field_);            \
		assert_int_equal(size_, sizeof(literal) - 1);                                      \
		assert_memory_equal(field_, literal, size_);                                       \
		assert_true(encode_field_bytes_max(&cell_, (type)) >= size_);                      \
	} while (0)

static struct cell of_text(const char *text)
{
	return (struct cell){.present = true, .text = slice_from_cstr(text)};
}

static struct cell of_number(int64_t number)
{
	return (struct cell){.present = true, .number = number};
}

static void fields_are_as_the_receive_functions_take_them(void **state)
{
	struct cell null = {.present = false};

	(void)state;
	assert_field(null, COLUMN_TEXT, "\xff\xff\xff\xff");
	assert_field(null, COLUMN_NUMERICS, "\xff\xff\xff\xff");
	assert_field(of_text(""), COLUMN_TEXT, "\0\0\0\0");
	assert_field(of_text("ab"), COLUMN_BYTEA, "\0\0\0\2ab");
	assert_field(of_text("{}"), COLUMN_JSONB, "\0\0\0\3\1{}");
	assert_field(of_number(-2), COLUMN_INT4, "\0\0\0\4\xff\xff\xff\xfe");
	assert_field(of_number(258), COLUMN_INT8, "\0\0\0\10\0\0\0\0\0\0\1\2");
	assert_field(of_number('s'), COLUMN_CHAR, "\0\0\0\1s");
	assert_field(of_number(1), COLUMN_BOOL, "\0\0\0\1\1");
	/* PostgreSQL counts from 2000-01-01. */
	assert_field(of_number(INT64_C(946684800000001)), COLUMN_TIME, "\0\0\0\10\0\0\0\0\0\0\0\1");
	assert_field(of_number(INT64_C(946684799999999)), COLUMN_TIME,
		"\0\0\0\10\xff\xff\xff\xff\xff\xff\xff\xff");
	assert_field(of_number(TIME_UNDATED), COLUMN_TIME, "\0\0\0\10\x80\0\0\0\0\0\0\0");
}

/* ndigits, weight, sign, dscale, digits of base 10000: what numeric_send() gives. */
static void numerics_keep_sign_and_scale(void **state)
{
	(void)state;
	assert_field(of_text("1.10"), COLUMN_NUMERIC, "\0\0\0\14\0\2\0\0\0\0\0\2\0\1\3\xe8");
	assert_field(of_text("0.000"), COLUMN_NUMERIC, "\0\0\0\10\0\0\0\0\0\0\0\3");
	assert_field(of_text("-0.0012"), COLUMN_NUMERIC, "\0\0\0\12\0\1\xff\xff\x40\0\0\4\0\14");
	assert_field(of_text("10000"), COLUMN_NUMERIC, "\0\0\0\12\0\1\0\1\0\0\0\0\0\1");
	assert_field(of_text("1e3"), COLUMN_NUMERIC, "\0\0\0\12\0\1\0\0\0\0\0\0\3\xe8");
	assert_field(of_text("-15320.5"), COLUMN_NUMERIC,
		"\0\0\0\16\0\3\0\1\x40\0\0\1\0\1\x14\xc8\x13\x88");
}

static void arrays_have_dimensions_nulls_and_the_type_of_their_elements(void **state)
{
	const struct numeric numbers[] = {
		{SLICE("5"), {.digits = (const uint8_t *)"5", .digits_size = 1}}, {{NULL, 0}, {0}}};
	struct cell both = {.present = true, .numerics = numbers, .numerics_count = 2};
	struct cell one = {.present = true, .numerics = numbers, .numerics_count = 1};
	struct cell none = {.present = true, .numerics = numbers, .numerics_count = 0};

	(void)state;
	assert_field(none, COLUMN_NUMERICS, "\0\0\0\14\0\0\0\0\0\0\0\0\0\0\6\xa4");
	assert_field(one, COLUMN_NUMERICS,
		"\0\0\0\42\0\0\0\1\0\0\0\0\0\0\6\xa4\0\0\0\1\0\0\0\1"
		"\0\0\0\12\0\1\0\0\0\0\0\0\0\5");
	assert_field(both, COLUMN_NUMERICS,
		"\0\0\0\46\0\0\0\1\0\0\0\1\0\0\6\xa4\0\0\0\2\0\0\0\1"
		"\0\0\0\12\0\1\0\0\0\0\0\0\0\5\xff\xff\xff\xff");
}

static struct row *layout_row(int64_t id, const char *layout)
{
	struct row *row = row_new(&arena, TABLE_meter_value_layouts);

	assert_non_null(row);
	cell_set_number(row, TABLE_meter_value_layouts_layout_id, id);
	cell_set_text(row, TABLE_meter_value_layouts_layout, slice_from_cstr(layout));
	return row;
}

/* Everything the stream gives with a buffer of this size; no chunk may be empty or too large. */
static size_t drain(struct row *const *rows, size_t count, size_t buffer_size, uint8_t *out,
	size_t *chunks_out)
{
	uint8_t *buffer = malloc(buffer_size); /* exact, so that ASan sees a byte too many */
	struct encode_stream stream;
	struct slice chunk;
	size_t size = 0;

	assert_non_null(buffer);
	encode_stream_init(&stream, rows, count, buffer, buffer_size);
	for (*chunks_out = 0; encode_stream_next(&stream, &chunk); ++*chunks_out) {
		assert_true(chunk.size > 0 && chunk.size <= buffer_size);
		memcpy(out + size, chunk.data, chunk.size);
		size += chunk.size;
	}
	free(buffer);
	return size;
}

static void copy_data_is_header_rows_and_trailer(void **state)
{
	static const char expected[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
				       "\0\3\0\0\0\10\0\0\0\0\0\0\0\7\0\0\0\1x\xff\xff\xff\xff"
				       "\xff\xff";
	struct row *rows[] = {layout_row(7, "x")};
	uint8_t out[256];
	size_t chunks;

	(void)state;
	assert_int_equal(drain(rows, 1, encode_buffer_bytes(rows, 1), out, &chunks),
		sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
	assert_int_equal(drain(rows, 0, encode_buffer_bytes(rows, 0), out, &chunks), 19 + 2);
	assert_memory_equal(out + 19, "\xff\xff", 2);
}

/* A row that is not the first of its message says so where the table has a column for it. */
static void rows_of_a_loading_table_have_one_field_more(void **state)
{
	static const char expected[] = "\0\4\0\0\0\10\0\0\0\0\0\0\0\1\0\0\0\1a\xff\xff\xff\xff"
				       "\xff\xff\xff\xff"
				       "\0\4\0\0\0\10\0\0\0\0\0\0\0\2\0\0\0\1b\xff\xff\xff\xff"
				       "\0\0\0\1\1\xff\xff";
	struct row *rows[] = {layout_row(1, "a"), layout_row(2, "b")};
	/* For the larger row, which is the second; exact, so that ASan sees a byte too many. */
	size_t size = 0, buffer_size = 19 + 2 + 12 + 5 + 4 + 5 + 2;
	uint8_t *buffer = malloc(buffer_size), out[256];
	struct encode_stream stream;
	struct slice chunk;

	(void)state;
	assert_non_null(buffer);
	rows[0]->first = true;
	encode_stream_init(&stream, rows, 2, buffer, buffer_size);
	stream.follows = true;
	while (encode_stream_next(&stream, &chunk)) {
		memcpy(out + size, chunk.data, chunk.size);
		size += chunk.size;
	}
	free(buffer);
	assert_int_equal(size, 19 + sizeof(expected) - 1);
	assert_memory_equal(out + 19, expected, sizeof(expected) - 1);
}

static void chunks_join_to_the_same_bytes_at_every_buffer_size(void **state)
{
	/* Row of three columns, the last NULL: 2 + 12 + (4 + text) + 4; the largest text is 6. */
	enum { SMALLEST = 19 + 2 + 12 + 4 + 6 + 4 + 2 };
	static const char *const texts[ROWS] = {"", "a", "ab", "abcdef", "abc", "abcd", "x"};
	struct row *rows[ROWS];
	uint8_t whole[1024], out[1024];
	size_t size, chunks;

	(void)state;
	for (int i = 0; i < ROWS; i++)
		rows[i] = layout_row(i, texts[i]);
	size = drain(rows, ROWS, encode_buffer_bytes(rows, ROWS), whole, &chunks);
	assert_int_equal(chunks, 1);
	for (size_t buffer = SMALLEST; buffer <= size + 1; buffer++) {
		assert_int_equal(drain(rows, ROWS, buffer, out, &chunks), size);
		assert_memory_equal(out, whole, size);
		assert_int_equal(chunks > 1, buffer < size);
	}
}

static void a_row_larger_than_a_chunk_still_fits(void **state)
{
	char *text = malloc(3 * ENCODE_CHUNK_BYTES + 1);
	uint8_t *out = malloc(4 * ENCODE_CHUNK_BYTES);
	struct row *rows[3] = {layout_row(1, "a"), NULL, layout_row(3, "b")};
	size_t chunks;

	(void)state;
	assert_true(text != NULL && out != NULL);
	memset(text, 'x', 3 * ENCODE_CHUNK_BYTES);
	text[3 * ENCODE_CHUNK_BYTES] = '\0';
	rows[1] = layout_row(2, text);
	assert_int_equal(drain(rows, 3, encode_buffer_bytes(rows, 3), out, &chunks),
		19 + 3 * (2 + 12 + 4 + 4) + 1 + 3 * ENCODE_CHUNK_BYTES + 1 + 2);
	free(text);
	free(out);
}

static void params_are_one_array_per_column(void **state)
{
	struct row *rows[] = {layout_row(1, "a"), layout_row(2, "b")};
	struct slice params[LAYOUT_COLUMNS];
	struct arena small;

	(void)state;
	assert_true(encode_params(&arena, &tables[TABLE_meter_value_layouts], LAYOUT_COLUMNS, rows,
		2, params));
	assert_int_equal(params[0].size, 20 + 2 * 12);
	assert_memory_equal(params[0].data, "\0\0\0\1\0\0\0\0\0\0\0\24\0\0\0\2\0\0\0\1", 20);
	assert_int_equal(params[2].size, 20 + 2 * 4);
	assert_memory_equal(params[2].data, "\0\0\0\1\0\0\0\1\0\0\0\31\0\0\0\2\0\0\0\1", 20);
	assert_true(arena_init(&small, 64, 0));
	assert_false(encode_params(&small, &tables[TABLE_meter_value_layouts], LAYOUT_COLUMNS, rows,
		2, params));
	arena_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_as_the_receive_functions_take_them),
		cmocka_unit_test(numerics_keep_sign_and_scale),
		cmocka_unit_test(arrays_have_dimensions_nulls_and_the_type_of_their_elements),
		cmocka_unit_test(copy_data_is_header_rows_and_trailer),
		cmocka_unit_test(rows_of_a_loading_table_have_one_field_more),
		cmocka_unit_test(chunks_join_to_the_same_bytes_at_every_buffer_size),
		cmocka_unit_test(a_row_larger_than_a_chunk_still_fits),
		cmocka_unit_test(params_are_one_array_per_column),
	};

	return cmocka_run_group_tests(tests, make_arena, free_arena);
}
