#include "unit.h"

#include "base/uuid.h"

static void uuid_text_and_back(void **state)
{
	struct uuid a, b;
	char text[UUID_TEXT_BYTES];

	(void)state;
	assert_true(uuid_new(&a));
	uuid_format(&a, text);
	assert_int_equal(strlen(text), 36);
	assert_int_equal(text[14], '4');
	assert_true(uuid_from_text(text, &b));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(uuid_new(&b));
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_false(uuid_from_text("", &b));
	assert_false(uuid_from_text("00000000-0000-0000-0000-00000000000", &b));
	assert_false(uuid_from_text("00000000-0000-0000-0000-00000000000g", &b));
	assert_false(uuid_from_text("00000000x0000-0000-0000-000000000000", &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uuid_text_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
