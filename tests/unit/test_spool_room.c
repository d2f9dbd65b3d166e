#include "unit_spool.h"

#include "base/log.h"
#include "spool/tail.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

/*
 * A full disk. The log is in a file system of 1 MiB, mounted where only this process sees it; so
 * nothing is left of it, however the test ends.
 */
enum { DISK_SEGMENTS_MAX = 16, STARTS = 16 };

static bool mount_small(void)
{
	static bool alone;

	if (!alone) {
		int flags = CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);

		if (unshare(flags) != 0 ||
			mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
			print_message("skipped: a file system cannot be mounted here (not root)\n");
			return false;
		}
		alone = true;
	}
	return mount("none", dir, "tmpfs", 0, "size=1m") == 0;
}

static int unmount(void **state)
{
	(void)umount2(dir, MNT_DETACH);
	return teardown(state);
}

#define SMALL_DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, unmount)

static void fill_with(const char *name)
{
	static const uint8_t bytes[4096];
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
}

static uint64_t append_until_full(struct spool *s, uint64_t i)
{
	enum spool_append result;

	while ((result = append(s, i, NULL)) == SPOOL_APPENDED)
		i++;
	assert_int_equal(result, SPOOL_FULL);
	return i;
}

static void spool_on_a_full_disk_waits_and_goes_on(void **state)
{
	struct spool_stats stats;
	struct spool *s;
	uint64_t count, more;

	(void)state;
	if (!mount_small())
		skip();
	log_set_level(LOG_LEVEL_ERROR);
	s = open_with(options());
	count = append_until_full(s, 0);
	assert_true(count > 700);
	assert_int_equal(append(s, count, NULL), SPOOL_FULL);
	spool_stats(s, &stats);
	assert_true(stats.full && stats.disk_full && stats.oldest_seq == 1);
	assert_int_equal(read_from(s, 0, 0, NULL), count);
	/* What is stored goes, long before options.retain_us, and no more than is needed. */
	spool_release(s, count);
	assert_true(spool_wait_for_space(s));
	more = append_until_full(s, count);
	assert_true(more > count + 50);
	spool_stats(s, &stats);
	assert_true(stats.oldest_seq > 1 && stats.segments > DISK_SEGMENTS_MAX / 2);
	assert_int_equal(read_from(s, count, count, NULL), more - count);
	spool_close(&s);
}

/* Room that comes from elsewhere is found without being told. */
static void spool_goes_on_when_others_make_room(void **state)
{
	struct spool *s;
	uint64_t count;
	char path[256];

	(void)state;
	if (!mount_small())
		skip();
	s = open_with(options());
	for (count = 0; count < 100; count++)
		assert_int_equal(append(s, count, NULL), SPOOL_APPENDED);
	fill_with("of-somebody-else");
	count = append_until_full(s, count);
	snprintf(path, sizeof(path), "%s/of-somebody-else", dir);
	assert_int_equal(unlink(path), 0);
	assert_true(spool_wait_for_space(s));
	assert_int_equal(append(s, count, NULL), SPOOL_APPENDED);
	assert_int_equal(read_from(s, 0, 0, NULL), count + 1);
	spool_close(&s);
}

/* Killed again and again on a full disk: each start opens the log, and nothing is missing. */
static void spool_opens_on_a_full_disk_every_time(void **state)
{
	struct spool *s;
	uint64_t count;

	(void)state;
	if (!mount_small())
		skip();
	s = open_with(options());
	count = append_until_full(s, 0);
	spool_close(&s);
	fill_with("of-somebody-else");
	for (int start = 0; start < STARTS; start++) {
		count += append_until_killed(count, 100);
		fill_with("of-somebody-else");
		s = open_with(options());
		count = append_until_full(s, count);
		assert_int_equal(read_from(s, 0, 0, NULL), count);
		spool_close(&s);
	}
	s = open_with(options());
	spool_release(s, spool_last_seq(s));
	assert_true(spool_wait_for_space(s));
	assert_int_equal(append(s, count, NULL), SPOOL_APPENDED);
	spool_close(&s);
}

/* The mark of a proper end, and a new identity, are written although there is no room. */
static void spool_keeps_a_reserve_for_its_small_files(void **state)
{
	struct uuid before, after;
	struct spool *s;
	struct error err;
	uint64_t count, seq;

	(void)state;
	if (!mount_small())
		skip();
	s = open_with(options());
	before = spool_identity(s);
	count = append_until_full(s, 0);
	fill_with("of-somebody-else");
	spool_close(&s);
	fill_with("of-somebody-else");
	s = open_with(options());
	spool_release(s, count);
	assert_true(spool_wait_for_space(s));
	assert_int_equal(append(s, count, &seq), SPOOL_APPENDED);
	assert_int_equal(seq, count + 1); /* after a crash numbers would have been left out */
	append_until_full(s, count + 1);
	fill_with("of-somebody-else");
	spool_close(&s);
	fill_with("of-somebody-else");
	assert_true(new_identity(dir, &after, &err));
	assert_memory_not_equal(&before, &after, sizeof(before));
	s = open_with(options());
	spool_close(&s);
}

