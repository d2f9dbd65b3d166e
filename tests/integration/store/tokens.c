#include "cases.h"

static struct ocpp_token token(const char *uid)
{
	return (struct ocpp_token){
		.uid = uid,
		.type = "RFID",
		.country_code = "GB",
		.party_id = "TWK",
		.contract_id = "GBTWK012345678V",
		.issuer = "Thoughtworks",
		.valid = true,
		.cache_mode = "ALWAYS",
	};
}

static bool valid_now(const char *uid)
{
	const struct ocpp_token *found;
	bool valid;

	must_find(ocpp_token_lookup(store, uid, &found, &err));
	valid = found->valid;
	ocpp_free(found);
	return valid;
}

static void set_token_is_found_with_every_field(void **state)
{
	struct ocpp_token t = token("T-ALL");
	const struct ocpp_token *found;

	(void)state;
	t.visual_number = "card 1";
	t.group_id = "group";
	t.language_code = "en";
	t.last_updated = AT(0) + 123456;
	must(ocpp_token_set(store, &t, 1, &err));
	must_find(ocpp_token_lookup(store, "T-ALL", &found, &err));
	assert_string_equal(found->uid, t.uid);
	assert_string_equal(found->type, t.type);
	assert_string_equal(found->country_code, t.country_code);
	assert_string_equal(found->party_id, t.party_id);
	assert_string_equal(found->contract_id, t.contract_id);
	assert_string_equal(found->visual_number, "card 1");
	assert_string_equal(found->issuer, t.issuer);
	assert_string_equal(found->group_id, "group");
	assert_true(found->valid);
	assert_string_equal(found->language_code, "en");
	assert_string_equal(found->cache_mode, t.cache_mode);
	assert_int_equal(found->last_updated, AT(0) + 123456);
	ocpp_free(found);
}

static void what_was_left_out_of_a_token_is_null(void **state)
{
	struct ocpp_token t = token("T-NULL");
	const struct ocpp_token *found;

	(void)state;
	must(ocpp_token_set(store, &t, 1, &err));
	must_find(ocpp_token_lookup(store, "T-NULL", &found, &err));
	assert_null(found->visual_number);
	assert_null(found->group_id);
	assert_null(found->language_code);
	assert_true(found->last_updated > AT(0)); /* filled in */
	ocpp_free(found);
}

static void absent_token_is_not_found_and_no_error(void **state)
{
	const struct ocpp_token *found;

	(void)state;
	must_not_find(ocpp_token_lookup(store, "T-NOBODY", &found, &err));
	assert_null(found);
}

static void invalid_token_is_found_too(void **state)
{
	struct ocpp_token t = token("T-INVALID");

	(void)state;
	t.valid = false;
	must(ocpp_token_set(store, &t, 1, &err));
	assert_false(valid_now("T-INVALID"));
}

static void country_code_of_three_letters_is_accepted(void **state)
{
	struct ocpp_token t = token("T-GBR");
	const struct ocpp_token *found;

	(void)state;
	t.country_code = "GBR";
	must(ocpp_token_set(store, &t, 1, &err));
	must_find(ocpp_token_lookup(store, "T-GBR", &found, &err));
	assert_string_equal(found->country_code, "GBR");
	ocpp_free(found);
}

static void newest_set_counts_in_whatever_order(void **state)
{
	struct ocpp_token older = token("T-ORDER"), newer = token("T-ORDER");

	(void)state;
	older.last_updated = AT(0);
	newer.last_updated = AT(1);
	newer.valid = false;
	must(ocpp_token_set(store, &newer, 1, &err));
	must(ocpp_token_set(store, &older, 1, &err));
	assert_false(valid_now("T-ORDER"));
}

static void old_set_does_not_bring_a_deleted_token_back(void **state)
{
	struct ocpp_token t = token("T-GONE");
	const struct ocpp_token *found;

	(void)state;
	must(ocpp_token_delete(store, "T-GONE", AT(5), &err)); /* came first */
	t.last_updated = AT(4);
	must(ocpp_token_set(store, &t, 1, &err));
	must_not_find(ocpp_token_lookup(store, "T-GONE", &found, &err));
	t.last_updated = AT(5); /* a tie goes to delete */
	must(ocpp_token_set(store, &t, 1, &err));
	must_not_find(ocpp_token_lookup(store, "T-GONE", &found, &err));
	t.last_updated = AT(6);
	must(ocpp_token_set(store, &t, 1, &err));
	must_find(ocpp_token_lookup(store, "T-GONE", &found, &err));
	ocpp_free(found);
	must(ocpp_token_delete(store, "T-GONE", AT(5), &err)); /* again, late */
	must_find(ocpp_token_lookup(store, "T-GONE", &found, &err));
	ocpp_free(found);
	must(ocpp_token_delete(store, "T-GONE", AT(6), &err));
	must_not_find(ocpp_token_lookup(store, "T-GONE", &found, &err));
}

static void call_without_a_time_counts_even_against_a_time_in_the_future(void **state)
{
	struct ocpp_token t = token("T-FUTURE");
	const struct ocpp_token *found;

	(void)state;
	t.last_updated = clock_wall_us() + 3600 * US_PER_SECOND; /* a partner's clock */
	must(ocpp_token_set(store, &t, 1, &err));
	t.last_updated = 0;
	t.valid = false;
	must(ocpp_token_set(store, &t, 1, &err));
	assert_false(valid_now("T-FUTURE"));
	must(ocpp_token_delete(store, "T-FUTURE", 0, &err));
	must_not_find(ocpp_token_lookup(store, "T-FUTURE", &found, &err));
	must(ocpp_token_set(store, &t, 1, &err));
	assert_false(valid_now("T-FUTURE"));
}

