#include "unit_spool.h"

#include "base/log.h"
#include "spool/folder.h"
#include "spool/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* 0, or what the shell says. */
static int run_in_dir(const char *command)
{
	char text[512];
	int status;

	snprintf(text, sizeof(text), "cd '%s' && %s", dir, command);
	status = system(text);
	return WEXITSTATUS(status);
}

static void spool_records_come_back_in_order_across_segments(void **state)
{
	struct spool *s = open_with(options());
	struct spool_stats stats;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(append(s, i, NULL), SPOOL_APPENDED);
	assert_int_equal(spool_last_seq(s), 1000);
	assert_int_equal(read_from(s, 0, 0, NULL), 1000);
	assert_int_equal(read_from(s, 777, 777, NULL), 223);
	assert_int_equal(read_from(s, 1000, 0, NULL), 0);
	spool_stats(s, &stats);
	assert_true(stats.segments > 9);
	assert_int_equal(stats.oldest_seq, 1);
	spool_close(&s);
	assert_null(s);
}

static void spool_after_proper_close_numbers_go_on(void **state)
{
	struct spool *s = open_with(options());
	struct uuid id = spool_identity(s), again;
	uint64_t seq;

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		append(s, i, NULL);
	spool_close(&s);
	s = open_with(options());
	again = spool_identity(s);
	assert_memory_equal(&id, &again, sizeof(id));
	append(s, 10, &seq);
	assert_int_equal(seq, 11);
	assert_int_equal(read_from(s, 0, 0, NULL), 11);
	spool_close(&s);
}

/* 500 records more; all of the log is released, or all but one. */
static void clear_after(uint64_t first, bool all)
{
	struct spool_options cleared = options();
	struct spool *s;
	uint64_t seq = 0;

	cleared.clear = true;
	s = open_with(cleared);
	for (uint64_t i = first; i < first + 500; i++) {
		assert_int_equal(append(s, i, &seq), SPOOL_APPENDED);
		assert_int_equal(seq, i + 1);
	}
	spool_release(s, all ? seq : seq - 1);
	spool_close(&s);
	assert_int_equal(run_in_dir("cat *.seg *.tmp 2>/dev/null | grep -q ."), all);
}

static void spool_that_is_cleared_keeps_no_record_and_its_numbers(void **state)
{
	(void)state;
	clear_after(0, false);
	clear_after(500, true);
	clear_after(1000, true);
}

static void spool_after_kill_nothing_is_missing_and_numbers_skip(void **state)
{
	struct spool *s;
	uint64_t seq;

	(void)state;
	assert_int_equal(append_until_killed(0, 300), 300);
	assert_int_equal(append_until_killed(300, 300), 300);
	s = open_with(options());
	append(s, 600, &seq);
	assert_int_equal(seq, 601 + 2 * (UINT64_C(1) << 32));
	assert_int_equal(read_from(s, 0, 0, NULL), 601);
	assert_int_equal(read_from(s, 300, 300, NULL), 301);
	spool_close(&s);
}

static void newest_segment(char out[static 512])
{
	DIR *d = opendir(dir);
	struct dirent *e;
	uint64_t best = 0, first;

	while ((e = readdir(d)) != NULL) {
		if (segment_name_parse(e->d_name, &first) && first >= best) {
			best = first;
			snprintf(out, 512, "%s/%s", dir, e->d_name);
		}
	}
	closedir(d);
}

static void copy_dir(const char *to)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf '%s' && cp -r '%s' '%s' && rm -f '%s/closed'",
		to, dir, to, to);
	assert_int_equal(system(command), 0);
}

/* A crash between the successor of an empty segment and its removal. The empty one has no records
 * up to the successor's first number, as the skipped ones might make it seem. */
