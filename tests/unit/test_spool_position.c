#include "unit_spool.h"

#include "spool/segment.h"

#include <dirent.h>
#include <fcntl.h>

/* What a log says of its positions, and what of them is left when records are gone. */

enum { COUNTS_OFFSET = 60, COUNTS_BYTES = 37 };

static void path_of(uint64_t first_seq, char out[static 512])
{
	char name[SEGMENT_NAME_BYTES];

	segment_name(first_seq, name);
	snprintf(out, 512, "%s/%s", dir, name);
}

static void remove_file(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static void overwrite(uint64_t first_seq, off_t offset, const void *bytes, size_t size)
{
	char path[512];
	int fd;

	path_of(first_seq, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
	close(fd);
}

static size_t count_segments(void)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(stream)) != NULL)
		count += strstr(entry->d_name, ".seg") != NULL;
	closedir(stream);
	return count;
}

static void append_all(struct spool *s, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		assert_int_equal(append(s, i, NULL), SPOOL_APPENDED);
}

/* The links of all records newer than seq, by number - seq - 1. */
static size_t links_after(struct spool *s, uint64_t seq, struct position_link *out, size_t room)
{
	struct spool_cursor *c;
	struct record r;
	struct error err;
	uint64_t lost;
	size_t count = 0;

	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, seq, &lost, &err));
	while (spool_cursor_next(c, &arena, &r, &err) == SPOOL_RECORD) {
		assert_true(count < room);
		out[count++] = r.link;
		spool_cursor_drop_window(c);
		arena_reset(&arena);
	}
	spool_cursor_close(&c);
	return count;
}

static bool recognises(struct spool *s, const struct position *at, struct position *out,
	struct error *err)
{
	struct spool_cursor *c;
	bool ok;

	assert_true(spool_cursor_open(&c, s, err));
	ok = spool_cursor_recognise(c, at, out, err);
	spool_cursor_close(&c);
	return ok;
}

/* Several segments, read from the beginning and from the middle. */
static void spool_each_record_says_what_it_follows(void **state)
{
	static struct position_link links[300], again[300];
	struct spool *s = open_with(options());
	uint64_t digest = 0;

	(void)state;
	append_all(s, 0, 300);
	assert_int_equal(links_after(s, 0, links, 300), 300);
	for (uint64_t i = 0; i < 300; i++) {
		digest += links[i].checksum;
		assert_int_equal(links[i].follows, i);
		assert_int_equal(links[i].missing, 0);
		assert_int_equal(links[i].log.seq, i + 1);
		assert_true(links[i].log.counted && links[i].log.digested);
		assert_int_equal(links[i].log.records, i + 1);
		assert_int_equal(links[i].log.digest, digest);
	}
	for (uint64_t seq = 1; seq < 300; seq += 37) {
		assert_int_equal(links_after(s, seq, again, 300), 300 - seq);
		assert_memory_equal(again, links + seq, (300 - seq) * sizeof(*again));
	}
	spool_close(&s);
}

static void spool_recognises_what_was_read_and_nothing_else(void **state)
{
	static struct position_link links[300];
	struct spool *s = open_with(options());
	struct position at, found;
	struct error err;

	(void)state;
	append_all(s, 0, 300);
	assert_int_equal(links_after(s, 0, links, 300), 300);
	for (size_t i = 0; i < 300; i++) {
		at = links[i].log;
		assert_true(recognises(s, &at, &found, &err));
		assert_memory_equal(&found.records, &at.records, sizeof(at.records));
		at.digest++;
		assert_false(recognises(s, &at, &found, &err));
		assert_string_equal(err.reason, "spool_copied");
		at = links[i].log;
		at.records++;
		assert_false(recognises(s, &at, &found, &err));
		/* What is not known is not held against it. */
		at.counted = at.digested = false;
		assert_true(recognises(s, &at, &found, &err));
		assert_int_equal(found.records, i + 1);
	}
	at = (struct position){.seq = 301};
	assert_false(recognises(s, &at, &found, &err));
	assert_string_equal(err.reason, "spool_behind");
	spool_close(&s);
}