/* Half of a record, then no room: nothing was acknowledged, and the same is written again. */
static void spool_record_that_finds_no_room_is_written_again(void **state)
{
	struct spool *s = open_with(options());
	int full = 0;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	for (uint64_t i = 0; i < 40; i++) {
		enum spool_append result;

		fs_fail_at(i % 3 == 0 ? 1 : 0, "short");
		result = append(s, i, NULL);
		fs_fail_at(0, NULL);
		full += result == SPOOL_FULL;
		while (result == SPOOL_FULL && spool_wait_for_space(s))
			result = append(s, i, NULL);
		assert_int_equal(result, SPOOL_APPENDED);
		/* The keeper may have been the one that failed. */
		if (full > 1)
			fs_fail_at(0, NULL);
	}
	assert_true(full > 0);
	assert_int_equal(read_from(s, 0, 0, NULL), 40);
	spool_close(&s);
	s = open_with(options());
	assert_int_equal(read_from(s, 0, 0, NULL), 40);
	spool_close(&s);
}

/* Whoever waits for room must hear that there will be none: it would ask forever. */
static void spool_failure_of_the_keeper_ends_the_waiting(void **state)
{
	struct spool_options o = options();
	enum spool_append result;
	struct spool *s;
	uint64_t count;
	char path[256];

	(void)state;
	o.bytes_max = 4 * SEGMENT;
	s = open_with(o);
	count = append_until_full(s, 0);
	snprintf(path, sizeof(path), "%s/spare.tmp", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	spool_release(s, count);
	assert_true(spool_wait_for_space(s));
	result = append(s, count, NULL);
	assert_int_equal(result, SPOOL_FAILED);
	spool_close(&s);
}

/* There is no number of segments at which it stops. */
static void spool_has_as_many_segments_as_the_disk_holds(void **state)
{
	struct spool_options o = options();
	struct spool_stats stats;
	struct spool *s;
	uint64_t i = 0;

	(void)state;
	o.sync = SPOOL_SYNC_NONE;
	o.segment_bytes = 4096 + 800; /* one record each */
	o.bytes_max = INT64_MAX / 2;
	s = open_with(o);
	do {
		assert_int_equal(append(s, i++, NULL), SPOOL_APPENDED);
		spool_stats(s, &stats);
	} while (stats.segments < 65600);
	assert_int_equal(read_from(s, 65000, 65000, NULL), i - 65000);
	spool_close(&s);
	o.retain_us = 0;
	s = open_with(o);
	assert_int_equal(read_from(s, i - 5, i - 5, NULL), 5);
	spool_release(s, i);
	do {
		assert_int_equal(append(s, i++, NULL), SPOOL_APPENDED);
		spool_release(s, spool_last_seq(s));
		spool_stats(s, &stats);
	} while (stats.segments > 10);
	spool_close(&s);
}

/* A spare is ready, but its header finds no room (file systems that write elsewhere): whoever
 * waits for room does not ask without a pause. */
static void spool_segment_that_finds_no_room_is_begun_later(void **state)
{
	enum spool_append result = SPOOL_FULL;
	struct spool *s;
	uint64_t count = 0;
	struct stat file;
	int64_t begun_us;
	char path[256];
	int tries = 0;

	(void)state;
	if (!mount_small())
		skip();
	log_set_level(LOG_LEVEL_ERROR);
	s = open_with(options());
	assert_int_equal(append(s, count++, NULL), SPOOL_APPENDED);
	snprintf(path, sizeof(path), "%s/spare.tmp", dir);
	do {
		usleep(1000);
	} while (access(path, F_OK) != 0 || stat(path, &file) != 0 ||
		 file.st_blocks * 512 < SEGMENT);
	assert_int_equal(truncate(path, 0), 0);
	fill_with("of-somebody-else");
	count = append_until_full(s, count);
	begun_us = clock_mono_us();
	while (clock_mono_us() - begun_us < 2 * US_PER_SECOND) {
		assert_true(spool_wait_for_space(s));
		assert_int_equal(append(s, count, NULL), SPOOL_FULL);
		tries++;
	}
	assert_true(tries < 10);
	snprintf(path, sizeof(path), "%s/of-somebody-else", dir);
	assert_int_equal(unlink(path), 0);
	while (result == SPOOL_FULL && spool_wait_for_space(s))
		result = append(s, count, NULL);
	assert_int_equal(result, SPOOL_APPENDED);
	assert_int_equal(read_from(s, 0, 0, NULL), count + 1);
	spool_close(&s);
}

/* The end of the log is packed, and there is no room to unpack it. */
static void spool_tail_is_read_without_room(void **state)
{
	struct spool_options o = options();
	struct spool_tail *tail = NULL;
	struct spool_stats stats;
	struct spool *s;
	struct error err;
	uint64_t count;

	(void)state;
	if (!mount_small())
		skip();
	o.archive = true;
	s = open_with(o);
	for (count = 0; count < 300; count++)
		assert_int_equal(append(s, count, NULL), SPOOL_APPENDED);
	spool_release(s, count);
	do {
		usleep(1000);
		spool_stats(s, &stats);
	} while (stats.archived < stats.segments - 1);
	spool_close(&s);
	s = open_with(o);
	fill_with("of-somebody-else");
	if (!spool_tail_open(&tail, s, 1000, &err))
		fail_msg("%s", err.message);
	spool_tail_close(&tail);
	spool_close(&s);
}

/* Numbers that were left out after a crash are left out although there was no room to say so. */
static void spool_numbers_are_not_used_again_after_a_full_disk(void **state)
{
	struct spool *s;
	uint64_t count, seq;
	char path[256];

	(void)state;
	if (!mount_small())
		skip();
	log_set_level(LOG_LEVEL_ERROR);
	count = append_until_killed(0, 100);
	snprintf(path, sizeof(path), "%s/spare.tmp", dir);
	(void)unlink(path);
	fill_with("of-somebody-else");
	s = open_with(options());
	assert_int_equal(append(s, count, NULL), SPOOL_FULL);
	spool_close(&s);
	snprintf(path, sizeof(path), "%s/of-somebody-else", dir);
	assert_int_equal(unlink(path), 0);
	s = open_with(options());
	assert_int_equal(append(s, count, &seq), SPOOL_APPENDED);
	assert_true(seq > UINT64_C(1) << 32);
	spool_close(&s);
}

/* A start that finds one segment and no room for another, nor for what is left of its own. */
static struct spool *open_full_with_one_segment(uint64_t *count_out)
{
	struct spool *s = open_with(options());
	struct stat st;
	char path[256];

	for (*count_out = 0; *count_out < 80; (*count_out)++)
		assert_int_equal(append(s, *count_out, NULL), SPOOL_APPENDED);
	spool_close(&s);
	snprintf(path, sizeof(path), "%s/spare.tmp", dir);
	(void)unlink(path);
	fill_with("of-somebody-else");
	snprintf(path, sizeof(path), "%s/of-somebody-else", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - SEGMENT / 2), 0);
	s = open_with(options());
	assert_int_equal(append(s, *count_out, NULL), SPOOL_FULL);
	assert_int_equal(read_from(s, 0, 0, NULL), *count_out);
	return s;
}

