#include "unit.h"

#include "migrate/migrate_private.h"

/*
 * golang-migrate's GenerateAdvisoryLockId(database, schema, table): CRC-32 (IEEE) of
 * schema NUL table NUL database, times 1486364155. The first value is from its own test
 * (database/util_test.go); the others were computed with zlib.
 */
static void lock_ids_are_golang_migrates(void **state)
{
	(void)state;
	assert_int_equal(migrate_lock_id("schema_name_1", "schema_name_2", "database_name"),
		3743845847u);
	assert_int_equal(migrate_lock_id("ocpp", "schema_migrations", "ocpp"), 4121722999u);
	assert_int_equal(migrate_lock_id("ocpp", "schema_migrations", "/ocpp"), 555783840u);
	assert_int_equal(migrate_lock_id("public", "schema_migrations", "maeve"), 1886255459u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lock_ids_are_golang_migrates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
