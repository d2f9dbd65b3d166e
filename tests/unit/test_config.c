#include "unit.h"

#include "base/log.h"
#include "config/config.h"
#include "config/config_value.h"

#include <unistd.h>

static char path[64];

static void keep(void *context, const struct error *err)
{
	*(struct error *)context = *err;
}

/* Do the settings fit each other? */
static bool check(const struct config *c, struct error *err)
{
	return config_check_each(c, keep, err) == 0;
}

static void write_file(const char *text)
{
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/test_config.XXXXXX");
	f = fdopen(mkstemp(path), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static bool load(struct config *c, const char *text, struct error *err)
{
	bool ok;

	write_file(text);
	assert_true(config_init(c, err));
	ok = config_load_file(c, path, err);
	unlink(path);
	return ok;
}

static void config_maeve_block_works_pasted(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	assert_true(load(&c,
		"[transport]\ntype = \"mqtt\"\nmqtt.urls = [\"mqtt://mqtt:1883\"]\n"
		"[ocpp]\nheartbeat_interval = \"5m\"\n"
		"[storage]\ntype = \"postgres\"\n"
		"[storage.postgres]\n"
		"host = \"db.example.com\"   # the primary\n"
		"port = 5433\n"
		"database = \"maeve;#x\"\n"
		"user = 'csms'\n"
		"password = \"p\\\"w # not a comment\"\n"
		"ssl_mode = verify-full ; as libpq\n"
		"run_migrations = true\n"
		"migrations_path = \"file://./store/postgres/migrations\"\n"
		"[storage.postgres_read_only]\nhost = \"replica\"\n",
		&err));
	assert_string_equal(c.storage_postgres_host, "db.example.com");
	assert_int_equal(c.storage_postgres_port, 5433);
	assert_string_equal(c.storage_postgres_database, "maeve;#x");
	assert_string_equal(c.storage_postgres_user, "csms");
	assert_string_equal(c.storage_postgres_password, "p\"w # not a comment");
	assert_string_equal(c.storage_postgres_ssl_mode, "verify-full");
	assert_true(c.storage_postgres_run_migrations);
	assert_true(check(&c, &err));
	config_fini(&c);
}

static void config_connection_string_of_maeve_is_storage_url(void **state)
{
	static const char name[] = "storage.postgres.connection_string";
	struct config c;
	struct error err;

	(void)state;
	assert_true(load(&c,
		"[storage.postgres]\n"
		"connection_string = \"postgres://u:p@db/csms?pool_max_conns=7\"\n",
		&err));
	assert_string_equal(c.storage_url, "postgres://u:p@db/csms?pool_max_conns=7");
	assert_true(config_is_secret(name, strlen(name)));
	setenv("DATABASE_URL", "postgres://general", 1);
	setenv("STORAGE_POSTGRES_CONNECTION_STRING", "postgres://of-maeve", 1);
	assert_true(config_load_environment(&c, &err));
	assert_string_equal(c.storage_url, "postgres://of-maeve");
	unsetenv("STORAGE_POSTGRES_CONNECTION_STRING");
	unsetenv("DATABASE_URL");
	config_fini(&c);
}

static void config_inline_form_and_long_values_work(void **state)
{
	struct config c;
	struct error err;
	char text[5000];

	(void)state;
	snprintf(text, sizeof(text),
		"[storage]\npostgres.host = %04096d\n[mqtt]\ntopics = a/+, b/# ,\n", 7);
	assert_true(load(&c, text, &err));
	assert_int_equal(strlen(c.storage_postgres_host), 4096);
	assert_int_equal(c.mqtt_topics.count, 2);
	assert_string_equal(c.mqtt_topics.items[0], "a/+");
	assert_string_equal(c.mqtt_topics.items[1], "b/#");
	config_fini(&c);
}

static void config_errors_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *where, *what;
	} cases[] = {
		{"[mqtt]\n\n# c\ntopic = a\n", ":4: ", "no setting \"mqtt.topic\""},
		{"[mqtt]\nqos = 2\n", ":2: ", "outside 0 to 1"},
		{"[mqtt]\nqos = one\n", ":2: ", "not a number"},
		{"[spool]\nsync = always\n", ":2: ", "not one of message|interval|none"},
		{"[spool]\nretain = 5 weeks\n", ":2: ", "not a duration"},
		{"[mqtt]\nqos = 1\nqos = 1\n", ":3: ", "Duplicate"},
		{"[mqtt]\nqos\n", ":2: ", "Equal sign"},
		{"[mqtt\n", ":1: ", "bracket"},
		{"[mqtt]\nuser = \"open\n", ":2: ", "quotes"},
		{"[mqtt]\ntls_verify = maybe\n", ":2: ", "not true or false"},
		{"[nonsense]\nx = 1\n", ":2: ", "no setting \"nonsense.x\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config c;
		struct error err;

		assert_false(load(&c, cases[i].text, &err));
		if (strstr(err.message, cases[i].where) == NULL ||
			strstr(err.message, cases[i].what) == NULL ||
			strstr(err.message, path) == NULL)
			fail_msg("case %zu: %s", i, err.message);
		assert_int_equal(err.kind, ERROR_FATAL);
		config_fini(&c);
	}
}

struct faults {
	unsigned count;
	char texts[64][512];
};

static void note_fault(void *context, const struct error *err)
{
	struct faults *f = context;

	assert_true(f->count < sizeof(f->texts) / sizeof(*f->texts));
	snprintf(f->texts[f->count++], sizeof(*f->texts), "%s", err->message);
}

/* What config_load() says of a file; nothing if it is right. */
static const struct faults *faults_of(const char *text, const char *const *options, size_t count)
{
	static struct faults f;
	struct config_sources from = {.file = path, .options = options, .options_count = count};
	struct config c;

	f.count = 0;
	write_file(text);
	if (config_load(&c, &from, note_fault, &f))
		config_fini(&c);
	unlink(path);
	return &f;
}

static void assert_faults(const struct faults *f, const char *const *wanted, size_t count)
{
	for (size_t i = 0; i < f->count || i < count; i++) {
		if (i >= count)
			fail_msg("not wanted: %s", f->texts[i]);
		if (i >= f->count || strstr(f->texts[i], wanted[i]) == NULL)
			fail_msg("no \"%s\" but \"%s\"", wanted[i],
				i < f->count ? f->texts[i] : "");
	}
}

static void config_all_faults_are_found_at_once(void **state)
{
	static const char *const options[] = {"mqtt.ulr=x", "mqtt.qos=3"};
	static const char *const wanted[] = {":2: batch.latency_target is \"zz\"",
		":3: batch.messages_max is \"0\", outside",
		":5: there is no setting \"nonsense.x\"",
		":8: the value of \"mqtt.user\" has quotes",
		":9: mqtt.keep_alive is \"90000\" (25h)", ":11: spool.retain is \"5 weeks\", not a",
		"environment SPOOL_SYNC: ", "no setting \"mqtt.ulr\"",
		"command line: mqtt.qos is \"3\"", "mqtt.password_file: "};

	(void)state;
	setenv("SPOOL_SYNC", "always", 1);
	assert_faults(faults_of("[batch]\nlatency_target = zz\nmessages_max=0\n[nonsense]\nx = 1\n"
				"[mqtt]\npassword_file = /no/such\nuser = \"a\nkeep_alive = 90000\n"
				"[spool]\nretain = 5 weeks\n",
			      options, 2),
		wanted, sizeof(wanted) / sizeof(*wanted));
	unsetenv("SPOOL_SYNC");
}

static void config_faults_of_syntax_are_found_with_others(void **state)
{
	static const char *const options[] = {"mqtt.qos=3"};
	static const char *const wanted[] = {":2: Equal sign", ":5: No closing", ":4: Duplicate",
		"command line: mqtt.qos"};

	(void)state;
	assert_faults(faults_of("[mqtt]\nqos\nuser = a\nuser = b\n[batch\nmessages_max = 0\n",
			      options, 1),
		wanted, 4);
}

static void config_faults_beyond_some_are_counted(void **state)
{
	char text[2048] = "[mqtt]\n";
	const struct faults *f;

	(void)state;
	for (int i = 0; i < CONFIG_FAULTS_MAX + 7; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "no%d = x\n", i);
	f = faults_of(text, NULL, 0);
	assert_int_equal(f->count, CONFIG_FAULTS_MAX + 1);
	assert_string_equal(f->texts[CONFIG_FAULTS_MAX], "and 7 more faults");
}

static void config_settings_that_do_not_fit_are_all_found(void **state)
{
	static const char *const wanted[] = {
		"spool.bytes_max (64MiB) is less than two segments of spool.segment_bytes (64MiB)",
		"mqtt.topics has \"a#\"", "mqtt.url is not an address",
		"retention.meter_values (90s) is less than a day",
		"retention.ocpp_events (8d) is less than twice pairing.keep (14d)",
		"retention.transactions (30d) is less than retention.transaction_events (60d)"};

	(void)state;
	assert_faults(faults_of("[spool]\nbytes_max = 64MiB\n[mqtt]\ntopics = a#\nurl = http://x\n"
				"[retention]\nmeter_values = 90\nocpp_events = 8d\n"
				"transactions = 30d\ntransaction_events = 60d\n",
			      NULL, 0),
		wanted, sizeof(wanted) / sizeof(*wanted));
}

static void config_faults_of_one_kind_are_all_found_with_their_lines(void **state)
{
	static const char *const options[] = {"storage.postgres.schema="};
	static const char *const wanted[] = {":2: spool.dir is empty",
		":3: spool.segment_bytes (8MiB) is less than twice mqtt.message_bytes_max (16MiB)",
		":7: mqtt.topics has \"a#\"", ":7: mqtt.topics has \"+b\"",
		":8: mqtt.group is \"g/h\"", "command line: storage.postgres.schema is empty",
		":9: mqtt.tls_certificate and mqtt.tls_key go together", ":6: mqtt.url is empty",
		":11: privacy.token_key has 3 characters"};

	(void)state;
	assert_faults(faults_of("[spool]\ndir =\nsegment_bytes = 8MiB\n"
				"[mqtt]\nmessage_bytes_max = 16MiB\nurl =\ntopics = a#, x, +b\n"
				"group = g/h\ntls_certificate = /x\n[privacy]\ntoken_key = abc\n",
			      options, 1),
		wanted, sizeof(wanted) / sizeof(*wanted));
}

/* What it goes with was refused, or could not be read: it may well be right. */
static void config_settings_are_not_judged_by_what_was_refused(void **state)
{
	static const char *const unknown[] = {"mqtt.tls_kye"}, *const quotes[] = {"has quotes"};
	static const char *const folder[] = {"CREDENTIALS_DIRECTORY is too long"};
	static char name[8192];

	(void)state;
	assert_faults(faults_of("[mqtt]\ntls_certificate = /x\ntls_kye = /y\n", NULL, 0), unknown,
		1);
	assert_faults(faults_of("[mqtt]\ntls_certificate = /x\ntls_key = \"/y\n", NULL, 0), quotes,
		1);
	memset(name, 'x', sizeof(name) - 1);
	setenv("CREDENTIALS_DIRECTORY", name, 1);
	assert_faults(faults_of("[mqtt]\ntls_certificate = /x\n", NULL, 0), folder, 1);
	unsetenv("CREDENTIALS_DIRECTORY");
}

struct differences {
	char names[512];
	unsigned kinds; /* a bit for each */
};

static void note_difference(void *context, const char *name, enum config_reload reload)
{
	struct differences *d = context;
	size_t used = strlen(d->names);

	snprintf(d->names + used, sizeof(d->names) - used, "%s ", name);
	d->kinds |= 1U << reload;
}

static void assert_differs(const struct config *a, const struct config *b, const char *names)
{
	struct differences d = {.names = ""};

	config_compare(a, b, note_difference, &d);
	assert_string_equal(d.names, names);
}

static void config_keeps_what_needs_a_restart(void **state)
{
	struct config running, c;
	struct error err;

	(void)state;
	assert_true(load(&running, "[mqtt]\nuser = a\n[spool]\ndir = /a\nsegment_bytes = 8MiB\n",
		&err));
	assert_true(load(&c,
		"[mqtt]\nuser = b\ntopics = x/#, y/#\nmessage_bytes_max = 8MiB\n"
		"[spool]\ndir = /b\nsync = none\n[storage]\ntype = postgres\n",
		&err));
	assert_differs(&running, &c,
		"mqtt.message_bytes_max mqtt.topics mqtt.user spool.dir spool.segment_bytes "
		"spool.sync ");
	assert_true(check(&c, &err));
	assert_true(config_keep(&c, &running, &err));
	assert_differs(&running, &c, "mqtt.message_bytes_max mqtt.topics mqtt.user ");
	assert_string_equal(c.spool_dir, "/a");
	assert_int_equal(c.spool_sync, CONFIG_SYNC_MESSAGE);
	/* What fitted the segments of the file does not fit those that stay. */
	assert_false(check(&c, &err));
	config_fini(&running);
	assert_string_equal(c.spool_dir, "/a");
	config_fini(&c);
}

static void assert_no_fault(void *context, const struct error *err)
{
	(void)context;
	fail_msg("%s", err->message);
}

static void config_sees_what_is_in_a_file(void **state)
{
	struct config_sources from = {.file = path};
	struct config first, same, other;
	char text[512], file[] = "/tmp/ocpp-persister-ca.XXXXXX";
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	snprintf(text, sizeof(text),
		"[mqtt]\ntls_ca = %s\n[storage.postgres]\nssl_root_cert = %s\n", file, file);
	write_file(text);
	assert_true(config_load(&first, &from, assert_no_fault, NULL));
	assert_true(config_load(&same, &from, assert_no_fault, NULL));
	assert_differs(&first, &same, "");
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_true(config_load(&other, &from, assert_no_fault, NULL));
	assert_differs(&first, &other, "mqtt.tls_ca storage.postgres.ssl_root_cert ");
	assert_int_equal(unlink(file), 0);
	unlink(path);
	config_fini(&first);
	config_fini(&same);
	config_fini(&other);
}

static void config_environment_goes_before_the_file(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	setenv("STORAGE_POSTGRES_HOST", "from-environment", 1);
	setenv("DATABASE_URL", "postgres://u:p@h/d", 1);
	setenv("MQTT_QOS", "", 1);
	assert_true(load(&c, "[storage.postgres]\nhost = from-file\n", &err));
	assert_true(config_load_environment(&c, &err));
	assert_string_equal(c.storage_postgres_host, "from-environment");
	assert_string_equal(c.storage_url, "postgres://u:p@h/d");
	assert_int_equal(c.mqtt_qos, 1);
	assert_true(config_set(&c, "storage.postgres.host", "from-option", "option", &err));
	assert_string_equal(c.storage_postgres_host, "from-option");
	config_fini(&c);
	setenv("MQTT_QOS", "7", 1);
	assert_true(config_init(&c, &err));
	assert_false(config_load_environment(&c, &err));
	assert_non_null(strstr(err.message, "MQTT_QOS"));
	config_fini(&c);
	unsetenv("MQTT_QOS");
	unsetenv("DATABASE_URL");
	unsetenv("STORAGE_POSTGRES_HOST");
}

static void config_check_sees_settings_that_do_not_fit(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	assert_true(config_init(&c, &err));
	assert_true(check(&c, &err));
	assert_true(config_set(&c, "spool.bytes_max", "64MiB", "t", &err));
	assert_false(check(&c, &err));
	assert_true(config_set(&c, "spool.segment_bytes", "4MiB", "t", &err));
	assert_true(check(&c, &err));
	assert_true(config_set(&c, "mqtt.topics", " , ", "t", &err));
	assert_false(check(&c, &err));
	config_fini(&c);
}

static void write_secret(char *out, const char *text, size_t size)
{
	FILE *f;

	snprintf(out, 64, "/tmp/test_secret.XXXXXX");
	f = fdopen(mkstemp(out), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	fclose(f);
}

static void config_secrets_are_read_from_their_files(void **state)
{
	static const struct {
		const char *text, *secret, *what;
		size_t size;
	} cases[] = {
		{"s3 cret", "s3 cret", NULL, 7},
		{"secret\n", "secret", NULL, 7},
		{"secret\r\n", "secret", NULL, 8},
		{" \n", " ", NULL, 2},
		{"", NULL, "is empty", 0},
		{"\n", NULL, "is empty", 1},
		{"a\nb\n", NULL, "not one line", 4},
		{"a\0b", NULL, "not one line", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char file[64];
		struct config c;
		struct error err;
		bool ok;

		write_secret(file, cases[i].text, cases[i].size);
		assert_true(config_init(&c, &err));
		assert_true(config_set(&c, "mqtt.password_file", file, "t", &err));
		ok = config_read_secrets(&c, &err);
		unlink(file);
		assert_int_equal(ok, cases[i].secret != NULL);
		if (ok)
			assert_string_equal(c.mqtt_password, cases[i].secret);
		else if (strstr(err.message, cases[i].what) == NULL ||
			 strstr(err.message, file) == NULL ||
			 strstr(err.message, "mqtt.password_file") == NULL)
			fail_msg("case %zu: %s", i, err.message);
		assert_string_equal(c.mqtt_password_file, file);
		assert_false(config_read_secrets(&c, &err)); /* it is gone */
		config_fini(&c);
	}
}

/* If a secret and its file are both set, the one from the stronger source counts. */
static void config_secret_and_file_take_each_others_place(void **state)
{
	struct config c;
	struct error err;

	(void)state;
	assert_false(load(&c, "[mqtt]\npassword = x\npassword_file = /x\n", &err));
	assert_non_null(strstr(err.message, "both set"));
	assert_non_null(strstr(err.message, ":3: "));
	config_fini(&c);
	assert_true(load(&c, "[mqtt]\npassword_file = /x\npassword =\n", &err));
	assert_string_equal(c.mqtt_password_file, "/x");
	setenv("MQTT_PASSWORD", "y", 1);
	assert_true(config_load_environment(&c, &err));
	unsetenv("MQTT_PASSWORD");
	assert_string_equal(c.mqtt_password_file, "");
	assert_string_equal(c.mqtt_password, "y");
	c.source++;
	assert_true(config_set(&c, "mqtt.password_file", "/z", "option", &err));
	assert_string_equal(c.mqtt_password, "");
	assert_string_equal(c.mqtt_password_file, "/z");
	config_fini(&c);
}

static void config_every_secret_may_stand_in_a_file(void **state)
{
	struct config_words words;
	struct config_secret secret;
	struct config c;
	struct error err;
	size_t secrets = 0, listed = 0;

	(void)state;
	assert_true(config_init(&c, &err));
	for (size_t i = 0; config_words(i, &words); i++)
		secrets += config_is_secret(words.name, strlen(words.name));
	while (config_secret(&c, listed, &secret)) {
		assert_true(config_is_secret(secret.name, strlen(secret.name)));
		assert_false(config_is_secret(secret.file_name, strlen(secret.file_name)));
		assert_memory_equal(secret.name, secret.file_name, strlen(secret.name));
		assert_string_equal(secret.path, "");
		listed++;
	}
	assert_int_equal(listed, secrets);
	assert_true(listed >= 4);
	config_fini(&c);
}

/* The words of config.def stand in the order of the constants. */
static void config_choices_are_their_constants(void **state)
{
#define CHOICE(field, name, word, constant)                                                        \
	{                                                                                          \
		name, word, constant, offsetof(struct config, field)                               \
	}
	static const struct {
		const char *name, *word;
		unsigned constant;
		size_t offset;
	} choices[] = {
		CHOICE(events_results, "events.results", "content", CONFIG_RESULTS_CONTENT),
		CHOICE(events_results, "events.results", "all", CONFIG_RESULTS_ALL),
		CHOICE(log_level, "log.level", "error", LOG_LEVEL_ERROR),
		CHOICE(log_level, "log.level", "warn", LOG_LEVEL_WARN),
		CHOICE(log_level, "log.level", "info", LOG_LEVEL_INFO),
		CHOICE(log_level, "log.level", "debug", LOG_LEVEL_DEBUG),
		CHOICE(mqtt_version, "mqtt.version", "auto", CONFIG_MQTT_AUTO),
		CHOICE(mqtt_version, "mqtt.version", "5", CONFIG_MQTT_5),
		CHOICE(mqtt_version, "mqtt.version", "3.1.1", CONFIG_MQTT_311),
		CHOICE(spool_archive, "spool.archive", "zstd", CONFIG_ARCHIVE_ZSTD),
		CHOICE(spool_archive, "spool.archive", "none", CONFIG_ARCHIVE_NONE),
		CHOICE(spool_sync, "spool.sync", "message", CONFIG_SYNC_MESSAGE),
		CHOICE(spool_sync, "spool.sync", "interval", CONFIG_SYNC_INTERVAL),
		CHOICE(spool_sync, "spool.sync", "none", CONFIG_SYNC_NONE),
		CHOICE(storage_commit, "storage.commit", "async", CONFIG_COMMIT_ASYNC),
		CHOICE(storage_commit, "storage.commit", "sync", CONFIG_COMMIT_SYNC),
	};
#undef CHOICE
	char out[CONFIG_CHOICE_BYTES];
	struct config c;
	struct error err;

	(void)state;
	assert_true(config_init(&c, &err));
	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++) {
		const char *field = (const char *)&c + choices[i].offset;

		assert_true(config_set(&c, choices[i].name, choices[i].word, "t", &err));
		assert_int_equal(*(const unsigned *)field, choices[i].constant);
		assert_string_equal(config_choice(&c, choices[i].name, out), choices[i].word);
	}
	assert_false(config_set(&c, "spool.sync", "mess", "t", &err));
	assert_false(config_set(&c, "spool.sync", "", "t", &err));
	config_fini(&c);
}

static void config_units_read_and_write(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
		const char *back;
	} durations[] = {{"250ms", 250000, "250ms"}, {"90", 90000000, "90s"},
		{"5min", 300000000, "5min"}, {"5m", 300000000, "5min"}, {"24h", 86400000000, "1d"},
		{"0s", 0, "0us"}, {"7 d", 604800000000, "7d"}};
	char out[CONFIG_TEXT_BYTES];
	int64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		assert_true(config_parse_duration(durations[i].text, &value));
		assert_int_equal(value, durations[i].us);
		config_format_duration(value, out);
		assert_string_equal(out, durations[i].back);
	}
	assert_false(config_parse_duration("1.5s", &value));
	assert_false(config_parse_duration("", &value));
	assert_false(config_parse_duration("99999999999999d", &value));
	assert_true(config_parse_bytes("64KiB", &value));
	assert_int_equal(value, 65536);
	config_format_bytes(value, out);
	assert_string_equal(out, "64KiB");
	config_format_bytes(1000, out);
	assert_string_equal(out, "1kB");
	config_format_bytes(1001, out);
	assert_string_equal(out, "1001B");
	assert_false(config_parse_bytes("64QiB", &value));
	assert_false(config_parse_number("5x", &value));
}