static void spool_empty_segment_that_a_crash_left_has_no_records(void **state)
{
	char empty[512], kept[560], bad[560];
	struct spool_stats stats;
	struct spool *s;

	(void)state;
	assert_int_equal(append_until_killed(1, 3), 3);
	assert_int_equal(append_until_killed(4, 0), 0);
	newest_segment(empty);
	snprintf(kept, sizeof(kept), "%s.tmp", empty);
	snprintf(bad, sizeof(bad), "%s.bad", empty);
	assert_int_equal(link(empty, kept), 0);
	assert_int_equal(append_until_killed(4, 3), 3);
	assert_true(rename(kept, empty) == 0 && truncate(empty, SEGMENT_HEADER_BYTES) == 0);
	s = open_with(options());
	assert_int_equal(spool_count_newer(s, 0), 6);
	assert_int_equal(read_from(s, 0, 1, NULL), 6);
	spool_stats(s, &stats);
	assert_int_equal(stats.damaged_records, 0);
	assert_true(access(empty, F_OK) != 0 && access(bad, F_OK) != 0);
	spool_close(&s);
}

static void spool_open_drops_torn_last_record(void **state)
{
	struct spool *s = open_with(options());
	char original[128], torn[160], path[512];
	int64_t end;

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		append(s, i, NULL);
	spool_close(&s);
	memcpy(original, dir, sizeof(original));
	snprintf(torn, sizeof(torn), "%s.torn", original);
	end = SEGMENT_HEADER_BYTES;
	for (uint64_t i = 0; i < 4; i++)
		end += RECORD_FIXED_BYTES + 19 + PAYLOAD + (int64_t)(i % 97);
	for (int64_t cut = end + 1; cut < end + RECORD_FIXED_BYTES + 19 + PAYLOAD + 4; cut += 13) {
		memcpy(dir, original, sizeof(original));
		copy_dir(torn);
		snprintf(dir, sizeof(dir), "%.120s", torn);
		newest_segment(path);
		assert_int_equal(truncate(path, cut), 0);
		/* What a power cut leaves of a preallocated file: zeros at its end. */
		if (cut % 2 == 0)
			assert_int_equal(truncate(path, SEGMENT), 0);
		s = open_with(options());
		assert_int_equal(read_from(s, 0, 0, NULL), 4);
		append(s, 4, NULL);
		assert_int_equal(read_from(s, 0, 0, NULL), 5);
		spool_close(&s);
	}
	remove_dir(torn);
	memcpy(dir, original, sizeof(original));
}

static void spool_damage_costs_only_the_damaged_record(void **state)
{
	struct spool *s = open_with(options());
	char path[512], command[600];
	struct spool_stats stats;
	struct spool_cursor *c;
	struct record r;
	struct error err;
	uint64_t lost, count = 0;
	int fd;

	(void)state;
	for (uint64_t i = 0; i < 30; i++)
		append(s, i, NULL);
	spool_close(&s);
	newest_segment(path);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "\x55", 1, SEGMENT_HEADER_BYTES + 10 * 700), 1);
	close(fd);
	log_set_level(LOG_LEVEL_ERROR);
	s = open_with(options());
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, 0, &lost, &err));
	while (spool_cursor_next(c, &arena, &r, &err) == SPOOL_RECORD)
		count++;
	assert_int_equal(count, 29);
	spool_stats(s, &stats);
	assert_true(stats.damaged_records >= 1);
	spool_cursor_close(&c);
	spool_close(&s);
	snprintf(command, sizeof(command), "test -f '%s.bad'", path);
	assert_int_equal(system(command), 0);
}

/* A message may have records in it. After a torn write, their numbers count only if a segment has
 * room for so many. */
static void spool_takes_no_number_from_within_a_torn_message(void **state)
{
	static uint8_t payload[700];
	struct record forged = {.seq = UINT64_C(1) << 62,
		.topic = SLICE("cs/in/ocpp1.6/x"),
		.trace = SLICE("")};
	struct record r = {.topic = SLICE("cs/in/ocpp1.6/y"), .trace = SLICE("")};
	struct spool *s = open_with(options());
	uint64_t lost, count = 0;
	struct spool_cursor *c;
	char path[512];
	struct error err;
	int64_t torn;

	(void)state;
	record_put(payload, &forged, 1); /* the generation of the first segment */
	r.payload = slice_of(payload, sizeof(payload));
	assert_int_equal(spool_append(s, &r, true, &err), SPOOL_APPENDED);
	r.payload = slice_from_cstr("whole");
	assert_int_equal(spool_append(s, &r, true, &err), SPOOL_APPENDED);
	torn = SEGMENT_HEADER_BYTES + (int64_t)record_bytes(&r);
	r.payload = slice_of(payload, sizeof(payload));
	torn += 2 * (int64_t)record_bytes(&r) - 100;
	assert_int_equal(spool_append(s, &r, true, &err), SPOOL_APPENDED);
	assert_true(spool_sync(s, &err));
	newest_segment(path);
	spool_close(&s);
	assert_int_equal(truncate(path, torn), 0);
	log_set_level(LOG_LEVEL_ERROR);
	s = open_with(options());
	assert_true(spool_last_seq(s) < forged.seq);
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, 0, &lost, &err));
	while (spool_cursor_next(c, &arena, &r, &err) == SPOOL_RECORD)
		assert_true(r.seq == ++count);
	assert_int_equal(count, 2);
	spool_cursor_close(&c);
	spool_close(&s);
}

