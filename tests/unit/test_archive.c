#include "unit.h"

#include "base/clock.h"
#include "base/fs.h"
#include "spool/archive.h"

#include <sys/wait.h>
#include <unistd.h>

/* A segment of three frames: many small records, then one that is larger than a frame. */
enum { SMALL = 2000, SMALL_BYTES = 600, LARGE_BYTES = 1500 * 1024, RECORDS = SMALL + 1 };

static const uint64_t FIRST_SEQ = 1000;

static struct arena arena;
static char segment_path[] = "/tmp/test_archive.seg";
static char archive_path[] = "/tmp/test_archive.zst";
static _Atomic bool never;
static int readers_opened;

static int new_file(const char *path)
{
	struct error err;
	int fd;

	unlink(path);
	fd = fs_open(path, FS_CREATE, &err);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/* Payloads that do not pack well, so that most bytes of the archive are content. */
static void fill(uint8_t *payload, size_t size, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		payload[i] = (uint8_t)(i % 8 == 0 ? x : 0x9a);
	}
}

static size_t payload_size(uint64_t i)
{
	return i == SMALL ? LARGE_BYTES : SMALL_BYTES + (size_t)(i % 97);
}

static struct segment_header segment_header(void)
{
	return (struct segment_header){.spool = {{1, 2, 3}},
		.first_seq = FIRST_SEQ,
		.follows.seq = FIRST_SEQ - 1,
		.begun_us = 5};
}

static int make_segment_of(uint64_t records)
{
	struct segment_header h = segment_header();
	uint8_t page[SEGMENT_HEADER_BYTES];
	uint8_t *payload = malloc(LARGE_BYTES), *bytes = malloc(LARGE_BYTES + 1000);
	int64_t offset = SEGMENT_HEADER_BYTES;
	int fd = new_file(segment_path);
	struct error err;

	segment_header_put(&h, page);
	assert_true(fs_pwrite(fd, slice_of(page, sizeof(page)), 0, segment_path, &err));
	for (uint64_t i = 0; i < records; i++) {
		struct record r = {.seq = FIRST_SEQ + i,
			.received_us = (int64_t)(i * 10),
			.topic = SLICE("cs/in/ocpp1.6/cs001"),
			.trace = SLICE("")};
		size_t size;

		fill(payload, payload_size(i), i);
		r.payload = slice_of(payload, payload_size(i));
		size = (size_t)(record_put(bytes, &r, FIRST_SEQ) - bytes);
		assert_true(fs_pwrite(fd, slice_of(bytes, size), offset, segment_path, &err));
		offset += (int64_t)size;
	}
	/* As a segment is: zeros after the last record. */
	assert_true(fs_truncate(fd, offset + 100000, segment_path, &err));
	free(payload);
	free(bytes);
	return fd;
}

static int make_segment(void)
{
	return make_segment_of(RECORDS);
}

static int make_archive(int segment, struct archive_summary *out)
{
	int fd = new_file(archive_path);
	struct error err;

	if (!archive_pack(segment, segment_path, fd, archive_path, &never, out, &err))
		fail_msg("%s", err.message);
	return fd;
}

struct seen {
	uint64_t records, missing;
	int damages;
	int64_t offset; /* of the first */
};

static void on_damage(void *context, int64_t offset, int64_t bytes, const char *why)
{
	struct seen *seen = context;

	(void)bytes;
	assert_non_null(why);
	if (seen->damages++ == 0)
		seen->offset = offset;
}

/* Whatever is damaged: read in pieces, forth and then back, it is what was unpacked. */
static void assert_reader_agrees(int archive, int unpacked, const struct seen *unpacking)
{
	enum { PIECE_BYTES = 200 * 1000 };

	uint8_t *a = malloc(PIECE_BYTES), *b = malloc(PIECE_BYTES);
	struct seen seen = {.records = 0};
	struct archive_reader *reader;
	int64_t size, offset = 0;
	struct error err;

	assert_true(archive_reader_open(&reader, archive, archive_path,
		(struct archive_events){on_damage, &seen}, &err));
	readers_opened += reader != NULL;
	size = reader == NULL ? 0 : archive_reader_size(reader);
	assert_true(reader == NULL || size == fs_size(unpacked, segment_path, &err));
	for (int64_t step = PIECE_BYTES; offset >= 0 && size > 0; offset += step) {
		int64_t got = fs_pread(unpacked, a, PIECE_BYTES, offset, segment_path, &err);

		assert_int_equal(archive_reader_pread(reader, b, PIECE_BYTES, offset, &err), got);
		assert_memory_equal(a, b, (size_t)got);
		if (got < PIECE_BYTES && step > 0) {
			step = -PIECE_BYTES / 2;
			assert_int_equal(seen.damages, unpacking->damages);
			assert_int_equal(seen.offset, unpacking->offset);
		}
	}
	archive_reader_close(&reader);
	free(a);
	free(b);
}

