#include "cases.h"

/* ---- how they log in ---- */

static void station_auth_is_set_found_and_deleted(void **state)
{
	struct ocpp_station_auth a = {"A-1", 2, "c2VjcmV0", true, AT(0)};
	const struct ocpp_station_auth *found;

	(void)state;
	must_not_find(ocpp_station_auth_lookup(store, "A-1", &found, &err));
	must(ocpp_station_auth_set(store, &a, 1, &err));
	must_find(ocpp_station_auth_lookup(store, "A-1", &found, &err));
	assert_int_equal(found->security_profile, 2);
	assert_string_equal(found->base64_sha256_password, "c2VjcmV0");
	assert_true(found->invalid_username_allowed);
	ocpp_free(found);
	must(ocpp_station_auth_delete(store, "A-1", 0, &err));
	must(ocpp_station_auth_delete(store, "A-1", 0, &err));
	must_not_find(ocpp_station_auth_lookup(store, "A-1", &found, &err));
}

static void empty_password_is_none(void **state)
{
	struct ocpp_station_auth a = {"A-2", 0, "", false, 0};
	const struct ocpp_station_auth *found;

	(void)state;
	must(ocpp_station_auth_set(store, &a, 1, &err));
	must_find(ocpp_station_auth_lookup(store, "A-2", &found, &err));
	assert_null(found->base64_sha256_password);
	ocpp_free(found);
}

static void station_auths_are_listed_by_station(void **state)
{
	struct ocpp_station_auth a[] = {{"B-2", 0, NULL, false, 0}, {"B-1", 1, NULL, false, 0}};
	const struct ocpp_station_auth *some;
	size_t count;

	(void)state;
	must(ocpp_station_auth_set(store, a, 2, &err));
	must(ocpp_station_auth_list(store, &(struct ocpp_page){"B-", 2}, &some, &count, &err));
	assert_int_equal(count, 2);
	assert_string_equal(some[0].charge_station_id, "B-1");
	assert_string_equal(some[1].charge_station_id, "B-2");
	ocpp_free(some);
}

/* ---- settings ---- */

static void settings_are_merged_per_key_not_replaced(void **state)
{
	struct ocpp_setting first[] = {{"S-1", "HeartbeatInterval", "10", "Pending", 0, AT(0)},
		{"S-1", "Other", "1", "Pending", AT(9), AT(0)}};
	struct ocpp_setting second = {"S-1", "HeartbeatInterval", "20", "Accepted", 0, AT(1)};
	const struct ocpp_setting *found;
	size_t count;

	(void)state;
	must(ocpp_setting_set(store, first, 2, &err));
	must(ocpp_setting_set(store, &second, 1, &err));
	must(ocpp_setting_set(store, first, 2, &err)); /* late: older for one, equal for one */
	must_find(ocpp_setting_lookup(store, "S-1", &found, &count, &err));
	assert_int_equal(count, 2);
	assert_string_equal(found[0].key, "HeartbeatInterval");
	assert_string_equal(found[0].value, "20");
	assert_string_equal(found[0].status, "Accepted");
	assert_int_equal(found[0].send_after, 0);
	assert_int_equal(found[0].last_updated, AT(1));
	assert_string_equal(found[1].key, "Other");
	assert_string_equal(found[1].value, "1");
	assert_int_equal(found[1].send_after, AT(9));
	ocpp_free(found);
}

static void settings_of_a_station_that_is_not_registered_are_kept(void **state)
{
	struct ocpp_setting s = {"S-UNREGISTERED", "k", "v", "Pending", 0, 0};
	const struct ocpp_setting *found;
	size_t count;

	(void)state;
	must(ocpp_setting_set(store, &s, 1, &err));
	must_find(ocpp_setting_lookup(store, s.charge_station_id, &found, &count, &err));
	assert_true(found->last_updated > 0);
	ocpp_free(found);
}