static void spool_full_waits_for_release(void **state)
{
	struct spool_options o = options();
	struct spool *s;
	uint64_t i = 0, seq = 0;

	(void)state;
	o.bytes_max = 4 * SEGMENT;
	s = open_with(o);
	while (append(s, i, &seq) == SPOOL_APPENDED)
		i++;
	assert_true(i > 200 && i < 400);
	assert_int_equal(append(s, i, NULL), SPOOL_FULL);
	spool_release(s, i);
	assert_true(spool_wait_for_space(s));
	for (int more = 0; more < 1000; more++, i++) {
		while (append(s, i, NULL) == SPOOL_FULL) {
			spool_release(s, spool_last_seq(s));
			assert_true(spool_wait_for_space(s));
		}
	}
	spool_stop_waiting(s);
	assert_false(spool_wait_for_space(s));
	spool_close(&s);
}

static void spool_keeps_released_records_for_the_retention_time(void **state)
{
	struct spool_options o = options();
	struct spool *s = open_with(o);
	struct spool_stats stats;

	(void)state;
	for (uint64_t i = 0; i < 500; i++)
		append(s, i, NULL);
	spool_release(s, 500);
	spool_close(&s);
	s = open_with(o);
	assert_int_equal(read_from(s, 0, 0, NULL), 500);
	spool_close(&s);
	o.retain_us = 0;
	s = open_with(o);
	assert_int_equal(read_from(s, 0, 0, NULL), 500); /* not released in this run */
	spool_release(s, 400);
	do {
		spool_stats(s, &stats);
		usleep(1000);
	} while (stats.oldest_seq == 1); /* ctest ends this if it never comes true */
	assert_in_range(stats.oldest_seq, 2, 401);
	spool_close(&s);
}

static void spool_seek_says_what_is_gone_and_refuses_the_future(void **state)
{
	struct spool_options o = options();
	struct spool *s;
	struct spool_cursor *c;
	struct spool_stats stats;
	struct error err;
	uint64_t lost;

	(void)state;
	o.retain_us = 0;
	s = open_with(o);
	for (uint64_t i = 0; i < 500; i++)
		append(s, i, NULL);
	spool_release(s, 500);
	do {
		spool_stats(s, &stats);
		usleep(1000);
	} while (stats.segments > 1 && stats.oldest_seq == 1);
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, 0, &lost, &err));
	spool_stats(s, &stats);
	assert_int_equal(lost, stats.oldest_seq - 1);
	assert_true(spool_cursor_seek(c, 500, &lost, &err));
	assert_int_equal(lost, 0);
	assert_false(spool_cursor_seek(c, 501, &lost, &err));
	assert_string_equal(err.reason, "spool_behind");
	spool_cursor_close(&c);
	spool_close(&s);
}

static void spool_is_used_by_one_process(void **state)
{
	struct spool_options o = options();
	struct spool *s = open_with(o), *second = NULL;
	struct error err;

	(void)state;
	assert_false(spool_open(&second, &o, &err));
	assert_string_equal(err.reason, "spool_in_use");
	assert_null(second);
	spool_close(&s);
}

