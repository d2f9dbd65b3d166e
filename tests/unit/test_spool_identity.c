#include "unit.h"

#include "base/fs.h"
#include "spool/spool.h"

#include <unistd.h>

/* A copied log becomes one of its own, whatever interrupts that. */
enum { SEGMENT = 64 * 1024, RECORDS = 400 };

static char dir[128];
static struct arena arena;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_identity.XXXXXX");
	return mkdtemp(dir) == NULL || !arena_init(&arena, 16 << 20, 1 << 20);
}

static int teardown(void **state)
{
	char command[256];

	(void)state;
	fs_fail_at(0, NULL);
	arena_fini(&arena);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct spool *open_log(void)
{
	struct spool_options o = {.dir = dir,
		.sync = SPOOL_SYNC_NONE,
		.segment_bytes = SEGMENT,
		.bytes_max = 100 * SEGMENT,
		.retain_us = INT64_MAX};
	struct spool *s = NULL;
	struct error err;

	if (!spool_open(&s, &o, &err))
		fail_msg("%s", err.message);
	return s;
}

/* Several segments. */
static struct uuid make_log(void)
{
	struct spool *s = open_log();
	struct uuid identity = spool_identity(s);
	uint8_t payload[600] = {0};
	struct error err;

	for (uint64_t i = 0; i < RECORDS; i++) {
		struct record r = {.received_us = 1, .topic = SLICE("t"), .trace = SLICE("")};

		memcpy(payload, &i, sizeof(i));
		r.payload = slice_of(payload, sizeof(payload));
		assert_int_equal(spool_append(s, &r, true, &err), SPOOL_APPENDED);
		assert_true(spool_sync(s, &err));
	}
	spool_close(&s);
	return identity;
}

static bool renew(bool keep_session, struct uuid *out, struct error *err)
{
	struct spool_renewal renewal = {.keep_session = keep_session};
	bool done = spool_new_identity(dir, &renewal, err);

	*out = renewal.identity;
	return done;
}

static bool new_identity(const char *where, struct uuid *out, struct error *err)
{
	assert_ptr_equal(where, dir);
	return renew(false, out, err);
}

static void assert_whole(const struct uuid *identity)
{
	struct spool *s = open_log();
	struct uuid found = spool_identity(s);
	struct spool_cursor *c;
	struct error err;
	struct record r;
	uint64_t lost, count = 0;

	assert_memory_equal(&found, identity, sizeof(found));
	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, 0, &lost, &err));
	assert_int_equal(lost, 0);
	while (spool_cursor_next(c, &arena, &r, &err) == SPOOL_RECORD) {
		assert_memory_equal(r.payload.data, &count, sizeof(count));
		count++;
	}
	assert_int_equal(count, RECORDS);
	spool_cursor_close(&c);
	spool_close(&s);
	arena_reset(&arena);
}

static void test_records_stay(void **state)
{
	struct uuid before = make_log(), after;
	struct error err;

	(void)state;
	assert_true(new_identity(dir, &after, &err));
	assert_memory_not_equal(&before, &after, sizeof(after));
	assert_whole(&after);
}

static void test_interrupted_anywhere_it_goes_on(void **state)
{
	uint64_t failures = 0;
	struct uuid after;
	struct error err;

	(void)state;
	(void)make_log();
	for (uint64_t call = 1;; call++) {
		bool done;

		fs_fail_at(call, "EIO");
		done = new_identity(dir, &after, &err);
		fs_fail_at(0, NULL);
		if (done)
			break;
		failures++;
		assert_int_equal(err.kind, ERROR_FATAL);
		assert_true(new_identity(dir, &after, &err));
		assert_whole(&after);
	}
	assert_true(failures > 10);
	assert_whole(&after);
}

/* The worker is the same to the broker, whatever interrupted it, and after a second time. */
static void test_session_is_kept_if_asked(void **state)
{
	struct uuid before = make_log(), after, session;
	struct error err;
	struct spool *s;

	(void)state;
	for (int time = 0; time < 2; time++) {
		for (uint64_t call = 1;; call++) {
			fs_fail_at(call, "EIO");
			if (renew(true, &after, &err))
				break;
		}
		fs_fail_at(0, NULL);
		assert_whole(&after);
		s = open_log();
		session = spool_session(s);
		assert_memory_equal(&session, &before, sizeof(before));
		spool_close(&s);
	}
	assert_true(renew(false, &after, &err));
	s = open_log();
	session = spool_session(s);
	assert_memory_equal(&session, &after, sizeof(after));
	spool_close(&s);
}

static void test_half_made_log_does_not_start(void **state)
{
	struct spool_options o = {.dir = dir, .segment_bytes = SEGMENT, .bytes_max = SEGMENT};
	struct uuid after;
	struct spool *s;
	struct error err;

	(void)state;
	(void)make_log();
	fs_fail_at(16, "EIO");
	assert_false(new_identity(dir, &after, &err));
	fs_fail_at(0, NULL);
	assert_false(spool_open(&s, &o, &err));
	assert_string_equal(err.reason, "spool_identity");
}

static void test_log_in_use_is_left_alone(void **state)
{
	struct spool *s = open_log();
	struct uuid after;
	struct error err;

	(void)state;
	assert_false(new_identity(dir, &after, &err));
	assert_string_equal(err.reason, "spool_in_use");
	spool_close(&s);
}

static void test_folder_without_a_log_is_refused(void **state)
{
	struct uuid after;
	struct error err;

	(void)state;
	assert_false(new_identity(dir, &after, &err));
	assert_string_equal(err.reason, "no_spool");
}

/* What cannot be looked for may be there: without its identity the log would be another one, and
 * with a stale `closed`, its numbers would begin again. A link to itself cannot be followed, even
 * by root. */
static void test_file_that_cannot_be_looked_for_is_not_taken_for_absent(void **state)
{
	static const char *const names[] = {"identity", "closed", "spare.tmp"};
	struct spool_options o = {.dir = dir,
		.segment_bytes = SEGMENT,
		.bytes_max = 100 * SEGMENT,
		.retain_us = INT64_MAX};
	struct uuid identity = make_log();
	char path[256], aside[256];
	struct spool *s;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		snprintf(aside, sizeof(aside), "%s.aside", path);
		(void)rename(path, aside);
		assert_int_equal(symlink(names[i], path), 0);
		assert_false(spool_open(&s, &o, &err));
		assert_non_null(strstr(err.message, names[i]));
		assert_int_equal(unlink(path), 0);
		(void)rename(aside, path);
	}
	assert_whole(&identity);
}

#define IDENTITY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IDENTITY_TEST(test_records_stay),
		IDENTITY_TEST(test_interrupted_anywhere_it_goes_on),
		IDENTITY_TEST(test_session_is_kept_if_asked),
		IDENTITY_TEST(test_half_made_log_does_not_start),
		IDENTITY_TEST(test_log_in_use_is_left_alone),
		IDENTITY_TEST(test_folder_without_a_log_is_refused),
		IDENTITY_TEST(test_file_that_cannot_be_looked_for_is_not_taken_for_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
