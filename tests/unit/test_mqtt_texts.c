#include "unit.h"

#include "mqtt/address.h"
#include "mqtt/answers.h"
#include "mqtt/properties.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"

static void address_has_scheme_and_port_of_paho(void **state)
{
	static const char *const pairs[][2] = {{"mqtt://h", "tcp://h:1883"},
		{"mqtts://h", "ssl://h:8883"}, {"tcp://h:1", "tcp://h:1"}, {"h", "tcp://h:1883"},
		{"ssl://[::1]", "ssl://[::1]:8883"}, {"[::1]:99", "tcp://[::1]:99"}};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		char *address = address_for_paho(pairs[i][0]);

		assert_string_equal(address, pairs[i][1]);
		assert_int_equal(address_is_tls(address), pairs[i][1][0] == 's');
		free(address);
	}
}

static void hosts_count_once_whatever_the_scheme(void **state)
{
	char a[] = "tcp://a:1", tls[] = "ssl://a:1", port[] = "tcp://a:2", b[] = "tcp://b:1";
	char *const addresses[] = {a, tls, port, b};

	(void)state;
	assert_int_equal(address_count_hosts(addresses, 4), 3);
	assert_int_equal(address_count_hosts(addresses, 0), 0);
}

static void refusal_of_a_version_is_known_in_both_versions(void **state)
{
	(void)state;
	assert_true(answer_refuses_version(ANSWER_BAD_VERSION));
	assert_true(answer_refuses_version(ANSWER_311_BAD_VERSION));
	assert_false(answer_refuses_version(ANSWER_BAD_CLIENT_ID));
	assert_true(answer_refuses_connect(true, ANSWER_NOT_AUTHORIZED));
	assert_true(answer_refuses_connect(false, ANSWER_311_NOT_AUTHORIZED));
	assert_false(answer_refuses_connect(true, MQTTASYNC_FAILURE));
	assert_false(answer_refuses_connect(false, 0));
}

static void refusal_has_words(void **state)
{
	(void)state;
	assert_string_equal(answer_to_connect_text(true, ANSWER_NOT_AUTHORIZED, "x"),
		"Not authorized");
	assert_string_equal(answer_to_connect_text(false, ANSWER_311_BAD_CREDENTIALS, "x"),
		"bad user name or password");
	assert_string_equal(answer_to_connect_text(false, MQTTASYNC_FAILURE, "x"), "x");
	assert_string_equal(answer_name(0xff), "unknown reason code 0xff");
}

static void first_refusal_of_several_filters_is_found(void **state)
{
	enum MQTTReasonCodes codes[] = {MQTTREASONCODE_GRANTED_QOS_1, MQTTREASONCODE_NOT_AUTHORIZED,
		MQTTREASONCODE_QUOTA_EXCEEDED};
	int code = 0;

	(void)state;
	assert_int_equal(answer_first_refusal(3, codes, 3, MQTTREASONCODE_SUCCESS, &code), 1);
	assert_int_equal(code, ANSWER_NOT_AUTHORIZED);
	assert_int_equal(answer_first_refusal(1, NULL, 0, MQTTREASONCODE_NOT_AUTHORIZED, &code), 0);
	assert_int_equal(code, ANSWER_NOT_AUTHORIZED);
	assert_int_equal(answer_first_refusal(1, codes, 3, MQTTREASONCODE_SUCCESS, &code), -1);
}

static void properties_come_back_as_they_were_written(void **state)
{
	struct mqtt_message from = {.content = MQTT_CONTENT_MSGPACK,
				    .trace = slice_from_cstr(TRACE)},
			    to = {.qos = 1};
	MQTTProperties properties = MQTTProperties_initializer;

	(void)state;
	assert_true(properties_write(&properties, &from));
	properties_read(&properties, &to);
	assert_int_equal(to.content, MQTT_CONTENT_MSGPACK);
	assert_slice_equal(to.trace, TRACE);
	MQTTProperties_free(&properties);
}

static void correlation_that_is_not_a_trace_is_none(void **state)
{
	static char texts[][80] = {"", "{}", "{\"traceparent\":\"00-" TRACE,
		"{\"traceparent\": \"00-short\"}", "{\"traceparent\":\"01-" TRACE "\"}",
		"{\"traceparent\":\"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		MQTTProperties properties = MQTTProperties_initializer;
		MQTTProperty p = {.identifier = MQTTPROPERTY_CODE_CORRELATION_DATA};
		struct mqtt_message to = {.qos = 1};

		p.value.data.data = texts[i];
		p.value.data.len = (int)strlen(texts[i]);
		assert_int_equal(MQTTProperties_add(&properties, &p), 0);
		properties_read(&properties, &to);
		assert_slice_equal(to.trace, i == 2 ? TRACE : "");
		assert_int_equal(to.content, MQTT_CONTENT_UNKNOWN);
		MQTTProperties_free(&properties);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_has_scheme_and_port_of_paho),
		cmocka_unit_test(hosts_count_once_whatever_the_scheme),
		cmocka_unit_test(refusal_of_a_version_is_known_in_both_versions),
		cmocka_unit_test(refusal_has_words),
		cmocka_unit_test(first_refusal_of_several_filters_is_found),
		cmocka_unit_test(properties_come_back_as_they_were_written),
		cmocka_unit_test(correlation_that_is_not_a_trace_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