static void spool_refuses_what_it_does_not_know(void **state)
{
	struct spool_options o = options();
	struct spool *s = open_with(o);
	struct error err;
	char path[512], identity[200];
	int fd;

	(void)state;
	append(s, 0, NULL);
	spool_close(&s);
	newest_segment(path);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "\x02", 1, 5), 1);
	assert_false(spool_open(&s, &o, &err));
	assert_string_equal(err.reason, "spool_version");
	assert_int_equal(pwrite(fd, "\x01", 1, 5), 1);
	close(fd);
	snprintf(identity, sizeof(identity), "%s/identity", dir);
	assert_true(fs_replace_file(identity,
		slice_from_cstr("00000000-0000-4000-8000-000000000000\n"), &err));
	assert_false(spool_open(&s, &o, &err));
	assert_string_equal(err.reason, "spool_mixed");
	assert_true(fs_replace_file(identity, slice_from_cstr("nonsense"), &err));
	assert_false(spool_open(&s, &o, &err));
	assert_string_equal(err.reason, "spool_damaged");
}

static void assert_does_not_open_through(const char *name)
{
	struct spool_options o = options();
	char path[512], moved[512], before[64], after[64];
	struct spool *s = NULL;
	struct error err;
	struct stat st;

	if (name == NULL)
		newest_segment(path);
	else
		snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(moved, sizeof(moved), "%.128s/elsewhere", dir);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	assert_int_equal(stat(moved, &st), 0);
	snprintf(before, sizeof(before), "%lld %lld", (long long)st.st_size,
		(long long)st.st_mtime);
	assert_false(spool_open(&s, &o, &err));
	assert_non_null(strstr(err.message, path));
	assert_int_equal(stat(moved, &st), 0);
	snprintf(after, sizeof(after), "%lld %lld", (long long)st.st_size, (long long)st.st_mtime);
	assert_string_equal(before, after);
	assert_int_equal(rename(moved, path), 0);
}

static void spool_opens_no_file_through_a_symbolic_link(void **state)
{
	struct spool *s = open_with(options());

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		append(s, i, NULL);
	spool_close(&s);
	assert_does_not_open_through("lock");
	assert_does_not_open_through("identity");
	assert_does_not_open_through(NULL);
	s = open_with(options());
	assert_int_equal(read_from(s, 0, 0, NULL), 10);
	spool_close(&s);
}

/*
 * Fail the first, second, third ... file operation, each in three ways, until a run passes without
 * reaching it. After each: what was accepted is there, in order, and nothing else but perhaps the
 * one record whose append failed.
 */
static void spool_survives_every_failing_file_operation(void **state)
{
	static const char *const faults[] = {"EIO", "ENOSPC", "short"};

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	for (size_t f = 0; f < 3; f++) {
		bool passed = false;

		for (uint64_t call = 1; !passed; call++) {
			struct spool_options o = options();
			struct spool *s = NULL;
			struct error err;
			uint64_t accepted = 0, count;

			remove_dir(dir);
			fs_fail_at(call, faults[f]);
			if (spool_open(&s, &o, &err)) {
				while (accepted < 110 &&
					append(s, accepted, NULL) == SPOOL_APPENDED)
					accepted++;
				spool_close(&s);
			}
			passed = fs_calls() < call;
			fs_fail_at(0, NULL);
			if (fs_make_dir(dir, &err) && spool_open(&s, &o, &err)) {
				count = read_from(s, 0, 0, NULL);
				assert_in_range(count, accepted, accepted + 1);
				spool_close(&s);
			} else {
				fail_msg("call %d: %s", (int)call, err.message);
			}
			assert_true(call < 2000);
		}
	}
}

struct reader {
	struct spool *spool;
	uint64_t count;
};

static void *read_while_writing(void *context)
{
	struct reader *reader = context;
	struct spool_cursor *c;
	struct error err;
	struct record r;
	struct arena mine;
	uint64_t lost, i = 0;

	if (!arena_init(&mine, 8 << 20, 1 << 20) || !spool_cursor_open(&c, reader->spool, &err) ||
		!spool_cursor_seek(c, 0, &lost, &err))
		abort();
	while (i < reader->count) {
		enum spool_next next = spool_cursor_next(c, &mine, &r, &err);

		if (next == SPOOL_RECORD) {
			if (payload_number(&r) != i++)
				abort();
			if (i % 100 == 0)
				spool_release(reader->spool, r.seq);
		}
		if (next == SPOOL_EMPTY || (next == SPOOL_ERROR && err.kind == ERROR_FULL)) {
			spool_cursor_drop_window(c);
			arena_reset(&mine);
		} else if (next == SPOOL_ERROR) {
			abort();
		}
	}
	spool_cursor_close(&c);
	arena_fini(&mine);
	return NULL;
}

