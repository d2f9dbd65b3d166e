#include "cases.h"

/* Made with openssl req -x509 -newkey ec; the hash by openssl dgst -sha256 of its DER form. */
static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
			  "MIIBdTCCARugAwIBAgIUYSINlGqS4lZask1m0o5yw1DJiB0wCgYIKoZIzj0EAwIw\n"
			  "DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMxNjU4MTNaGA8yMTI2MTAzMDE2NTgx\n"
			  "M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABG0M\n"
			  "CplHD8RFwJdBSH1SXyYkbSanthW3wFVWysdbJDI+d6lkQm9lcqK/QVTEj2UOAdmo\n"
			  "WS9vYPWxnylkISSHOwqjUzBRMB0GA1UdDgQWBBSRVX+1PXYHYiye2sccZFpJ9gqt\n"
			  "pDAfBgNVHSMEGDAWgBSRVX+1PXYHYiye2sccZFpJ9gqtpDAPBgNVHRMBAf8EBTAD\n"
			  "AQH/MAoGCCqGSM49BAMCA0gAMEUCIQDs43e1lpFLgY23txdwuMiDTWMDjiwakivi\n"
			  "pEoP3n7plwIgbdc3YkJSY/SYtZMOFQDahHIBYbR/1xGDRkgUF82E5LQ=\n"
			  "-----END CERTIFICATE-----\n";
static const char hash[] = "bKIZMN0EaujJv7FgjmXTZ-KDLNEKm0ynKWQKdJq-2l8";

/* ---- certificates ---- */

static void certificate_is_keyed_by_the_digest_of_its_der_form(void **state)
{
	struct ocpp_certificate c = {.pem = pem};
	const struct ocpp_certificate *found;

	(void)state;
	must_not_find(ocpp_certificate_lookup(store, hash, &found, &err));
	must(ocpp_certificate_set(store, &c, 1, &err));
	must_find(ocpp_certificate_lookup(store, hash, &found, &err));
	assert_string_equal(found->certificate_hash, hash);
	assert_string_equal(found->certificate_type, "PEM");
	assert_string_equal(found->pem, pem);
	ocpp_free(found);
}

static void certificate_has_one_key_however_its_pem_is_wrapped(void **state)
{
	char other[sizeof(pem) + 64], got[OCPP_CERTIFICATE_HASH_BYTES];

	(void)state;
	snprintf(other, sizeof(other), "some text before it\n\n%s\n\n", pem);
	must(ocpp_certificate_hash(other, got, &err));
	assert_string_equal(got, hash);
}

static void what_is_no_certificate_is_refused(void **state)
{
	struct ocpp_certificate c[] = {{.pem = pem}, {.pem = "-----BEGIN CERTIFICATE-----\nno\n"}};
	const struct ocpp_certificate *found;

	(void)state;
	assert_false(ocpp_certificate_set(store, c, 2, &err));
	assert_int_equal(err.kind, ERROR_POISON);
	assert_string_equal(err.message, "pem holds no certificate");
	c[1] = (struct ocpp_certificate){.pem = NULL};
	assert_false(ocpp_certificate_set(store, c, 2, &err));
	assert_string_equal(err.message, "pem is missing");
	c[0].certificate_hash = "another";
	assert_false(ocpp_certificate_set(store, c, 1, &err));
	assert_non_null(strstr(err.message, hash));
	must_not_find(ocpp_certificate_lookup(store, "another", &found, &err));
}

static void certificate_is_deleted_and_listed(void **state)
{
	struct ocpp_certificate c = {.pem = pem};
	const struct ocpp_certificate *found;
	size_t count;

	(void)state;
	must(ocpp_certificate_set(store, &c, 1, &err));
	must(ocpp_certificate_list(store, NULL, &found, &count, &err));
	assert_int_equal(count, 1);
	ocpp_free(found);
	must(ocpp_certificate_delete(store, hash, 0, &err));
	must(ocpp_certificate_delete(store, hash, 0, &err));
	must_not_find(ocpp_certificate_lookup(store, hash, &found, &err));
	must(ocpp_certificate_list(store, NULL, &found, &count, &err));
	assert_int_equal(count, 0);
	assert_null(found);
}

/* ---- OCPI ---- */

static void registration_is_set_found_listed_and_deleted(void **state)
{
	struct ocpp_registration r = {"secret-1", "pending", AT(0)};
	const struct ocpp_registration *found;
	size_t count;

	(void)state;
	must_not_find(ocpp_registration_lookup(store, "secret-1", &found, &err));
	must(ocpp_registration_set(store, &r, 1, &err));
	r = (struct ocpp_registration){"secret-1", "registered", AT(1)};
	must(ocpp_registration_set(store, &r, 1, &err));
	must_find(ocpp_registration_lookup(store, "secret-1", &found, &err));
	assert_string_equal(found->status, "registered");
	ocpp_free(found);
	must(ocpp_registration_list(store, NULL, &found, &count, &err));
	assert_int_equal(count, 1);
	ocpp_free(found);
	must(ocpp_registration_delete(store, "secret-1", 0, &err));
	must_not_find(ocpp_registration_lookup(store, "secret-1", &found, &err));
}