/* Unpacks and reads; every record must be one of those that were written. False without header. */
static bool unpack_and_read(int archive, struct seen *seen)
{
	uint8_t *expected = malloc(LARGE_BYTES);
	struct archive_events events = {on_damage, seen};
	int fd = new_file(segment_path);
	struct segment_reader reader;
	enum segment_next next;
	struct error err;
	struct record r;
	bool ok;

	*seen = (struct seen){.records = 0};
	ok = archive_unpack(archive, archive_path, fd, segment_path, events, &err);
	if (ok) {
		assert_reader_agrees(archive, fd, seen);
		assert_true(segment_reader_init(&reader, fd, segment_path, &err));
	} else {
		assert_string_equal(err.reason, "spool_damaged");
	}
	while (ok && (next = segment_reader_next(&reader, UINT64_MAX, &arena, &r, &err)) !=
			     SEGMENT_END) {
		uint64_t i = r.seq - FIRST_SEQ;

		assert_int_equal(next, SEGMENT_RECORD);
		assert_true(i < RECORDS);
		assert_int_equal(r.payload.size, payload_size(i));
		if (seen->records++ % 100 == 0) {
			fill(expected, r.payload.size, i);
			assert_memory_equal(r.payload.data, expected, r.payload.size);
			segment_reader_drop_window(&reader);
			arena_reset(&arena);
		}
	}
	if (ok)
		seen->missing = RECORDS - seen->records;
	arena_reset(&arena);
	close(fd);
	free(expected);
	return ok;
}

static void archive_gives_back_the_segment(void **state)
{
	int segment = make_segment(), archive, again = new_file(segment_path);
	struct archive_summary made, read;
	uint8_t *a, *b;
	struct seen seen;
	struct error err;

	(void)state;
	archive = make_archive(segment, &made);
	assert_true(archive_summary_read(archive, archive_path, &read, &err));
	assert_true(read.whole);
	assert_int_equal(read.records, RECORDS);
	assert_int_equal(read.last_seq, FIRST_SEQ + RECORDS - 1);
	assert_int_equal(read.header.first_seq, FIRST_SEQ);
	assert_int_equal(read.first_received_us, 0);
	assert_int_equal(read.last_received_us, SMALL * 10);
	assert_int_equal(read.offset, made.offset);
	assert_true(fs_size(archive, archive_path, &err) < read.bytes / 2);
	assert_true(archive_unpack(archive, archive_path, again, segment_path,
		(struct archive_events){on_damage, &seen}, &err));
	assert_int_equal(fs_size(again, segment_path, &err), read.bytes);
	a = malloc((size_t)read.bytes);
	b = malloc((size_t)read.bytes);
	assert_int_equal(fs_pread(segment, a, (size_t)read.bytes, 0, "", &err), read.bytes);
	assert_int_equal(fs_pread(again, b, (size_t)read.bytes, 0, "", &err), read.bytes);
	assert_memory_equal(a, b, (size_t)read.bytes);
	free(a);
	free(b);
	close(segment);
	close(archive);
	close(again);
}

