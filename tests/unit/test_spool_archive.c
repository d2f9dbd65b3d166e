#include "unit_spool.h"

#include "base/log.h"
#include "spool/archive.h"

#include <dirent.h>

static struct spool_options archive_options(void)
{
	struct spool_options o = options();

	o.archive = true;
	return o;
}

static void append_all(struct spool *s, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		assert_int_equal(append(s, i, NULL), SPOOL_APPENDED);
}

/* ctest ends this if it never comes true. */
static void wait_archived(struct spool *s, uint32_t at_least)
{
	struct spool_stats stats;

	do {
		usleep(1000);
		spool_stats(s, &stats);
	} while (stats.archived < at_least);
}

static uint32_t files(const char *end)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	uint32_t count = 0;

	while ((e = readdir(d)) != NULL) {
		size_t size = strlen(e->d_name);

		count += size > strlen(end) && strcmp(e->d_name + size - strlen(end), end) == 0;
	}
	closedir(d);
	return count;
}

static void spool_packs_what_is_released_and_reads_it_again(void **state)
{
	struct spool *s = open_with(archive_options());
	struct spool_stats before, after;

	(void)state;
	append_all(s, 0, 500);
	spool_stats(s, &before);
	assert_int_equal(before.archived, 0);
	spool_release(s, 500);
	wait_archived(s, before.segments - 1);
	spool_stats(s, &after);
	assert_int_equal(after.segments, before.segments);
	assert_true(after.bytes < before.bytes / 2);
	assert_int_equal(files(".seg.zst"), before.segments - 1);
	/* The database went back: all of it is read again. */
	assert_int_equal(read_from(s, 0, 0, NULL), 500);
	assert_int_equal(read_from(s, 333, 333, NULL), 167);
	append_all(s, 500, 100);
	assert_int_equal(read_from(s, 0, 0, NULL), 600);
	spool_close(&s);
	assert_int_equal(files(".tmp"), 1); /* the spare */
}

static void spool_with_archives_is_opened_again(void **state)
{
	struct spool *s = open_with(archive_options());
	struct spool_stats stats;
	struct spool_options o = archive_options();
	struct uuid identity;
	struct error err;

	(void)state;
	append_all(s, 0, 500);
	spool_release(s, 500);
	wait_archived(s, 4);
	spool_close(&s);
	assert_true(new_identity(dir, &identity, &err));
	o.archive = false; /* what is packed is read all the same */
	s = open_with(o);
	spool_stats(s, &stats);
	assert_in_range(stats.archived, 4, 10);
	assert_int_equal(stats.last_seq, 500);
	assert_int_equal(stats.oldest_seq, 1);
	assert_int_equal(read_from(s, 0, 0, NULL), 500);
	assert_int_equal(read_from(s, 77, 77, NULL), 423);
	spool_close(&s);
}

static void spool_with_only_archives_left_goes_on(void **state)
{
	struct spool *s = open_with(archive_options());
	char command[256];
	uint64_t seq;

	(void)state;
	append_all(s, 0, 500);
	spool_release(s, 500);
	wait_archived(s, 5);
	spool_close(&s);
	snprintf(command, sizeof(command), "rm -f %s/*.seg %s/closed", dir, dir);
	assert_int_equal(system(command), 0);
	s = open_with(archive_options());
	assert_in_range(spool_last_seq(s), 400, 499);
	append(s, 500, &seq);
	assert_true(seq > 500);
	spool_close(&s);
}

static void spool_prefers_the_segment_to_its_archive(void **state)
{
	struct spool *s = open_with(options());
	char name[ARCHIVE_NAME_BYTES], command[512];
	struct spool_stats stats;

	(void)state;
	append_all(s, 0, 500);
	spool_close(&s);
	archive_name(1, name);
	snprintf(command, sizeof(command), "echo half > %s/%s; echo half > %s/archive.tmp", dir,
		name, dir);
	assert_int_equal(system(command), 0);
	s = open_with(options());
	spool_stats(s, &stats);
	assert_int_equal(stats.archived, 0);
	assert_int_equal(read_from(s, 0, 0, NULL), 500);
	assert_int_equal(files(".seg.zst"), 0);
	assert_int_equal(files("archive.tmp"), 0);
	spool_close(&s);
}

static void spool_removes_archives_after_the_retention_time(void **state)
{
	struct spool_options o = archive_options();
	struct spool *s = open_with(o);
	struct spool_stats stats;

	(void)state;
	append_all(s, 0, 500);
	spool_release(s, 500);
	wait_archived(s, 5);
	spool_close(&s);
	o.retain_us = 0;
	s = open_with(o);
	spool_release(s, 500);
	do {
		usleep(1000);
		spool_stats(s, &stats);
	} while (stats.segments > 1);
	spool_close(&s);
	assert_int_equal(files(".zst"), 0);
}

static void spool_reads_on_behind_a_damaged_archive(void **state)
{
	struct spool *s = open_with(archive_options());
	char path[256], name[ARCHIVE_NAME_BYTES];
	struct spool_cursor *c;
	uint64_t lost, count = 0, previous = 0;
	struct record r;
	struct error err;
	uint8_t byte = 0;
	int fd;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	append_all(s, 0, 500);
	spool_release(s, 500);
	wait_archived(s, 5);
	archive_name(1, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = fs_open(path, FS_UPDATE, &err);
	assert_true(fs_pwrite(fd, slice_of(&byte, 1), fs_size(fd, path, &err) / 2, path, &err));
	close(fd);
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, 0, &lost, &err));
	while (spool_cursor_next(c, &arena, &r, &err) == SPOOL_RECORD) {
		assert_true(r.seq > previous);
		previous = r.seq;
		count++;
	}
	assert_int_equal(previous, 500);
	assert_in_range(count, 390, 499); /* its one frame is lost */
	assert_int_equal(files(".zst.bad"), 1);
	spool_cursor_close(&c);
	spool_close(&s);
}

/* As spool_survives_every_failing_file_operation, with the archiver at work. */
static void spool_survives_failing_file_operations_of_the_archiver(void **state)
{
	static const char *const faults[] = {"EIO", "short"};

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	/* Packing the one segment that is full takes some 30 operations. */
	for (uint64_t call = 1; call < 45; call++) {
		struct spool *s = NULL;
		struct spool_stats stats;

		remove_dir(dir);
		s = open_with(archive_options());
		append_all(s, 0, 150);
		do {
			usleep(1000);
			spool_stats(s, &stats);
		} while (stats.bytes < 3 * SEGMENT); /* the spare is there: the keeper rests */
		fs_fail_at(call, faults[call % 2]);
		spool_release(s, 150);
		do {
			usleep(1000);
			spool_stats(s, &stats);
		} while (stats.archived == 0 && fs_calls() < call);
		spool_close(&s);
		fs_fail_at(0, NULL);
		s = open_with(archive_options());
		assert_int_equal(read_from(s, 0, 0, NULL), 150);
		spool_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(spool_packs_what_is_released_and_reads_it_again),
		SPOOL_TEST(spool_with_archives_is_opened_again),
		SPOOL_TEST(spool_with_only_archives_left_goes_on),
		SPOOL_TEST(spool_prefers_the_segment_to_its_archive),
		SPOOL_TEST(spool_removes_archives_after_the_retention_time),
		SPOOL_TEST(spool_reads_on_behind_a_damaged_archive),
		SPOOL_TEST(spool_survives_failing_file_operations_of_the_archiver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