static void spool_numbers_go_on_when_all_records_are_gone(void **state)
{
	struct position_link link;
	struct spool *s = open_with(options());
	struct position end, found;
	struct error err;
	char path[512];

	(void)state;
	append_all(s, 0, 50);
	spool_close(&s);
	s = open_with(options()); /* a segment that begins with 51 */
	assert_true(recognises(s, &(struct position){.seq = 50}, &end, &err));
	spool_close(&s);
	path_of(1, path);
	assert_int_equal(unlink(path), 0); /* as retention does */
	for (int crashes = 0; crashes < 3; crashes++) {
		struct spool_stats stats;

		if (crashes > 0)
			remove_file("closed");
		s = open_with(options());
		spool_stats(s, &stats);
		assert_int_equal(stats.last_seq, 50);
		assert_int_equal(stats.damaged_records, 0);
		assert_int_equal(stats.segments, 1);
		assert_true(recognises(s, &end, &found, &err));
		assert_int_equal(found.digest, end.digest);
		spool_close(&s);
		assert_int_equal(count_segments(), 1);
	}
	s = open_with(options());
	append_all(s, 50, 51);
	assert_int_equal(links_after(s, 50, &link, 1), 1);
	assert_int_equal(link.follows, 50);
	assert_int_equal(link.missing, 0);
	assert_int_equal(link.log.records, 51);
	assert_int_equal(link.log.seq, 51 + (UINT64_C(2) << 32));
	spool_close(&s);
}

static void spool_without_segments_has_its_numbers_or_another_name(void **state)
{
	struct spool *s = open_with(options());
	struct uuid was = spool_identity(s), now, session;
	uint64_t seq;
	char path[512];

	(void)state;
	append_all(s, 0, 50);
	spool_close(&s);
	path_of(1, path);
	assert_int_equal(unlink(path), 0);
	s = open_with(options());
	now = spool_identity(s);
	assert_memory_equal(&now, &was, sizeof(was));
	assert_int_equal(append(s, 50, &seq), SPOOL_APPENDED);
	assert_int_equal(seq, 51);
	spool_close(&s);
	path_of(51, path);
	assert_int_equal(unlink(path), 0);
	remove_file("closed");
	for (int starts = 0; starts < 3; starts++) {
		struct uuid before = now;

		s = open_with(options());
		now = spool_identity(s);
		session = spool_session(s);
		assert_memory_not_equal(&now, &was, sizeof(was));
		assert_memory_equal(&session, &was, sizeof(was));
		if (starts > 0)
			assert_memory_equal(&now, &before, sizeof(now));
		spool_close(&s);
	}
	s = open_with(options());
	assert_int_equal(append(s, 0, &seq), SPOOL_APPENDED);
	assert_int_equal(seq, 1);
	spool_close(&s);
}

static void spool_of_an_older_version_is_counted_from_now_on(void **state)
{
	static struct position_link links[300];
	struct spool *s = open_with(options());
	struct position found;
	struct error err;
	struct dirent *entry;
	DIR *stream;

	(void)state;
	append_all(s, 0, 300);
	spool_close(&s);
	stream = opendir(dir);
	while ((entry = readdir(stream)) != NULL) {
		static const uint8_t zeros[COUNTS_BYTES];
		uint64_t first_seq;

		if (segment_name_parse(entry->d_name, &first_seq))
			overwrite(first_seq, COUNTS_OFFSET, zeros, sizeof(zeros));
	}
	closedir(stream);
	s = open_with(options());
	append_all(s, 300, 310);
	assert_int_equal(read_from(s, 0, 0, NULL), 310);
	assert_int_equal(links_after(s, 10, links, 300), 300);
	for (size_t i = 0; i < 300; i++) {
		assert_int_equal(links[i].follows, i + 10);
		assert_int_equal(links[i].missing, 0);
		assert_int_equal(links[i].log.counted, i >= 290);
	}
	assert_int_equal(links[299].log.records, 10);
	assert_int_equal(links[299].log.digest_from, 301);
	assert_true(recognises(s, &(struct position){.seq = 150, .counted = true, .records = 7},
		&found, &err));
	assert_false(found.counted);
	spool_close(&s);
}