/* One byte changed: whatever was not in its frame is read, and where it was is said. */
static void archive_damage_costs_one_frame(void **state)
{
	int segment = make_segment(), archive;
	struct archive_summary summary;
	struct error err;
	int64_t size, step;

	(void)state;
	archive = make_archive(segment, &summary);
	size = fs_size(archive, archive_path, &err);
	step = size / 60;
	readers_opened = 0;
	for (int64_t at = 0; at < size;) {
		struct seen seen;
		uint8_t byte;

		assert_int_equal(fs_pread(archive, &byte, 1, at, "", &err), 1);
		byte ^= 0x10;
		assert_true(fs_pwrite(archive, slice_of(&byte, 1), at, "", &err));
		assert_true(unpack_and_read(archive, &seen));
		/* 1 MiB of records of 600 bytes and more, or the one that is larger than that. */
		assert_true(seen.missing < ARCHIVE_FRAME_BYTES / SMALL_BYTES);
		assert_true(at < summary.offset || seen.missing == 0);
		assert_true(seen.damages > 0 || seen.missing == 0);
		assert_true(seen.damages == 0 || at >= summary.offset || seen.offset <= at);
		byte ^= 0x10;
		assert_true(fs_pwrite(archive, slice_of(&byte, 1), at, "", &err));
		/* Around the ends, where the tables are, every third byte. */
		at += at < 60 || at > summary.offset - 20 ? 3 : step;
	}
	/* All but those whose summary or table was damaged. */
	assert_in_range(readers_opened, 60, 90);
	close(segment);
	close(archive);
}

static void archive_cut_off_anywhere_gives_what_is_there(void **state)
{
	int segment = make_segment(), archive;
	struct archive_summary summary;
	uint64_t least = RECORDS;
	struct error err;
	int64_t size;

	(void)state;
	archive = make_archive(segment, &summary);
	size = fs_size(archive, archive_path, &err);
	for (int64_t cut = size - 1; cut > 0; cut -= size / 20) {
		struct seen seen;

		assert_true(fs_truncate(archive, cut, archive_path, &err));
		if (!unpack_and_read(archive, &seen))
			seen.records = 0;
		assert_true(seen.records <= least);
		assert_true(seen.damages > 0);
		least = seen.records;
		if (cut > summary.offset)
			assert_int_equal(seen.records, RECORDS);
	}
	assert_int_equal(least, 0);
	close(segment);
	close(archive);
}

static void archive_of_a_damaged_segment_is_not_made(void **state)
{
	int segment = make_segment(), archive = new_file(archive_path);
	struct archive_summary summary;
	uint8_t byte = 0;
	struct error err;

	(void)state;
	assert_true(fs_pwrite(segment, slice_of(&byte, 1), SEGMENT_HEADER_BYTES + 5000, "", &err));
	assert_false(
		archive_pack(segment, segment_path, archive, archive_path, &never, &summary, &err));
	assert_string_equal(err.reason, "spool_damaged");
	close(segment);
	close(archive);
}

static void archive_stops_when_told(void **state)
{
	int segment = make_segment(), archive = new_file(archive_path);
	struct archive_summary summary;
	_Atomic bool now = true;
	struct error err;

	(void)state;
	assert_false(
		archive_pack(segment, segment_path, archive, archive_path, &now, &summary, &err));
	assert_int_equal(err.kind, ERROR_STOPPED);
	close(segment);
	close(archive);
}

static void archive_with_another_identity_is_the_same_otherwise(void **state)
{
	int segment = make_segment(), archive;
	struct archive_summary before, after;
	struct uuid identity = {{9, 8, 7}};
	struct seen seen;
	struct error err;

	(void)state;
	archive = make_archive(segment, &before);
	assert_true(archive_put_identity(archive, archive_path, &before, &identity, &err));
	assert_true(archive_summary_read(archive, archive_path, &after, &err));
	assert_true(after.whole);
	assert_memory_equal(&after.header.spool, &identity, sizeof(identity));
	assert_int_equal(after.last_seq, before.last_seq);
	assert_true(unpack_and_read(archive, &seen));
	assert_int_equal(seen.records, RECORDS);
	assert_int_equal(seen.damages, 0);
	close(segment);
	close(archive);
}

/* An archive as the first version wrote it: two messages. What is on disk somewhere must stay
 * readable, so this never changes; a new version gets an example of its own. */
