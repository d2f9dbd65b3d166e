#include "unit.h"

#include "pg/pg_error.h"

static void pg_error_kind_follows_the_sqlstate(void **state)
{
	static const struct {
		const char *sqlstate;
		bool constraint;
		enum error_kind kind;
	} cases[] = {
		{"08006", false, ERROR_TRANSIENT}, /* connection_failure */
		{"22021", false, ERROR_POISON},    /* character_not_in_repertoire */
		{"22003", false, ERROR_POISON},    /* numeric_value_out_of_range */
		{"22P05", false, ERROR_POISON},    /* untranslatable_character */
		{"23502", false, ERROR_POISON},    /* not_null_violation */
		{"23505", true, ERROR_TRANSIENT},  /* unique_violation */
		{"23514", true, ERROR_POISON},     /* check_violation of a named constraint */
		{"23514", false, ERROR_POISON},    /* a trigger that raises it */
		{"25006", false, ERROR_TRANSIENT}, /* read_only_sql_transaction */
		{"28P01", false, ERROR_TRANSIENT}, /* invalid_password */
		{"3D000", false, ERROR_TRANSIENT}, /* invalid_catalog_name */
		{"40P01", false, ERROR_TRANSIENT}, /* deadlock_detected */
		{"40001", false, ERROR_TRANSIENT}, /* serialization_failure */
		{"42501", false, ERROR_TRANSIENT}, /* insufficient_privilege */
		{"42P01", false, ERROR_ROUTE},     /* undefined_table */
		{"42703", false, ERROR_TRANSIENT}, /* undefined_column */
		{"53100", false, ERROR_TRANSIENT}, /* disk_full */
		{"53300", false, ERROR_TRANSIENT}, /* too_many_connections */
		{"55P03", false, ERROR_TRANSIENT}, /* lock_not_available */
		{"21000", false, ERROR_POISON},    /* cardinality_violation */
		{"53200", false, ERROR_TRANSIENT}, /* out_of_memory */
		{"57014", false, ERROR_TRANSIENT}, /* query_canceled */
		{"P0001", false, ERROR_POISON},    /* raise_exception */
		{"57P01", false, ERROR_TRANSIENT}, /* admin_shutdown */
		{"58030", false, ERROR_TRANSIENT}, /* io_error */
		{"XX000", false, ERROR_TRANSIENT}, /* internal_error */
		{"0A000", false, ERROR_TRANSIENT}, /* feature_not_supported */
		{"OC001", false, ERROR_POISON},    /* ensure_partition(): detached */
		{"OC002", false, ERROR_ROUTE},     /* check_attached() */
		{"OC003", false, ERROR_TRANSIENT}, /* forbid_loading() */
		{"ZZZZZ", false, ERROR_TRANSIENT}, /* unknown */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(pg_error_kind(cases[i].sqlstate, cases[i].constraint, false),
			cases[i].kind);
	assert_int_equal(pg_error_kind("23514", true, true), ERROR_POISON);
	/* violates partition constraint */
	assert_int_equal(pg_error_kind("23514", false, true), ERROR_ROUTE);
}

static void refusals_of_a_connection_have_their_sqlstate(void **state)
{
	static const struct {
		const char *message;
		const char *sqlstate;
		const char *reason;
		const char *says;
	} cases[] = {
		{"connection to server at \"h\" (::1), port 5432 failed: FATAL:  28P01: password "
		 "authentication failed for user \"u\"\nLOCATION:  auth_failed, auth.c:335\n",
			"28P01", "refused", "password authentication failed for user \"u\""},
		{"... failed: SCHWERWIEGEND:  57P03: das Datenbanksystem startet\nORT:  x\n",
			"57P03", "shutdown", "das Datenbanksystem startet"},
		{"connection to server at \"h\", port 1 failed: Connection refused\n", "",
			"connection",
			"connection to server at \"h\", port 1 failed: Connection refused"},
		{"", "", "connection", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err;

		assert_false(pg_error_from_verbose(&err, cases[i].message));
		assert_int_equal(err.kind, ERROR_TRANSIENT);
		assert_string_equal(err.sqlstate, cases[i].sqlstate);
		assert_string_equal(err.reason, cases[i].reason);
		assert_string_equal(err.message, cases[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pg_error_kind_follows_the_sqlstate),
		cmocka_unit_test(refusals_of_a_connection_have_their_sqlstate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
