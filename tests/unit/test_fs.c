#include "unit.h"

#include "base/fs.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_fs.XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void fs_write_and_read_back(void **state)
{
	struct error err;
	char buffer[16];
	int fd = fs_open(path_of("a"), FS_CREATE, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fs_pwrite(fd, slice_from_cstr("hello"), 3, "a", &err));
	assert_int_equal(fs_size(fd, "a", &err), 8);
	assert_int_equal(fs_pread(fd, buffer, sizeof(buffer), 3, "a", &err), 5);
	assert_memory_equal(buffer, "hello", 5);
	assert_true(fs_sync_data(fd, "a", &err));
	assert_true(fs_close(&fd, "a", &err));
	assert_int_equal(fd, -1);
	assert_true(fs_close(&fd, "a", &err));
	assert_int_equal(fs_open(path_of("a"), FS_CREATE, &err), -1);
	assert_non_null(strstr(err.message, "File exists"));
}

static void fs_replace_file_leaves_old_or_new(void **state)
{
	struct error err;

	(void)state;
	assert_true(fs_replace_file(path_of("b"), slice_from_cstr("old"), &err));
	assert_true(fs_replace_file(path_of("b"), slice_from_cstr("newer"), &err));
	for (uint64_t call = 1;; call++) {
		size_t size;
		char *text;
		bool ok;

		fs_fail_at(call, "short");
		ok = fs_replace_file(path_of("b"), slice_from_cstr("newest"), &err);
		fs_fail_at(0, NULL);
		text = fs_read_file(path_of("b"), 100, &size, &err);
		assert_non_null(text);
		if (ok) {
			assert_string_equal(text, "newest");
			free(text);
			break;
		}
		assert_true(err.kind == ERROR_FATAL || fs_is_full(&err));
		assert_true(strcmp(text, "newer") == 0 || strcmp(text, "newest") == 0);
		free(text);
	}
}

static void fs_make_dir_makes_parents(void **state)
{
	struct error err;
	struct stat st;

	(void)state;
	assert_true(fs_make_dir(path_of("x/y/z"), &err));
	assert_true(fs_make_dir(path_of("x/y/z"), &err));
	assert_int_equal(stat(path_of("x/y/z"), &st), 0);
	assert_false(fs_make_dir(path_of("a/under-a-file"), &err));
	assert_false(fs_make_dir("", &err));
}

static void fs_read_file_refuses_what_is_too_large(void **state)
{
	struct error err;
	size_t size;

	(void)state;
	assert_null(fs_read_file(path_of("a"), 3, &size, &err));
	assert_string_equal(err.reason, "file_too_large");
	assert_null(fs_read_file(path_of("not-there"), 3, &size, &err));
}

static void fs_pipe_that_is_named_is_not_waited_for(void **state)
{
	struct error err;
	size_t size;

	(void)state;
	assert_int_equal(mkfifo(path_of("named-pipe"), 0600), 0);
	assert_null(fs_read_file(path_of("named-pipe"), 10, &size, &err));
	assert_non_null(strstr(err.message, "is not a regular file"));
	assert_int_equal(fs_digest(path_of("named-pipe")), 0);
}

/* Whoever may write to the folder must not choose what we write to, or make us wait. */
static void fs_files_of_our_own_are_no_links_and_no_pipes(void **state)
{
	static const enum fs_mode own[] = {FS_OWN, FS_UPDATE, FS_LOCK, FS_CREATE};
	struct error err;
	size_t size;
	char *text;
	int fd;

	(void)state;
	assert_true(fs_replace_file(path_of("target"), slice_from_cstr("kept"), &err));
	assert_int_equal(symlink("target", path_of("link")), 0);
	assert_int_equal(symlink("not-there-either", path_of("dangling")), 0);
	assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		assert_int_equal(fs_open(path_of("link"), own[i], &err), -1);
		assert_string_equal(err.reason, "disk");
		assert_int_equal(fs_open(path_of("dangling"), own[i], &err), -1);
		assert_int_equal(fs_open(path_of("pipe"), own[i], &err), -1);
		assert_int_equal(fs_open(path_of(""), own[i], &err), -1);
	}
	assert_int_equal(fs_open(path_of("link"), FS_UPDATE, &err), -1);
	assert_non_null(strstr(err.message, "is a symbolic link"));
	assert_int_not_equal(access(path_of("not-there-either"), F_OK), 0);
	assert_null(fs_read_own_file(path_of("link"), 10, &size, &err));
	text = fs_read_file(path_of("link"), 10, &size, &err);
	assert_string_equal(text, "kept");
	free(text);
	fd = fs_open(path_of("target"), FS_UPDATE, &err);
	assert_true(fd >= 0 && fs_close(&fd, "target", &err));
}

static void fs_rename_new_leaves_what_is_there(void **state)
{
	struct error err;
	size_t size;
	bool taken;
	char *text, one[128];

	(void)state;
	snprintf(one, sizeof(one), "%s", path_of("r1"));
	assert_true(fs_replace_file(path_of("r1"), slice_from_cstr("one"), &err));
	assert_true(fs_replace_file(path_of("r2"), slice_from_cstr("two"), &err));
	assert_true(fs_rename_new(one, path_of("r2"), &taken, &err));
	assert_true(taken);
	text = fs_read_file(path_of("r2"), 10, &size, &err);
	assert_string_equal(text, "two");
	free(text);
	assert_true(fs_rename_new(one, path_of("r3"), &taken, &err));
	assert_false(taken);
	assert_int_not_equal(access(one, F_OK), 0);
	assert_false(fs_rename_new(one, path_of("r4"), &taken, &err));
	assert_false(taken);
}

static void fs_exists_tells_absence_from_failure(void **state)
{
	struct error err;
	bool there, ok, has_failpoints;

	(void)state;
	assert_true(fs_replace_file(path_of("e"), slice_from_cstr("x"), &err));
	assert_true(fs_exists(path_of("e"), &there, &err) && there);
	assert_true(fs_exists(path_of("not-there"), &there, &err) && !there);
	assert_true(fs_exists(path_of("e/below"), &there, &err) && !there);
	fs_fail_at(1, "EIO");
	ok = fs_exists(path_of("e"), &there, &err);
	has_failpoints = fs_calls() > 0;
	fs_fail_at(0, NULL);
	assert_int_equal(ok, !has_failpoints);
	assert_int_equal(there, !has_failpoints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fs_write_and_read_back),
		cmocka_unit_test(fs_replace_file_leaves_old_or_new),
		cmocka_unit_test(fs_rename_new_leaves_what_is_there),
		cmocka_unit_test(fs_exists_tells_absence_from_failure),
		cmocka_unit_test(fs_make_dir_makes_parents),
		cmocka_unit_test(fs_read_file_refuses_what_is_too_large),
		cmocka_unit_test(fs_pipe_that_is_named_is_not_waited_for),
		cmocka_unit_test(fs_files_of_our_own_are_no_links_and_no_pipes),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
