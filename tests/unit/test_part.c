#include "unit.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "retention/copy_walk.h"
#include "retention/part.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Rows of two columns, the second of which is NULL in each third; some larger than a frame. */
enum { ROWS = 300, LARGE_ROW = 7, LARGE_BYTES = PART_FRAME_BYTES + 1000, ROW_BYTES = 50 };

static const char path[] = "/tmp/test_part.copy.zst";

static const struct part_header header = {
	.table = "meter_values",
	.name = "meter_values_2026_01_31",
	.from_time = "2026-01-31T00:00:00Z",
	.to_time = "2026-02-01T00:00:00Z",
	.schema_version = 37,
	.columns = {{"charge_station_id", "text"}, {"a \"b\" c", "numeric[]"}},
	.columns_count = 2,
};

static int new_file(void)
{
	struct error err;
	int fd;

	unlink(path);
	fd = fs_open(path, FS_CREATE, &err);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static size_t value_bytes(int row)
{
	return row == LARGE_ROW ? LARGE_BYTES : ROW_BYTES;
}

/* What COPY ... (FORMAT binary) makes of the rows; malloc'ed. */
static uint8_t *copy_of_rows(size_t *size_out)
{
	uint8_t *bytes = malloc(LARGE_BYTES + ROWS * (ROW_BYTES + 20)), *at = bytes;

	assert_non_null(bytes);
	at = put_bytes(at, "PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0", 19);
	for (int row = 0; row < ROWS; row++) {
		at = put_be16(at, 2);
		at = put_be32(at, (uint32_t)value_bytes(row));
		for (size_t i = 0; i < value_bytes(row); i++)
			*at++ = (uint8_t)(i * 31 + (size_t)row * 7 + i * i / 13);
		at = put_be32(at, row % 3 == 0 ? UINT32_MAX : 1);
		if (row % 3 != 0)
			*at++ = 'x';
	}
	at = put_be16(at, UINT16_MAX);
	*size_out = (size_t)(at - bytes);
	return bytes;
}

static const char *layout_line(int number, char out[static 32])
{
	snprintf(out, 32, "%d\tlayout %d\n", number, number);
	return out;
}

/* A whole file; pieces of so many bytes are given to the writer. */
static int write_file(size_t piece, struct part_trailer *trailer)
{
	struct part_writer *w;
	struct error err;
	size_t size;
	uint8_t *bytes = copy_of_rows(&size);
	int fd = new_file();
	char line[32];

	assert_true(part_writer_open(&w, fd, path, &header, &err));
	part_writer_begin_other(w, "meter_value_layouts", "layout_id\tlayout");
	for (int i = 0; i < 3; i++)
		assert_true(part_writer_add_other(w, slice_from_cstr(layout_line(i, line)), &err));
	assert_true(part_writer_end_other(w, &err));
	for (size_t at = 0; at < size; at += piece)
		assert_true(part_writer_add(w,
			slice_of(bytes + at, size - at < piece ? size - at : piece), &err));
	assert_true(part_writer_finish(w, ROWS, trailer, &err));
	part_writer_close(&w);
	free(bytes);
	return fd;
}

static void part_read_back_is_what_was_written(void **state)
{
	struct part_trailer trailer;
	struct part_reader *r;
	struct part_piece piece;
	struct error err;
	enum part_next next;
	size_t size, at = 0, others = 0;
	uint8_t *bytes = copy_of_rows(&size);
	int fd = write_file(777, &trailer);

	(void)state;
	assert_true(part_reader_open(&r, fd, path, &err));
	assert_memory_equal(part_reader_header(r), &header, sizeof(header));
	while ((next = part_reader_next(r, &piece, &err)) == PART_OTHER || next == PART_ROWS) {
		if (next == PART_OTHER) {
			assert_string_equal(piece.table, "meter_value_layouts");
			assert_string_equal(piece.columns, "layout_id\tlayout");
			assert_true(slice_equal_cstr(piece.bytes,
				"0\tlayout 0\n1\tlayout 1\n2\tlayout 2\n"));
			others++;
			continue;
		}
		assert_true(at + piece.bytes.size <= size);
		assert_memory_equal(piece.bytes.data, bytes + at, piece.bytes.size);
		at += piece.bytes.size;
	}
	assert_int_equal(next, PART_END);
	assert_int_equal(others, 1);
	assert_int_equal(at, size);
	assert_int_equal(part_reader_trailer(r)->rows, ROWS);
	assert_memory_equal(part_reader_trailer(r)->sha256, trailer.sha256, SHA256_BYTES);
	part_reader_close(&r);
	free(bytes);
	close(fd);
}

static void part_of_the_same_rows_is_the_same_in_any_pieces(void **state)
{
	struct part_trailer one, other;

	(void)state;
	close(write_file(1 << 20, &one));
	close(write_file(13, &other));
	assert_memory_equal(&one, &other, sizeof(one));
}

/* Rows of other tables that fill more than one note. */
static void part_notes_are_as_many_as_needed(void **state)
{
	struct part_trailer trailer;
	struct part_reader *r;
	struct part_writer *w;
	struct part_piece piece;
	struct error err;
	enum part_next next;
	int fd = new_file(), lines = PART_NOTE_BYTES_MAX / 16, notes = 0;
	size_t bytes = 0;
	char line[32];

	(void)state;
	assert_true(part_writer_open(&w, fd, path, &header, &err));
	part_writer_begin_other(w, "t", "c");
	for (int i = 0; i < lines; i++)
		assert_true(part_writer_add_other(w, slice_from_cstr(layout_line(i, line)), &err));
	assert_true(part_writer_end_other(w, &err));
	assert_true(part_writer_add(w, slice_of("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff", 21),
		&err));
	assert_true(part_writer_finish(w, 0, &trailer, &err));
	part_writer_close(&w);
	assert_true(part_reader_open(&r, fd, path, &err));
	for (; (next = part_reader_next(r, &piece, &err)) == PART_OTHER; notes++)
		bytes += piece.bytes.size;
	assert_true(notes > 1 && bytes > PART_NOTE_BYTES_MAX);
	assert_int_equal(next, PART_ROWS);
	assert_int_equal(part_reader_next(r, &piece, &err), PART_END);
	assert_int_equal(part_reader_trailer(r)->other_rows, lines);
	part_reader_close(&r);
	close(fd);
}

/* Each byte of its notes, and every hundredth of the rest. */
static void part_with_a_changed_byte_is_refused_and_says_where(void **state)
{
	struct part_trailer trailer, found;
	struct error err;
	int fd = write_file(1 << 20, &trailer);
	int64_t size = fs_size(fd, path, &err);

	(void)state;
	assert_true(part_check(fd, path, NULL, &found, &err));
	for (int64_t at = 0; at < size; at += at < 700 || at > size - 300 ? 1 : 101) {
		uint8_t byte, changed;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		changed = byte ^ 0x04;
		assert_int_equal(pwrite(fd, &changed, 1, at), 1);
		assert_false(part_check(fd, path, NULL, &found, &err));
		assert_true(err.kind == ERROR_DAMAGED || err.kind == ERROR_FOREIGN);
		if (err.kind == ERROR_DAMAGED)
			assert_true(err.offset >= 0 && err.offset <= size &&
				    strstr(err.message, "at byte ") != NULL);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(part_check(fd, path, NULL, &found, &err));
	close(fd);
}

static void part_that_is_cut_or_has_more_is_refused(void **state)
{
	struct part_trailer trailer, found;
	struct error err;
	int fd = write_file(1 << 20, &trailer);
	int64_t size = fs_size(fd, path, &err);

	(void)state;
	assert_int_equal(pwrite(fd, "", 1, size), 1);
	assert_false(part_check(fd, path, NULL, &found, &err));
	assert_non_null(strstr(err.message, "more after its end"));
	for (int64_t at = size - 1; at >= 0; at -= at > size - 300 || at < 700 ? 1 : 4999) {
		assert_int_equal(ftruncate(fd, at), 0);
		assert_false(part_check(fd, path, NULL, &found, &err));
		assert_true(err.kind == ERROR_DAMAGED || err.kind == ERROR_FOREIGN);
	}
	close(fd);
}

static void part_of_a_table_with_an_odd_name_is_refused(void **state)
{
	struct part_header odd = header;
	struct part_reader *r;
	struct part_writer *w;
	struct error err;
	int fd = new_file();

	(void)state;
	snprintf(odd.name, sizeof(odd.name), "a\"b");
	assert_true(part_writer_open(&w, fd, path, &odd, &err));
	part_writer_close(&w);
	assert_false(part_reader_open(&r, fd, path, &err));
	assert_int_equal(err.kind, ERROR_DAMAGED);
	assert_non_null(strstr(err.message, "names no table of ours"));
	close(fd);
}

static void part_of_another_version_is_left_alone(void **state)
{
	static const uint8_t text[] =
		"ocpp-persister partition 2\nwhatever\nxxh3 8e2b1d5cc6a13ae0\n";
	uint8_t start[PART_MAGIC_BYTES];
	struct part_trailer trailer;
	struct error err;
	int fd = write_file(1 << 20, &trailer);

	(void)state;
	assert_int_equal(pread(fd, start, sizeof(start), 0), sizeof(start));
	assert_true(part_is(start));
	start[9] = 'C';
	assert_false(part_is(start));
	/* Whatever its other lines are. */
	assert_int_equal(pwrite(fd, text, sizeof(text) - 1, 8), sizeof(text) - 1);
	assert_false(part_check(fd, path, NULL, &trailer, &err));
	assert_int_equal(err.kind, ERROR_FOREIGN);
	assert_non_null(strstr(err.message, "version"));
	close(fd);
}

static void copy_walk_counts_rows_in_pieces_of_any_size(void **state)
{
	size_t size;
	uint8_t *bytes = copy_of_rows(&size);

	(void)state;
	for (size_t piece = 1; piece < 64; piece += 7) {
		struct copy_walk w;
		const char *why;

		copy_walk_init(&w, 2);
		for (size_t at = 0; at < size;) {
			size_t most = size - at < piece ? size - at : piece;
			size_t passed = copy_walk_step(&w, slice_of(bytes + at, most), &why);

			assert_true(passed > 0 && passed <= most);
			at += passed;
		}
		assert_int_equal(w.state, COPY_WALK_END);
		assert_int_equal(w.rows, ROWS);
		assert_int_equal(copy_walk_step(&w, slice_of("x", 1), &why), 0);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(part_read_back_is_what_was_written),
		cmocka_unit_test(part_of_the_same_rows_is_the_same_in_any_pieces),
		cmocka_unit_test(part_notes_are_as_many_as_needed),
		cmocka_unit_test(part_with_a_changed_byte_is_refused_and_says_where),
		cmocka_unit_test(part_that_is_cut_or_has_more_is_refused),
		cmocka_unit_test(part_of_a_table_with_an_odd_name_is_refused),
		cmocka_unit_test(part_of_another_version_is_left_alone),
		cmocka_unit_test(copy_walk_counts_rows_in_pieces_of_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
