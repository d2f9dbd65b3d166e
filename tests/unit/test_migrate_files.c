#include "unit.h"

#include "migrate/migrate_files.h"

static void names_give_version_direction_and_name(void **state)
{
	static const struct {
		const char *text;
		int64_t version;
		const char *name;
		bool up;
	} cases[] = {
		{"000001_partitions.up.sql", 1, "000001_partitions", true},
		{"000012_a.b_c.down.sql", 12, "000012_a.b_c", false},
		{"20260131120000_x.up.sql", 20260131120000, "20260131120000_x", true},
		{"9223372036854775807_x.up.sql", INT64_MAX, "9223372036854775807_x", true},
		{"7_.up.sql", 7, "7_", true}, /* golang-migrate takes it */
	};
	struct migration_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(migration_name_parse(cases[i].text, &n));
		assert_int_equal(n.version, cases[i].version);
		assert_slice_equal(n.name, cases[i].name);
		assert_int_equal(n.up, cases[i].up);
	}
}

static void other_names_are_refused(void **state)
{
	static const char *const names[] = {"", "x.up.sql", "_x.up.sql", "0_x.up.sql",
		"000000_x.up.sql", "1.up.sql", "1-x.up.sql", "1_x.sql", "1_x.up.sql~", "1_x.UP.sql",
		"-1_x.up.sql", "1_up.sql", "1.down.sql", "9223372036854775808_x.up.sql",
		"99999999999999999999999_x.up.sql", "1_x.up.sql.down"};
	struct migration_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (migration_name_parse(names[i], &n))
			fail_msg("\"%s\" was taken for a migration", names[i]);
	}
}

static void compiled_in_migrations_are_paired_and_count_from_one(void **state)
{
	struct migration_files files;
	struct error err;

	(void)state;
	assert_true(migration_files_load(&files, NULL, "", &err));
	assert_true(files.compiled_in);
	assert_true(files.count >= 5);
	for (size_t i = 0; i < files.count; i++) {
		assert_int_equal(files.items[i].version, i + 1);
		assert_non_null(files.items[i].up.text);
		assert_non_null(files.items[i].down.text);
		assert_int_equal(strlen(files.items[i].up.text), files.items[i].up.size);
		assert_int_equal(migration_files_find(&files, (int64_t)i + 1), i);
	}
	assert_int_equal(migration_files_find(&files, 0), files.count);
	migration_files_free(&files);
	assert_int_equal(files.count, 0);
}

static void file_urls_are_folders(void **state)
{
	(void)state;
	assert_string_equal(migration_folder("file://./store/migrations"), "./store/migrations");
	assert_string_equal(migration_folder("file:///srv/migrations"), "/srv/migrations");
	assert_string_equal(migration_folder("migrations"), "migrations");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_give_version_direction_and_name),
		cmocka_unit_test(other_names_are_refused),
		cmocka_unit_test(compiled_in_migrations_are_paired_and_count_from_one),
		cmocka_unit_test(file_urls_are_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