static const uint8_t version_1[] = {0x28, 0xb5, 0x2f, 0xfd, 0x64, 0x00, 0x0f, 0xe5, 0x01, 0x00,
	0xf4, 0x02, 0x96, 0xce, 0x4f, 0x50, 0x53, 0x01, 0xc4, 0x10, 0x01, 0x02, 0x03, 0x04, 0x05,
	0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0xcf, 0x00, 0x11, 0x10,
	0xd3, 0x00, 0x06, 0x49, 0xa8, 0x6a, 0x4c, 0x90, 0xc0, 0xcf, 0x7c, 0xe0, 0xd2, 0x1b, 0xe0,
	0x4f, 0x3e, 0x2f, 0x00, 0x03, 0x00, 0x80, 0x8f, 0xf3, 0xcc, 0xf2, 0xae, 0x18, 0x18, 0x03,
	0xd9, 0x8b, 0x59, 0xc5, 0x28, 0xb5, 0x2f, 0xfd, 0x64, 0x09, 0x00, 0x0d, 0x05, 0x00, 0x94,
	0x08, 0x9a, 0xce, 0x4f, 0x50, 0x52, 0x01, 0xce, 0x00, 0x00, 0x00, 0x84, 0xcf, 0x00, 0x11,
	0xd3, 0x00, 0x06, 0x49, 0xa8, 0x6a, 0x4c, 0x90, 0xc0, 0xcd, 0x00, 0x11, 0xda, 0x00, 0x13,
	0x63, 0x73, 0x2f, 0x69, 0x6e, 0x2f, 0x6f, 0x63, 0x70, 0x70, 0x31, 0x2e, 0x36, 0x2f, 0x63,
	0x73, 0x30, 0x30, 0x31, 0xd9, 0x00, 0xc6, 0x00, 0x00, 0x00, 0x35, 0x7b, 0x22, 0x74, 0x79,
	0x70, 0x65, 0x22, 0x3a, 0x32, 0x2c, 0x22, 0x61, 0x63, 0x74, 0x69, 0x6f, 0x6e, 0x22, 0x3a,
	0x22, 0x48, 0x65, 0x61, 0x72, 0x74, 0x62, 0x65, 0x61, 0x74, 0x22, 0x2c, 0x22, 0x69, 0x64,
	0x22, 0x3a, 0x22, 0x31, 0x22, 0x2c, 0x22, 0x72, 0x65, 0x71, 0x75, 0x65, 0x73, 0x74, 0x22,
	0x3a, 0x7b, 0x7d, 0x7d, 0xcf, 0x5a, 0x29, 0xde, 0x41, 0xc4, 0xfc, 0x5b, 0xfa, 0x85, 0x12,
	0x94, 0xa8, 0x36, 0x33, 0x73, 0x70, 0x6f, 0x6e, 0x73, 0x65, 0xbf, 0x57, 0x42, 0x84, 0xfe,
	0x22, 0x55, 0x76, 0x09, 0x00, 0x08, 0x33, 0x14, 0x70, 0x07, 0x08, 0x06, 0x5a, 0x03, 0x99,
	0xc0, 0xbc, 0xf3, 0x60, 0xe0, 0x61, 0xd1, 0xc2, 0x00, 0xbe, 0x2c, 0x58, 0x8b, 0xc7, 0x50,
	0x2a, 0x4d, 0x18, 0x77, 0x00, 0x00, 0x00, 0x96, 0xce, 0x4f, 0x50, 0x53, 0x01, 0xc4, 0x10,
	0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
	0x10, 0xcf, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x11, 0xcf, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x10, 0xd3, 0x00, 0x06, 0x49, 0xa8, 0x6a, 0x4c, 0x90, 0xc0, 0xcf, 0x7c,
	0xe0, 0xd2, 0x1b, 0xe0, 0x4f, 0x3e, 0x2f, 0x00, 0x00, 0x00, 0x00, 0x96, 0xcf, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0xcf, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0xd3, 0x00, 0x06, 0x49, 0xa8, 0x6a, 0x4c, 0x90, 0xc0, 0xd3, 0x00, 0x06, 0x49, 0xa8, 0x6a,
	0x4c, 0x94, 0xa8, 0xcf, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x11, 0x09, 0xcf, 0x3e, 0x9b,
	0x5c, 0xc1, 0xf5, 0xe7, 0x43, 0xc7, 0x5e, 0x2a, 0x4d, 0x18, 0x21, 0x00, 0x00, 0x00, 0x4a,
	0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0xaf, 0x00, 0x00, 0x00, 0x09, 0x01, 0x00, 0x00,
	0x7f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0xb1, 0xea,
	0x92, 0x8f};

