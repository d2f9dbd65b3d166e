#include "unit.h"

#include "base/clock.h"
#include "pg/conninfo.h"

#include <libpq-fe.h>

static struct pg_pool_settings settings;
static char rest[PG_CONNINFO_BYTES_MAX];
static struct error err;

static bool split(const char *text)
{
	settings = pg_pool_settings_default();
	err.message[0] = '\0';
	return pg_conninfo_split(text, rest, &settings, &err);
}

static void defaults_are_25_5_30s_10min(void **state)
{
	(void)state;
	assert_true(split(""));
	assert_string_equal(rest, "");
	assert_int_equal(settings.conns_max, 25);
	assert_int_equal(settings.conns_min, 5);
	assert_int_equal(settings.connect_timeout_us, 30 * US_PER_SECOND);
	assert_int_equal(settings.idle_timeout_us, 600 * US_PER_SECOND);
}

static void settings_of_the_pool_are_taken_out_of_both_forms(void **state)
{
	static const struct {
		const char *text;
		const char *rest;
	} cases[] = {
		{"postgres://u:p@h:1/d?pool_max_conns=7&sslmode=require&pool_min_conns=2",
			"postgres://u:p@h:1/d?sslmode=require"},
		{"postgresql://h/d?pool_max_conns=7&pool_min_conns=2", "postgresql://h/d"},
		{"postgres://h/d?application_name=a&pool_max_conns=7&pool_min_conns=2&port=1",
			"postgres://h/d?application_name=a&port=1"},
		{" host=h pool_max_conns = 7 password='a b\\'c pool_max_conns=9' "
		 "pool_min_conns='2'",
			"host=h password='a b\\'c pool_max_conns=9'"},
		{"password=a\\ b pool_min_conns=2 pool_max_conns=7 dbname = d",
			"password=a\\ b dbname = d"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *why = NULL;
		PQconninfoOption *parsed;

		assert_true(split(cases[i].text));
		assert_string_equal(rest, cases[i].rest);
		assert_int_equal(settings.conns_max, 7);
		assert_int_equal(settings.conns_min, 2);
		parsed = PQconninfoParse(rest, &why); /* libpq takes what is left */
		assert_non_null(parsed);
		PQconninfoFree(parsed);
	}
}

static void durations_have_units_or_are_seconds(void **state)
{
	(void)state;
	assert_true(split("connect_timeout=500ms idle_timeout=1h"));
	assert_int_equal(settings.connect_timeout_us, 500 * US_PER_MS);
	assert_int_equal(settings.idle_timeout_us, 3600 * US_PER_SECOND);
	assert_true(split("connect_timeout=5 pool_max_conn_idle_time=2m"));
	assert_int_equal(settings.connect_timeout_us, 5 * US_PER_SECOND);
	assert_int_equal(settings.idle_timeout_us, 120 * US_PER_SECOND);
}

static void what_cannot_be_meant_is_refused_by_name(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{"pool_max_conns=many", "\"pool_max_conns\" has no value that fits"},
		{"pool_max_conns=-1", "\"pool_max_conns\" has no value that fits"},
		{"pool_max_conns=", "\"pool_max_conns\" has no value that fits"},
		{"pool_max_conns=99999999999999999999", "\"pool_max_conns\""},
		{"postgres://h?pool_max_conns", "\"pool_max_conns\" has no value that fits"},
		{"connect_timeout=5 years", "missing \"=\""},
		{"idle_timeout=5years", "\"idle_timeout\" has no value that fits"},
		{"pool_size=5", "there is no setting \"pool_size\""},
		{"postgres://h/d?pool_size=5", "there is no setting \"pool_size\""},
		{"password='never closed", "unterminated"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(split(cases[i].text));
		assert_int_equal(err.kind, ERROR_FATAL);
		assert_non_null(strstr(err.message, cases[i].says));
	}
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	assert_true(split("pool_max_conns=4"));
	assert_false(pg_pool_settings_check(&settings, &err)); /* 5 at least, 4 at most */
	assert_true(split("pool_max_conns=0 pool_min_conns=0"));
	assert_false(pg_pool_settings_check(&settings, &err));
	assert_true(split("idle_timeout=0"));
	assert_false(pg_pool_settings_check(&settings, &err));
	assert_true(split("pool_max_conns=4 pool_min_conns=0"));
	assert_true(pg_pool_settings_check(&settings, &err));
}

static void string_beyond_the_limit_is_refused(void **state)
{
	static char text[PG_CONNINFO_BYTES_MAX + 1];

	(void)state;
	memset(text, ' ', PG_CONNINFO_BYTES_MAX);
	assert_false(split(text));
	text[PG_CONNINFO_BYTES_MAX - 1] = '\0';
	assert_true(split(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_25_5_30s_10min),
		cmocka_unit_test(settings_of_the_pool_are_taken_out_of_both_forms),
		cmocka_unit_test(durations_have_units_or_are_seconds),
		cmocka_unit_test(what_cannot_be_meant_is_refused_by_name),
		cmocka_unit_test(settings_that_contradict_each_other_are_refused),
		cmocka_unit_test(string_beyond_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