/* The database has all of the only segment: it is let go, and the numbers go on. */
static void spool_lets_the_last_segment_go_if_the_room_is_needed(void **state)
{
	struct spool *s;
	uint64_t count, seq;

	(void)state;
	if (!mount_small())
		skip();
	log_set_level(LOG_LEVEL_ERROR);
	s = open_full_with_one_segment(&count);
	spool_release(s, count);
	assert_true(spool_wait_for_space(s));
	assert_int_equal(append(s, count, &seq), SPOOL_APPENDED);
	assert_int_equal(seq, count + 1);
	assert_int_equal(read_from(s, count, count, NULL), 1);
	spool_close(&s);
	s = open_with(options());
	assert_int_equal(read_from(s, count, count, NULL), 1);
	spool_close(&s);
}

/* Also if the process is killed when that segment is gone, and before there is another. */
static void spool_numbers_outlive_their_last_segment(void **state)
{
	struct spool_stats stats;
	struct spool *s;
	uint64_t count, seq;
	char path[256];
	int status;
	pid_t child;

	(void)state;
	if (!mount_small())
		skip();
	log_set_level(LOG_LEVEL_ERROR);
	child = fork();
	if (child == 0) {
		s = open_full_with_one_segment(&count);
		fill_with("of-somebody-else"); /* what it lets go is not enough */
		spool_release(s, count);
		do
			spool_stats(s, &stats);
		while (stats.segments > 0);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	snprintf(path, sizeof(path), "%s/of-somebody-else", dir);
	assert_int_equal(unlink(path), 0);
	s = open_with(options());
	assert_int_equal(append(s, 80, &seq), SPOOL_APPENDED);
	assert_true(seq > UINT64_C(1) << 32); /* some are left out after a crash */
	assert_int_equal(read_from(s, 80, 80, NULL), 1);
	spool_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(spool_record_that_finds_no_room_is_written_again),
		SPOOL_TEST(spool_failure_of_the_keeper_ends_the_waiting),
		SPOOL_TEST(spool_has_as_many_segments_as_the_disk_holds),
		SMALL_DISK_TEST(spool_on_a_full_disk_waits_and_goes_on),
		SMALL_DISK_TEST(spool_goes_on_when_others_make_room),
		SMALL_DISK_TEST(spool_opens_on_a_full_disk_every_time),
		SMALL_DISK_TEST(spool_keeps_a_reserve_for_its_small_files),
		SMALL_DISK_TEST(spool_segment_that_finds_no_room_is_begun_later),
		SMALL_DISK_TEST(spool_tail_is_read_without_room),
		SMALL_DISK_TEST(spool_numbers_are_not_used_again_after_a_full_disk),
		SMALL_DISK_TEST(spool_lets_the_last_segment_go_if_the_room_is_needed),
		SMALL_DISK_TEST(spool_numbers_outlive_their_last_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
