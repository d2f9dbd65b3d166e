#include "unit.h"

#include "base/digest.h"

/* Values of xxhsum -H3 and -H2. They are in databases and logs, where a change would be a loss of
 * identity. */
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

static void digest128_never_changes(void **state)
{
	static const uint8_t wanted[] = {0xa6, 0x99, 0x03, 0x53, 0x54, 0xfc, 0x0b, 0xeb, 0xd4, 0x40,
		0x52, 0xf5, 0xa3, 0x48, 0x54, 0x25};
	uint8_t bytes[300], out[DIGEST128_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	digest128(bytes, sizeof(bytes), out);
	assert_memory_equal(out, wanted, sizeof(wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest64_never_changes),
		cmocka_unit_test(digest128_never_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
