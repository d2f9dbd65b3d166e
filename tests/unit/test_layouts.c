#include "unit.h"

#include "rows/layouts.h"

static const struct slice first = SLICE("cs001"), second = SLICE("cs002");

static void a_station_adds_only_so_many(void **state)
{
	struct layouts *l;
	struct error err;

	(void)state;
	assert_true(layouts_new(&l, 2, &err));
	assert_false(layouts_is_known(l, 1));
	assert_int_equal(layouts_admit(l, 1, first), LAYOUT_NEW);
	assert_true(layouts_is_known(l, 1));
	assert_int_equal(layouts_admit(l, 1, first), LAYOUT_KNOWN);
	assert_int_equal(layouts_admit(l, 2, first), LAYOUT_NEW);
	assert_int_equal(layouts_admit(l, 3, first), LAYOUT_REFUSED);
	assert_int_equal(layouts_known(l), 2);
	/* What is known costs nothing, and one station's limit is not another's. */
	assert_int_equal(layouts_admit(l, 2, first), LAYOUT_KNOWN);
	assert_int_equal(layouts_admit(l, 3, second), LAYOUT_NEW);
	assert_int_equal(layouts_admit(l, 3, first), LAYOUT_KNOWN);
	layouts_free(&l);
	assert_null(l);
}

static void what_the_database_has_counts_for_its_first_station(void **state)
{
	struct layouts *l;
	struct error err;

	(void)state;
	assert_true(layouts_new(&l, 2, &err));
	layouts_learn(l, 1, first);
	layouts_learn(l, 1, first);
	assert_int_equal(layouts_known(l), 1);
	assert_int_equal(layouts_admit(l, 1, second), LAYOUT_KNOWN);
	assert_int_equal(layouts_admit(l, 2, first), LAYOUT_NEW);
	assert_int_equal(layouts_admit(l, 3, first), LAYOUT_REFUSED);
	layouts_free(&l);
}

/* The id is known, and the text is another one. */
static void another_text_with_the_same_id_is_told_apart(void **state)
{
	const struct slice text = SLICE("[[\"a\"]]"), other = SLICE("[[\"b\"]]");
	struct layouts *l;
	struct error err;

	(void)state;
	assert_true(layouts_new(&l, 2, &err));
	layouts_learn(l, 1, first);
	assert_int_equal(layouts_compare(l, 1, text), LAYOUT_UNSEEN);
	layouts_note_text(l, 1, text);
	assert_int_equal(layouts_compare(l, 1, text), LAYOUT_SAME);
	assert_true(layouts_is_known(l, 1));
	assert_int_equal(layouts_compare(l, 1, other), LAYOUT_OTHER);
	assert_int_equal(layouts_others(l), 1);
	assert_false(layouts_is_known(l, 1)); /* from here on each text is looked at */
	/* The database has the other one. */
	assert_false(layouts_differ(l, 1, other));
	assert_int_equal(layouts_compare(l, 1, other), LAYOUT_SAME);
	assert_int_equal(layouts_compare(l, 1, text), LAYOUT_OTHER);
	layouts_free(&l);
}

/* A batch is rolled back whenever a row of it was there already. */
static void forgetting_is_no_fault_of_a_station(void **state)
{
	struct layouts *l;
	struct error err;

	(void)state;
	assert_true(layouts_new(&l, 2, &err));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(layouts_admit(l, 1, first), LAYOUT_NEW);
		assert_int_equal(layouts_admit(l, 1, second), LAYOUT_KNOWN);
		assert_int_equal(layouts_known(l), 1);
		layouts_forget(l);
		assert_int_equal(layouts_known(l), 0);
		assert_false(layouts_is_known(l, 1));
		layouts_learn(l, 1, first); /* after another connection */
		layouts_forget(l);
	}
	/* The limit is still there. */
	assert_int_equal(layouts_admit(l, 2, first), LAYOUT_NEW);
	assert_int_equal(layouts_admit(l, 3, first), LAYOUT_REFUSED);
	assert_int_equal(layouts_admit(l, 1, first), LAYOUT_NEW);
	layouts_free(&l);
}

/* Ids that all want one slot must stay apart. */
static void ids_that_collide_are_told_apart(void **state)
{
	struct layouts *l;
	struct error err;

	(void)state;
	assert_true(layouts_new(&l, 1000, &err));
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(layouts_admit(l, (i << 32) + 5, first), LAYOUT_NEW);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(layouts_admit(l, (i << 32) + 5, first), LAYOUT_KNOWN);
	assert_int_equal(layouts_known(l), 100);
	layouts_free(&l);
}

static void the_table_never_fills_up(void **state)
{
	struct layouts *l;
	struct error err;

	(void)state;
	assert_true(layouts_new(&l, UINT32_MAX, &err));
	for (uint64_t id = 1; id <= 200000; id++)
		assert_int_equal(layouts_admit(l, id, first), LAYOUT_NEW);
	assert_true(layouts_known(l) > 0 && layouts_known(l) <= 1 << 16);
	assert_int_equal(layouts_admit(l, 200000, first), LAYOUT_KNOWN);
	layouts_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_station_adds_only_so_many),
		cmocka_unit_test(what_the_database_has_counts_for_its_first_station),
		cmocka_unit_test(another_text_with_the_same_id_is_told_apart),
		cmocka_unit_test(forgetting_is_no_fault_of_a_station),
		cmocka_unit_test(ids_that_collide_are_told_apart),
		cmocka_unit_test(the_table_never_fills_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
