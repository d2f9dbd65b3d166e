#include "unit.h"

#include "base/digest.h"

/* Values of xxhsum -H3. They stand in databases and logs: a change is a loss of identity there. */
static void digest64_never_changes(void **state)
{
	uint8_t bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_true(digest64("", 0) == UINT64_C(0x2d06800538d394c2));
	assert_true(digest64("ocpp", 4) == UINT64_C(0xe50682ca9663d972));
	assert_true(digest64(bytes, 100) == UINT64_C(0x004e4f921a64bd1c));
	assert_true(digest64(bytes, 300) == UINT64_C(0xd44052f5a3485425));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest64_never_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