static void archive_of_version_1_is_read(void **state)
{
	struct seen seen = {.records = 0};
	struct archive_events events = {on_damage, &seen};
	int archive = new_file(archive_path), fd = new_file(segment_path);
	struct archive_summary summary;
	struct segment_reader reader;
	struct record r;
	struct error err;

	(void)state;
	assert_true(fs_pwrite(archive, slice_of(version_1, sizeof(version_1)), 0, "", &err));
	assert_true(archive_summary_read(archive, archive_path, &summary, &err));
	assert_true(summary.whole);
	assert_int_equal(summary.records, 2);
	assert_int_equal(summary.last_seq, 18);
	assert_int_equal(summary.first_received_us, INT64_C(1769837547000000));
	assert_int_equal(summary.last_received_us, INT64_C(1769837547001000));
	assert_true(archive_unpack(archive, archive_path, fd, segment_path, events, &err));
	assert_int_equal(seen.damages, 0);
	assert_true(segment_reader_init(&reader, fd, segment_path, &err));
	assert_int_equal(reader.header.spool.bytes[15], 16);
	assert_int_equal(segment_reader_next(&reader, UINT64_MAX, &arena, &r, &err),
		SEGMENT_RECORD);
	assert_int_equal(r.seq, 17);
	assert_slice_equal(r.topic, "cs/in/ocpp1.6/cs001");
	assert_slice_equal(r.payload,
		"{\"type\":2,\"action\":\"Heartbeat\",\"id\":\"1\",\"request\":{}}");
	assert_int_equal(segment_reader_next(&reader, UINT64_MAX, &arena, &r, &err),
		SEGMENT_RECORD);
	assert_int_equal(segment_reader_next(&reader, UINT64_MAX, &arena, &r, &err), SEGMENT_END);
	arena_reset(&arena);
	close(archive);
	close(fd);
}

static void archive_names(void **state)
{
	char name[ARCHIVE_NAME_BYTES];
	uint64_t seq = 0;

	(void)state;
	archive_name(17, name);
	assert_string_equal(name, "00000000000000000017.seg.zst");
	assert_true(archive_name_parse(name, &seq));
	assert_int_equal(seq, 17);
	assert_false(archive_name_parse("00000000000000000017.seg", &seq));
	assert_false(archive_name_parse("00000000000000000017.seg.zst.bad", &seq));
	assert_false(archive_name_parse("x.zst", &seq));
	assert_false(archive_name_parse("zst", &seq));
}

static int make_arena(void **state)
{
	(void)state;
	return !arena_init(&arena, 64 << 20, 1 << 20);
}

static int drop_arena(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* What the process had at most, in KiB. */
static long peak_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (kib == 0 && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "VmHWM: %ld", &kib);
	(void)fclose(f);
	assert_true(kib > 0);
	return kib;
}

static void archive_takes_memory_for_frames_and_not_for_the_segment(void **state)
{
	enum { LARGE_RECORDS = 80 * 1000, MEMORY_KIB = 16 << 10 };
	int segment = make_segment_of(LARGE_RECORDS), status = -1;
	struct archive_summary summary;
	struct error err;
	pid_t child;

	(void)state;
	assert_true(fs_size(segment, segment_path, &err) > 3 * (MEMORY_KIB << 10));
	child = fork(); /* its peak begins with what it has */
	assert_true(child >= 0);
	if (child == 0) {
		long before_kib = peak_kib();
		int archive = make_archive(segment, &summary);

		close(archive);
		_exit(peak_kib() - before_kib < MEMORY_KIB ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(segment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(archive_gives_back_the_segment),
		cmocka_unit_test(archive_damage_costs_one_frame),
		cmocka_unit_test(archive_cut_off_anywhere_gives_what_is_there),
		cmocka_unit_test(archive_of_a_damaged_segment_is_not_made),
		cmocka_unit_test(archive_stops_when_told),
		cmocka_unit_test(archive_with_another_identity_is_the_same_otherwise),
		cmocka_unit_test(archive_of_version_1_is_read),
		cmocka_unit_test(archive_takes_memory_for_frames_and_not_for_the_segment),
		cmocka_unit_test(archive_names),
	};

	return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
