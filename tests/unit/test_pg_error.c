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
		{"28P01", false, ERROR_REFUSED},   /* invalid_password */
		{"3D000", false, ERROR_REFUSED},   /* invalid_catalog_name */
		{"40P01", false, ERROR_TRANSIENT}, /* deadlock_detected */
		{"40001", false, ERROR_TRANSIENT}, /* serialization_failure */
		{"42501", false, ERROR_REFUSED},   /* insufficient_privilege */
		{"42P01", false, ERROR_ROUTE},     /* undefined_table */
		{"42703", false, ERROR_REFUSED},   /* undefined_column */
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
		enum error_kind kind;
	} cases[] = {
		{"connection to server at \"h\" (::1), port 5432 failed: FATAL:  28P01: password "
		 "authentication failed for user \"u\"\nLOCATION:  auth_failed, auth.c:335\n",
			"28P01", "refused", "password authentication failed for user \"u\"",
			ERROR_REFUSED},
		{"... failed: SCHWERWIEGEND:  57P03: das Datenbanksystem startet\nORT:  x\n",
			"57P03", "shutdown", "das Datenbanksystem startet", ERROR_TRANSIENT},
		{"connection to server at \"h\", port 1 failed: Connection refused\n", "",
			"connection",
			"connection to server at \"h\", port 1 failed: Connection refused",
			ERROR_TRANSIENT},
		{"connection to h (::1) failed: refused\n\tIs it running?\nconnection to h "
		 "(127.0.0.1) failed: refused\n\tIs it running?\n",
			"", "connection",
			"connection to h (::1) failed: refused. Is it running? connection to h "
			"(127.0.0.1) failed: refused. Is it running?",
			ERROR_TRANSIENT},
		{"", "", "connection", "", ERROR_TRANSIENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err;

		assert_false(pg_error_from_verbose(&err, cases[i].message));
		assert_int_equal(err.kind, cases[i].kind);
		assert_string_equal(err.sqlstate, cases[i].sqlstate);
		assert_string_equal(err.reason, cases[i].reason);
		assert_string_equal(err.message, cases[i].says);
	}
}

/* What a caller does next, beyond the kind. */
static void traits_follow_the_sqlstate(void **state)
{
	static const struct {
		const char *sqlstate;
		bool slow, too_much, passes, other;
	} cases[] = {
		{"08006", .passes = true},
		{"40P01", .passes = true},
		{"25006", .passes = true},
		{"55P03", .passes = true},
		{"57P01", .passes = true},
		{"57014", .slow = true},
		{"53200", .too_much = true},
		{"53400", .too_much = true},
		{"53300", .slow = false},
		{"58030", .slow = false},
		{"23505", .slow = false},
		{"42501", .slow = false},
		{"28P01", .slow = false},
		{"22003", .slow = false},
		{"XX000", .passes = true, .other = true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err;
		char text[64];

		snprintf(text, sizeof(text), "FATAL:  %s: words\nLOCATION:  x\n",
			cases[i].sqlstate);
		assert_false(pg_error_from_verbose(&err, text));
		assert_int_equal(err.slow, cases[i].slow);
		assert_int_equal(pg_error_is_too_much(&err), cases[i].too_much);
		assert_int_equal(pg_error_passes(&err), cases[i].passes);
		assert_int_equal(pg_error_is_other(&err), cases[i].other);
	}
}

static void a_lost_connection_passes_and_a_timeout_does_not(void **state)
{
	struct error err;

	(void)state;
	assert_false(pg_error_from_verbose(&err, "connection refused\n"));
	assert_true(pg_error_passes(&err));
	assert_false(pg_error_is_other(&err));
	assert_false(error_took_too_long(&err));
	assert_false(pg_error_passes(&err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pg_error_kind_follows_the_sqlstate),
		cmocka_unit_test(traits_follow_the_sqlstate),
		cmocka_unit_test(a_lost_connection_passes_and_a_timeout_does_not),
		cmocka_unit_test(refusals_of_a_connection_have_their_sqlstate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