static void parties_are_found_by_key_and_listed_by_role(void **state)
{
	struct ocpp_party p[] = {{"EMSP", "GB", "TWK", "http://a", "t", 0},
		{"EMSP", "GBR", "TWK", "http://b", "t", 0},
		{"CPO", "GB", "TWK", "http://c", "t", 0}};
	struct ocpp_party_page page = {.role = "EMSP", .limit = 1};
	const struct ocpp_party *found, *next;
	size_t count;

	(void)state;
	must(ocpp_party_set(store, p, 3, &err));
	must_find(ocpp_party_lookup(store, "EMSP", "GBR", "TWK", &found, &err));
	assert_string_equal(found->url, "http://b");
	ocpp_free(found);
	must_not_find(ocpp_party_lookup(store, "EMSP", "DE", "TWK", &found, &err));
	must(ocpp_party_list(store, &page, &found, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(found->url, "http://a");
	page = (struct ocpp_party_page){"EMSP", found->role, found->country_code, found->party_id,
		5};
	must(ocpp_party_list(store, &page, &next, &count, &err));
	ocpp_free(found);
	assert_int_equal(count, 1); /* not that of another role */
	assert_string_equal(next->url, "http://b");
	ocpp_free(next);
	must(ocpp_party_list(store, &(struct ocpp_party_page){.limit = 9}, &found, &count, &err));
	assert_int_equal(count, 3);
	ocpp_free(found);
	must(ocpp_party_delete(store, "EMSP", "GBR", "TWK", 0, &err));
	must_not_find(ocpp_party_lookup(store, "EMSP", "GBR", "TWK", &found, &err));
}

/* ---- locations ---- */

static void location_of_a_country_of_three_letters_is_accepted(void **state)
{
	struct ocpp_location l = {.id = "loc001",
		.location = "{\"Id\": \"loc001\", \"Country\": \"GBR\"}"};
	const struct ocpp_location *found;

	(void)state;
	must_not_find(ocpp_location_lookup(store, "loc001", &found, &err));
	must(ocpp_location_set(store, &l, 1, &err));
	must_find(ocpp_location_lookup(store, "loc001", &found, &err));
	assert_string_equal(found->country_code, "GBR");
	assert_string_equal(found->party_id, "XXX");
	assert_string_equal(found->location, "{\"Id\": \"loc001\", \"Country\": \"GBR\"}");
	ocpp_free(found);
}

static void location_without_a_country_is_xx_and_a_given_one_counts(void **state)
{
	struct ocpp_location l[] = {{.id = "loc002", .location = "{}"},
		{"loc003", "DE", "ABC", "{\"Country\": \"GBR\"}", 0}};
	const struct ocpp_location *some;
	size_t count;

	(void)state;
	must(ocpp_location_set(store, l, 2, &err));
	must(ocpp_location_list(store, &(struct ocpp_page){"loc001", 2}, &some, &count, &err));
	assert_int_equal(count, 2);
	assert_string_equal(some[0].country_code, "XX");
	assert_string_equal(some[1].country_code, "DE");
	assert_string_equal(some[1].party_id, "ABC");
	ocpp_free(some);
	must(ocpp_location_delete(store, "loc002", 0, &err));
	must_not_find(ocpp_location_lookup(store, "loc002", &some, &err));
}

static void location_that_is_no_json_is_refused(void **state)
{
	struct ocpp_location l = {.id = "loc004", .location = "{\"Id\": "};

	(void)state;
	assert_false(ocpp_location_set(store, &l, 1, &err));
	assert_int_equal(err.kind, ERROR_POISON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificate_is_keyed_by_the_digest_of_its_der_form),
		cmocka_unit_test(certificate_has_one_key_however_its_pem_is_wrapped),
		cmocka_unit_test(what_is_no_certificate_is_refused),
		cmocka_unit_test(certificate_is_deleted_and_listed),
		cmocka_unit_test(registration_is_set_found_listed_and_deleted),
		cmocka_unit_test(parties_are_found_by_key_and_listed_by_role),
		cmocka_unit_test(location_of_a_country_of_three_letters_is_accepted),
		cmocka_unit_test(location_without_a_country_is_xx_and_a_given_one_counts),
		cmocka_unit_test(location_that_is_no_json_is_refused),
	};

	return cmocka_run_group_tests(tests, store_cases_open, store_cases_close);
}
