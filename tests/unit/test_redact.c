#include "unit.h"

#include "base/redact.h"

static void redact_hides_passwords_and_nothing_else(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"", ""},
		{"mqtt://broker:1883", "mqtt://broker:1883"},
		{"mqtt://broker:1883, mqtts://[::1]:8883/",
			"mqtt://broker:1883, mqtts://[::1]:8883/"},
		{"postgres://h1:5432,h2:5433/db?sslmode=require",
			"postgres://h1:5432,h2:5433/db?sslmode=require"},
		{"postgres://me@db/x", "postgres://me@db/x"},
		{"\"mqtt://broker:1883\": refused", "\"mqtt://broker:1883\": refused"},
		{"postgres://me:hunter2@db/x", "postgres://me:*******@db/x"},
		{"postgres://me:a@b@db/x", "postgres://me:***@db/x"},
		{"postgres://me:a/b@db/x", "postgres://me:***@db/x"},
		{"postgres://me:a?b#c@db/x", "postgres://me:*****@db/x"},
		{"postgres://me:@/@db", "postgres://me:**@db"},
		{"postgres://me:hunter2", "postgres://me:*******"},
		{"postgres://me:hunter2/db", "postgres://me:*******/db"},
		{"--publish mqtt://u:p@h on", "--publish mqtt://u:*@h on"},
		{"postgres://db/x?user=me&password=hunter2",
			"postgres://db/x?user=me&password=*******"},
		{"host=db password=hunter2 user=me", "host=db password=******* user=me"},
		{"password = 'it\\'s me' user=me", "password = '********' user=me"},
		{"password='no end", "password='******"},
		{"password=a\\ b user=me", "password=**** user=me"},
		{"--mqtt.tls_key_password=x", "--mqtt.tls_key_password=*"},
		{"SSLPASSWORD=x Passwd=y secret=z", "SSLPASSWORD=* Passwd=* secret=*"},
		{"mqtt.password is empty", "mqtt.password is empty"},
		{"password=", "password="},
		{"passwords=3", "passwords=3"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s", cases[i].text);
		redact_passwords(text);
		assert_string_equal(text, cases[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redact_hides_passwords_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
