#include "unit.h"

#include "replay/report.h"

#include <string.h>

static const char *const names[] = {
#define DEAD_LETTERED(name) #name,
#define SKIPPED(name) #name,
#define REASON(name, about)
#include "base/reasons.def"
#undef DEAD_LETTERED
#undef SKIPPED
#undef REASON
};

static void every_reason_is_counted_as_itself(void **state)
{
	struct replay_reports reports = {.count = 2};
	struct replay_report sum;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		replay_reasons_add(&reports.jobs[0].dead_reasons, names[i], i + 1);
		replay_reasons_add(&reports.jobs[1].dead_reasons, names[i], 100);
	}
	sum = replay_reports_sum(&reports);
	assert_int_equal(sum.dead_reasons.count, sizeof(names) / sizeof(*names));
	for (size_t i = 0; i < sum.dead_reasons.count; i++) {
		assert_string_equal(sum.dead_reasons.items[i].label, names[i]);
		assert_int_equal(sum.dead_reasons.items[i].count, i + 101);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_is_counted_as_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