static void spool_is_read_while_it_is_written(void **state)
{
	struct spool_options o = options();
	struct reader reader = {.count = 20000};
	pthread_t thread;

	(void)state;
	o.sync = SPOOL_SYNC_INTERVAL;
	o.retain_us = 0;
	o.bytes_max = 8 * SEGMENT;
	reader.spool = open_with(o);
	assert_int_equal(pthread_create(&thread, NULL, read_while_writing, &reader), 0);
	for (uint64_t i = 0; i < reader.count;) {
		enum spool_append result = append(reader.spool, i, NULL);

		assert_int_not_equal(result, SPOOL_FAILED);
		if (result == SPOOL_APPENDED)
			i++;
		else
			assert_true(spool_wait_for_space(reader.spool));
	}
	pthread_join(thread, NULL);
	spool_close(&reader.spool);
}

/* What the files say of themselves, against what is read of them; in a few reads each. */
static void folder_peek_says_what_reading_all_says(void **state)
{
	struct spool *s = open_with(options());
	struct folder_reader peeked, read;
	struct folder folder;
	struct record record;
	struct error err;
	uint64_t records = 0, calls;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		if (i == 530)
			spool_rotate(s);
		assert_int_equal(append(s, i, NULL), SPOOL_APPENDED);
	}
	spool_close(&s); /* its threads do calls of their own */
	assert_true(folder_list(&folder, dir, &err));
	assert_true(folder.count > 8);
	for (size_t i = 0; i + 1 < folder.count; i++) {
		calls = fs_calls();
		assert_true(folder_peek(&peeked, &folder, i, &arena));
		assert_true(fs_calls() - calls <= 12);
		assert_int_equal(
			folder_open(&read, &folder, i, (struct folder_events){NULL, NULL}, &err),
			FOLDER_OPENED);
		while (folder_next(&read, &arena, &record, &err) == SEGMENT_RECORD)
			;
		assert_int_equal(peeked.records, read.records);
		assert_int_equal(peeked.reader.last_seq, read.reader.last_seq);
		assert_int_equal(peeked.reader.offset, read.reader.offset);
		assert_int_equal(peeked.first_received_us, read.first_received_us);
		assert_int_equal(peeked.last_received_us, read.last_received_us);
		records += read.records;
		folder_close(&read);
		segment_reader_drop_window(&read.reader);
		arena_reset(&arena);
	}
	assert_true(records > 900);
	/* Nothing follows the last one: only reading tells. */
	assert_false(folder_peek(&peeked, &folder, folder.count - 1, &arena));
	folder_free(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(spool_records_come_back_in_order_across_segments),
		SPOOL_TEST(spool_after_proper_close_numbers_go_on),
		SPOOL_TEST(spool_that_is_cleared_keeps_no_record_and_its_numbers),
		SPOOL_TEST(spool_after_kill_nothing_is_missing_and_numbers_skip),
		SPOOL_TEST(spool_empty_segment_that_a_crash_left_has_no_records),
		SPOOL_TEST(spool_open_drops_torn_last_record),
		SPOOL_TEST(spool_damage_costs_only_the_damaged_record),
		SPOOL_TEST(spool_takes_no_number_from_within_a_torn_message),
		SPOOL_TEST(spool_full_waits_for_release),
		SPOOL_TEST(spool_keeps_released_records_for_the_retention_time),
		SPOOL_TEST(spool_seek_says_what_is_gone_and_refuses_the_future),
		SPOOL_TEST(spool_is_used_by_one_process),
		SPOOL_TEST(spool_refuses_what_it_does_not_know),
		SPOOL_TEST(folder_peek_says_what_reading_all_says),
		SPOOL_TEST(spool_opens_no_file_through_a_symbolic_link),
		SPOOL_TEST(spool_survives_every_failing_file_operation),
		SPOOL_TEST(spool_is_read_while_it_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