static void of_one_key_twice_in_a_call_the_newest_counts(void **state)
{
	struct ocpp_token t[] = {token("T-TWICE"), token("T-TWICE"), token("T-TWICE")};

	(void)state;
	t[0].last_updated = AT(1);
	t[1].last_updated = AT(2);
	t[1].valid = false;
	t[2].last_updated = AT(0);
	must(ocpp_token_set(store, t, 3, &err));
	assert_false(valid_now("T-TWICE"));
	must(ocpp_token_set(store, t, 0, &err)); /* nothing is fine */
}

static void list_is_paged_by_key_without_gap_or_repeat(void **state)
{
	enum { COUNT = 25 };
	struct ocpp_token t[COUNT];
	char uids[COUNT][16], last[16] = "P-";
	struct ocpp_page page = {.after = last, .limit = 7};
	int seen = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(uids[i], sizeof(uids[i]), "P-%02d", i);
		t[i] = token(uids[i]);
	}
	must(ocpp_token_set(store, t, COUNT, &err));
	must(ocpp_token_delete(store, "P-03", 0, &err));
	for (;;) {
		const struct ocpp_token *some;
		size_t count;

		must(ocpp_token_list(store, &page, &some, &count, &err));
		assert_true(count <= 7);
		for (size_t i = 0; i < count && some[i].uid[0] == 'P'; i++) {
			seen += seen == 3; /* deleted */
			assert_string_equal(some[i].uid, uids[seen++]);
		}
		if (count > 0)
			snprintf(last, sizeof(last), "%s", some[count - 1].uid);
		ocpp_free(some);
		if (count < 7)
			break;
	}
	assert_int_equal(seen, COUNT);
}

static void time_of_1970_is_older_than_all_and_no_missing_one(void **state)
{
	struct ocpp_token t = token("T-1970");
	const struct ocpp_token *found;

	(void)state;
	t.last_updated = OCPP_TIME_EPOCH;
	must(ocpp_token_set(store, &t, 1, &err));
	must_find(ocpp_token_lookup(store, "T-1970", &found, &err));
	assert_int_equal(found->last_updated, OCPP_TIME_EPOCH);
	ocpp_free(found);
	t.last_updated = 1;
	must(ocpp_token_set(store, &t, 1, &err));
	must(ocpp_token_delete(store, "T-1970", OCPP_TIME_EPOCH, &err));
	must_find(ocpp_token_lookup(store, "T-1970", &found, &err));
	assert_int_equal(found->last_updated, 1);
	ocpp_free(found);
	must(ocpp_token_delete(store, "T-1970", 0, &err));
	must_not_find(ocpp_token_lookup(store, "T-1970", &found, &err));
}

static void what_is_wrong_with_a_row_is_said(void **state)
{
	struct ocpp_token t = token(NULL);
	const struct ocpp_token *found;
	size_t count;

	(void)state;
	assert_false(ocpp_token_set(store, &t, 1, &err));
	assert_int_equal(err.kind, ERROR_POISON);
	assert_string_equal(err.message, "uid is missing");
	t = token("\xff\xfe");
	assert_false(ocpp_token_set(store, &t, 1, &err));
	assert_int_equal(err.kind, ERROR_POISON);
	assert_false(
		ocpp_token_list(store, &(struct ocpp_page){.limit = -1}, &found, &count, &err));
	assert_false(ocpp_token_list(store, &(struct ocpp_page){.limit = OCPP_ROWS_MAX + 1}, &found,
		&count, &err));
	assert_false(ocpp_token_set(store, &t, OCPP_ROWS_MAX + 1, &err));
	assert_int_equal(err.kind, ERROR_POISON);
	must_not_find(ocpp_token_lookup(store, "T-NOBODY", &found, &err)); /* as before */
}

static void forgetting_lets_go_of_what_was_deleted_before(void **state)
{
	struct ocpp_token t = token("T-FORGET");
	const struct ocpp_token *found;

	(void)state;
	must(ocpp_token_delete(store, "T-FORGET", AT(5), &err));
	must(ocpp_token_delete(store, "T-KEEP", AT(20), &err));
	must(ocpp_store_forget(store, AT(10), &err));
	t.last_updated = AT(4);
	must(ocpp_token_set(store, &t, 1, &err));
	must_find(ocpp_token_lookup(store, "T-FORGET", &found, &err));
	ocpp_free(found);
	t.uid = "T-KEEP";
	must(ocpp_token_set(store, &t, 1, &err));
	must_not_find(ocpp_token_lookup(store, "T-KEEP", &found, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_token_is_found_with_every_field),
		cmocka_unit_test(what_was_left_out_of_a_token_is_null),
		cmocka_unit_test(absent_token_is_not_found_and_no_error),
		cmocka_unit_test(invalid_token_is_found_too),
		cmocka_unit_test(country_code_of_three_letters_is_accepted),
		cmocka_unit_test(newest_set_counts_in_whatever_order),
		cmocka_unit_test(old_set_does_not_bring_a_deleted_token_back),
		cmocka_unit_test(call_without_a_time_counts_even_against_a_time_in_the_future),
		cmocka_unit_test(of_one_key_twice_in_a_call_the_newest_counts),
		cmocka_unit_test(list_is_paged_by_key_without_gap_or_repeat),
		cmocka_unit_test(time_of_1970_is_older_than_all_and_no_missing_one),
		cmocka_unit_test(what_is_wrong_with_a_row_is_said),
		cmocka_unit_test(forgetting_lets_go_of_what_was_deleted_before),
	};

	return cmocka_run_group_tests(tests, store_cases_open, store_cases_close);
}