static void deleted_settings_stay_deleted_but_for_newer_keys(void **state)
{
	struct ocpp_setting s[] = {{"S-2", "old", "1", "Pending", 0, AT(0)},
		{"S-2", "new", "1", "Pending", 0, AT(9)}};
	const struct ocpp_setting *found;
	size_t count;

	(void)state;
	must_not_find(ocpp_setting_lookup(store, "S-2", &found, &count, &err));
	must(ocpp_setting_set(store, s, 2, &err));
	must(ocpp_setting_delete(store, "S-2", AT(5), &err));
	must(ocpp_setting_delete(store, "S-2", AT(5), &err));
	must(ocpp_setting_set(store, s, 1, &err)); /* late */
	must_find(ocpp_setting_lookup(store, "S-2", &found, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(found[0].key, "new");
	ocpp_free(found);
	must(ocpp_setting_delete(store, "S-2", 0, &err));
	must_not_find(ocpp_setting_lookup(store, "S-2", &found, &count, &err));
	must(ocpp_setting_set(store, s, 2, &err));
	must_not_find(ocpp_setting_lookup(store, "S-2", &found, &count, &err));
	s[0].last_updated = 0;
	must(ocpp_setting_set(store, s, 1, &err));
	must_find(ocpp_setting_lookup(store, "S-2", &found, &count, &err));
	assert_int_equal(count, 1);
	ocpp_free(found);
}

static void settings_are_listed_by_pages_of_stations(void **state)
{
	struct ocpp_setting s[] = {{"SL-1", "a", "1", "Pending", 0, 0},
		{"SL-1", "b", "2", "Pending", 0, 0}, {"SL-2", "a", "3", "Pending", 0, 0},
		{"SL-3", "a", "4", "Pending", 0, 0}};
	const struct ocpp_setting *some;
	size_t count;

	(void)state;
	must(ocpp_setting_set(store, s, 4, &err));
	must(ocpp_setting_list(store, &(struct ocpp_page){"SL-", 2}, &some, &count, &err));
	assert_int_equal(count, 3); /* two stations */
	assert_string_equal(some[0].value, "1");
	assert_string_equal(some[1].value, "2");
	assert_string_equal(some[2].value, "3");
	ocpp_free(some);
	must(ocpp_setting_list(store, &(struct ocpp_page){"SL-2", 1}, &some, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(some[0].value, "4");
	ocpp_free(some);
}

/* ---- what they are ---- */

static void runtime_details_are_set_as_a_whole(void **state)
{
	struct ocpp_runtime r = {"R-1", "1.6", "Vendor", "Model", "1234", "1.0", AT(0)};
	const struct ocpp_runtime *found;
	size_t count;

	(void)state;
	must_not_find(ocpp_runtime_lookup(store, "R-1", &found, &err));
	must(ocpp_runtime_set(store, &r, 1, &err));
	must_find(ocpp_runtime_lookup(store, "R-1", &found, &err));
	assert_string_equal(found->ocpp_version, "1.6");
	assert_string_equal(found->vendor, "Vendor");
	assert_string_equal(found->model, "Model");
	assert_string_equal(found->serial_number, "1234");
	assert_string_equal(found->firmware_version, "1.0");
	ocpp_free(found);
	r = (struct ocpp_runtime){"R-1", "2.0.1", .last_updated = AT(1)};
	must(ocpp_runtime_set(store, &r, 1, &err));
	must(ocpp_runtime_list(store, &(struct ocpp_page){"R-0", 1}, &found, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(found->ocpp_version, "2.0.1");
	assert_null(found->vendor);
	ocpp_free(found);
	must(ocpp_runtime_delete(store, "R-1", 0, &err));
	must_not_find(ocpp_runtime_lookup(store, "R-1", &found, &err));
}

/* ---- certificates to install ---- */

static void install_certificates_are_merged_not_deleted_first(void **state)
{
	struct ocpp_install_certificate a[] = {
		{"I-1", "one", "V2GRootCertificate", "PEM 1", "Pending", AT(1), AT(1)},
		{"I-1", "two", "V2GRootCertificate", "PEM 2", "Pending", AT(1), AT(2)}};
	struct ocpp_install_certificate update = {"I-1", "one", "V2GRootCertificate", "PEM 1",
		"Accepted", AT(1), AT(3)};
	const struct ocpp_install_certificate *found;
	size_t count;

	(void)state;
	must_not_find(ocpp_install_certificate_lookup(store, "I-1", &found, &count, &err));
	must(ocpp_install_certificate_set(store, a, 2, &err));
	must(ocpp_install_certificate_set(store, &update, 1, &err));
	must_find(ocpp_install_certificate_lookup(store, "I-1", &found, &count, &err));
	assert_int_equal(count, 2);
	assert_string_equal(found[0].certificate_id, "one"); /* newest first */
	assert_string_equal(found[0].status, "Accepted");
	assert_string_equal(found[1].certificate_id, "two");
	ocpp_free(found);
}

static void send_after_of_a_certificate_may_be_null(void **state)
{
	struct ocpp_install_certificate c = {"I-2", "one", "EVCC", "PEM", "Pending", 0, 0};
	const struct ocpp_install_certificate *found;
	size_t count;

	(void)state;
	must(ocpp_install_certificate_set(store, &c, 1, &err));
	must_find(ocpp_install_certificate_lookup(store, "I-2", &found, &count, &err));
	assert_int_equal(found->send_after, 0);
	ocpp_free(found);
}

static void install_certificates_list_has_all_of_each_station_in_order(void **state)
{
	struct ocpp_install_certificate c[] = {{"IL-2", "a", "EVCC", "PEM", "Pending", 0, AT(1)},
		{"IL-1", "a", "EVCC", "PEM", "Pending", 0, AT(1)},
		{"IL-1", "b", "EVCC", "PEM", "Pending", 0, AT(2)},
		{"IL-3", "a", "EVCC", "PEM", "Pending", 0, AT(1)}};
	const struct ocpp_install_certificate *some;
	size_t count;

	(void)state;
	must(ocpp_install_certificate_set(store, c, 4, &err));
	must(ocpp_install_certificate_list(store, &(struct ocpp_page){"IL-", 2}, &some, &count,
		&err));
	assert_int_equal(count, 3);
	assert_string_equal(some[0].charge_station_id, "IL-1");
	assert_string_equal(some[0].certificate_id, "b");
	assert_string_equal(some[1].certificate_id, "a");
	assert_string_equal(some[2].charge_station_id, "IL-2");
	ocpp_free(some);
}

static void install_certificates_are_deleted_one_by_one_or_all(void **state)
{
	struct ocpp_install_certificate c[] = {{"I-3", "a", "EVCC", "PEM", "Pending", 0, AT(1)},
		{"I-3", "b", "EVCC", "PEM", "Pending", 0, AT(1)},
		{"I-3", "c", "EVCC", "PEM", "Pending", 0, AT(9)}};
	const struct ocpp_install_certificate *found;
	size_t count;

	(void)state;
	must(ocpp_install_certificate_set(store, c, 3, &err));
	must(ocpp_install_certificate_delete(store, "I-3", "a", AT(5), &err));
	must(ocpp_install_certificate_set(store, c, 1, &err)); /* late */
	must_find(ocpp_install_certificate_lookup(store, "I-3", &found, &count, &err));
	assert_int_equal(count, 2);
	ocpp_free(found);
	must(ocpp_install_certificate_delete(store, "I-3", NULL, AT(5), &err));
	must_find(ocpp_install_certificate_lookup(store, "I-3", &found, &count, &err));
	assert_int_equal(count, 1); /* said later than the delete */
	ocpp_free(found);
	must(ocpp_install_certificate_delete(store, "I-3", NULL, 0, &err));
	must_not_find(ocpp_install_certificate_lookup(store, "I-3", &found, &count, &err));
}

/* ---- messages to ask for ---- */

static void trigger_is_one_per_station_and_send_after_may_be_null(void **state)
{
	struct ocpp_trigger t = {"TR-1", "BootNotification", "Pending", OCPP_NONE, 0, AT(0)};
	const struct ocpp_trigger *found;
	size_t count;

	(void)state;
	must_not_find(ocpp_trigger_lookup(store, "TR-1", &found, &err));
	must(ocpp_trigger_set(store, &t, 1, &err));
	must_find(ocpp_trigger_lookup(store, "TR-1", &found, &err));
	assert_string_equal(found->message_type, "BootNotification");
	assert_int_equal(found->connector_id, OCPP_NONE);
	assert_int_equal(found->send_after, 0);
	ocpp_free(found);
	t = (struct ocpp_trigger){"TR-1", "StatusNotification", "Accepted", 0, AT(7), AT(1)};
	must(ocpp_trigger_set(store, &t, 1, &err));
	must(ocpp_trigger_list(store, &(struct ocpp_page){"TR-", 5}, &found, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(found->message_type, "StatusNotification");
	assert_int_equal(found->connector_id, 0);
	assert_int_equal(found->send_after, AT(7));
	ocpp_free(found);
	must(ocpp_trigger_delete(store, "TR-1", 0, &err));
	must(ocpp_trigger_delete(store, "TR-1", 0, &err));
	must_not_find(ocpp_trigger_lookup(store, "TR-1", &found, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(station_auth_is_set_found_and_deleted),
		cmocka_unit_test(empty_password_is_none),
		cmocka_unit_test(station_auths_are_listed_by_station),
		cmocka_unit_test(settings_are_merged_per_key_not_replaced),
		cmocka_unit_test(settings_of_a_station_that_is_not_registered_are_kept),
		cmocka_unit_test(deleted_settings_stay_deleted_but_for_newer_keys),
		cmocka_unit_test(settings_are_listed_by_pages_of_stations),
		cmocka_unit_test(runtime_details_are_set_as_a_whole),
		cmocka_unit_test(install_certificates_are_merged_not_deleted_first),
		cmocka_unit_test(send_after_of_a_certificate_may_be_null),
		cmocka_unit_test(install_certificates_list_has_all_of_each_station_in_order),
		cmocka_unit_test(install_certificates_are_deleted_one_by_one_or_all),
		cmocka_unit_test(trigger_is_one_per_station_and_send_after_may_be_null),
	};

	return cmocka_run_group_tests(tests, store_cases_open, store_cases_close);
}