static void spool_damage_is_a_gap_that_is_said_once(void **state)
{
	static struct position_link links[300];
	struct spool *s = open_with(options());
	size_t count;
	uint64_t missing = 0;

	(void)state;
	append_all(s, 0, 300);
	overwrite(1, SEGMENT_HEADER_BYTES + 20000, "damage", 6);
	count = links_after(s, 0, links, 300);
	assert_int_equal(count, 299);
	for (size_t i = 0; i < count; i++) {
		missing += links[i].missing;
		assert_int_equal(links[i].log.records, links[i].log.seq);
		assert_int_equal(links[i].follows, i == 0 ? 0 : links[i - 1].log.seq);
	}
	assert_int_equal(missing, 1);
	/* The next segment says what the sum was. */
	assert_true(links[count - 1].log.digested);
	spool_close(&s);
}

/* The last records of the segment go, as in a power cut where nothing was synced. */
static void lose_after(uint64_t first_seq, size_t kept)
{
	char path[512];
	off_t end = SEGMENT_HEADER_BYTES;

	for (uint64_t i = 0; i < kept; i++) {
		uint8_t payload[PAYLOAD + 100];
		struct record r = {.topic = SLICE("cs/in/ocpp1.6/cs001"), .trace = SLICE("")};

		r.payload = slice_of(payload, make_payload(i, payload));
		end += (off_t)record_bytes(&r);
	}
	path_of(first_seq, path);
	assert_int_equal(truncate(path, end), 0);
}

/*
 * A number past the end may be of a record that the disk lost: then the database has counted more.
 * One that has counted less has read another log, and lacks what this one has.
 */
static void spool_does_not_take_another_log_for_what_the_disk_lost(void **state)
{
	static struct position_link links[60];
	struct position at, found;
	struct spool *s;
	struct error err;
	uint64_t skipped = UINT64_C(1) << 32;
	char path[512];

	(void)state;
	assert_int_equal(append_until_killed(0, 60), 60);
	s = open_with(options());
	assert_int_equal(links_after(s, 0, links, 60), 60);
	/* A copy that ended at 10 was killed, too, and went on with 5 records. */
	at = (struct position){.seq = 10 + skipped + 5, .counted = true, .records = 15};
	assert_false(recognises(s, &at, &found, &err));
	assert_string_equal(err.reason, "spool_copied");
	spool_close(&s);
	path_of(skipped + 61, path);
	assert_int_equal(unlink(path), 0);
	lose_after(1, 40);
	remove_file("closed");
	s = open_with(options());
	at = links[59].log;
	assert_true(at.segment_us != 0);
	assert_true(recognises(s, &at, &found, &err));
	assert_int_equal(found.seq, 40);
	/* A copy that was stopped at 40 and took 20 records of its own counts as much. */
	at.segment_us++;
	assert_false(recognises(s, &at, &found, &err));
	assert_string_equal(err.reason, "spool_copied");
	spool_close(&s);
}

/* Two segments of 30 records; where the database is: at the end of the second. */
static struct position two_segments(void)
{
	static struct position_link links[60];
	struct spool *s;

	for (uint64_t from = 0; from < 60; from += 30) {
		s = open_with(options());
		append_all(s, from, from + 30);
		assert_int_equal(links_after(s, from, links + from, 30), 30);
		spool_close(&s);
	}
	assert_true(links[29].log.segment_us != links[59].log.segment_us);
	return links[59].log;
}