/* As a power cut may leave it; an empty one is what `>` leaves on a full disk. */
static void config_file_that_is_no_text_is_refused(void **state)
{
	static const char zeros[100], inside[] = "[mqtt]\nuser = ab\0cd\n";
	const struct {
		const char *bytes;
		size_t size;
		const char *says;
	} cases[] = {{zeros, sizeof(zeros), ":1: has bytes that are not text"},
		{inside, sizeof(inside) - 1, ":2: has bytes that are not text"},
		{"[mqtt]\n\nuser = m\xfcller\n", 22, ":3: has bytes that are not text"},
		{"", 0, "is empty"}};
	static struct faults f;
	struct error err;
	struct config c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config_sources sources = {.file = path};
		FILE *file;

		write_file("");
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(cases[i].bytes, 1, cases[i].size, file), cases[i].size);
		fclose(file);
		f.count = 0;
		assert_false(config_load(&c, &sources, note_fault, &f));
		assert_faults(&f, &cases[i].says, 1);
		unlink(path);
	}
	assert_true(load(&c, "\xef\xbb\xbf[mqtt]\r\nuser = m\xc3\xbcller\r\n", &err));
	assert_string_equal(c.mqtt_user, "m\xc3\xbcller");
	config_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_maeve_block_works_pasted),
		cmocka_unit_test(config_connection_string_of_maeve_is_storage_url),
		cmocka_unit_test(config_inline_form_and_long_values_work),
		cmocka_unit_test(config_errors_name_file_and_line),
		cmocka_unit_test(config_all_faults_are_found_at_once),
		cmocka_unit_test(config_faults_of_syntax_are_found_with_others),
		cmocka_unit_test(config_faults_beyond_some_are_counted),
		cmocka_unit_test(config_settings_that_do_not_fit_are_all_found),
		cmocka_unit_test(config_faults_of_one_kind_are_all_found_with_their_lines),
		cmocka_unit_test(config_settings_are_not_judged_by_what_was_refused),
		cmocka_unit_test(config_keeps_what_needs_a_restart),
		cmocka_unit_test(config_sees_what_is_in_a_file),
		cmocka_unit_test(config_environment_goes_before_the_file),
		cmocka_unit_test(config_check_sees_settings_that_do_not_fit),
		cmocka_unit_test(config_secrets_are_read_from_their_files),
		cmocka_unit_test(config_secret_and_file_take_each_others_place),
		cmocka_unit_test(config_every_secret_may_stand_in_a_file),
		cmocka_unit_test(config_choices_are_their_constants),
		cmocka_unit_test(config_units_read_and_write),
		cmocka_unit_test(config_file_that_is_no_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