/* However often it is started, killed or stopped, until the database has more. */
static void assert_known_at_each_start(const struct position *at)
{
	struct position found;
	struct spool *s;
	struct error err;

	for (int start = 0; start < 5; start++) {
		s = open_with(options());
		if (!recognises(s, at, &found, &err))
			fail_msg("start %d: %s", start, err.message);
		assert_int_equal(found.seq, 30);
		spool_close(&s);
		if (start % 2 == 0)
			remove_file("closed");
	}
}

/* All records of the last segment are lost: what is left of it says whose they were. */
static void spool_knows_the_segment_whose_records_are_all_lost(void **state)
{
	struct position at = two_segments();

	(void)state;
	lose_after(31, 0);
	remove_file("closed");
	assert_known_at_each_start(&at);
}

/* What cannot be read of it is set aside: that its name is there says whose they were. */
static void spool_knows_the_segment_that_was_set_aside(void **state)
{
	struct position at = two_segments();

	(void)state;
	overwrite(31, 0, "?", 1);
	remove_file("closed");
	assert_known_at_each_start(&at);
}

/* Numbers that were left out before them are not damaged records. */
static void spool_knows_its_records_though_they_are_damaged(void **state)
{
	static struct position_link links[60];
	struct position found;
	struct spool *s;
	struct error err;
	uint64_t skipped = UINT64_C(1) << 32;

	(void)state;
	assert_int_equal(append_until_killed(0, 30), 30);
	s = open_with(options());
	append_all(s, 30, 60);
	assert_int_equal(links_after(s, 0, links, 60), 60);
	assert_int_equal(links[30].log.seq, 31 + skipped);
	spool_close(&s);
	s = open_with(options());
	append_all(s, 60, 61);
	spool_close(&s);
	lose_after(31 + skipped, 0);
	s = open_with(options());
	for (size_t i = 30; i < 60; i++) {
		if (!recognises(s, &links[i].log, &found, &err))
			fail_msg("record %zu: %s", i, err.message);
		assert_int_equal(found.records, i + 1);
	}
	spool_close(&s);
}

/* A power cut while a released segment becomes the next one: it has its header, not its name. */
static void spool_passes_a_segment_that_was_to_be_another(void **state)
{
	struct position at = two_segments(), found;
	struct segment_header h = {.first_seq = 61, .follows = at, .begun_us = 1};
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct spool_cursor *c;
	struct spool *s = open_with(options());
	struct error err;
	uint64_t lost;
	char path[512];

	(void)state;
	h.spool = spool_identity(s);
	spool_close(&s);
	segment_header_put(&h, bytes);
	overwrite(1, 0, bytes, sizeof(bytes));
	remove_file("closed");
	at.seq -= 10; /* in the second */
	at.counted = at.digested = false;
	s = open_with(options());
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_recognise(c, &at, &found, &err));
	assert_true(spool_cursor_seek(c, at.seq, &lost, &err));
	assert_int_equal(lost, 0);
	assert_int_equal(read_from(s, at.seq, at.seq, NULL), 10);
	spool_cursor_close(&c);
	spool_close(&s);
	path_of(1, path);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(spool_each_record_says_what_it_follows),
		SPOOL_TEST(spool_recognises_what_was_read_and_nothing_else),
		SPOOL_TEST(spool_numbers_go_on_when_all_records_are_gone),
		SPOOL_TEST(spool_without_segments_has_its_numbers_or_another_name),
		SPOOL_TEST(spool_of_an_older_version_is_counted_from_now_on),
		SPOOL_TEST(spool_damage_is_a_gap_that_is_said_once),
		SPOOL_TEST(spool_does_not_take_another_log_for_what_the_disk_lost),
		SPOOL_TEST(spool_knows_the_segment_whose_records_are_all_lost),
		SPOOL_TEST(spool_knows_the_segment_that_was_set_aside),
		SPOOL_TEST(spool_passes_a_segment_that_was_to_be_another),
		SPOOL_TEST(spool_knows_its_records_though_they_are_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
