#include "unit.h"

#include "base/clock.h"
#include "base/log.h"

#include <unistd.h>

/* What one call writes, in the format that was set; without its time. */
struct written {
	int stderr_fd, pipe[2];
	char bytes[8192];
};

static void begin(struct written *w)
{
	assert_int_equal(pipe(w->pipe), 0);
	w->stderr_fd = dup(STDERR_FILENO);
	assert_true(w->stderr_fd >= 0);
	assert_int_equal(dup2(w->pipe[1], STDERR_FILENO), STDERR_FILENO);
}

static const char *end(struct written *w)
{
	ssize_t n;
	char *time;

	assert_int_equal(dup2(w->stderr_fd, STDERR_FILENO), STDERR_FILENO);
	close(w->pipe[1]);
	n = read(w->pipe[0], w->bytes, sizeof(w->bytes) - 1);
	assert_true(n > 0);
	w->bytes[n] = '\0';
	close(w->pipe[0]);
	close(w->stderr_fd);
	log_set_format(LOG_FORMAT_LOGFMT);
	/* ts=2026-01-31T10:00:00.123Z, and a blank; "ts":"...", and a comma */
	time = strstr(w->bytes, w->bytes[0] == '{' ? "\"ts\":\"20" : "ts=20");
	assert_non_null(time);
	memmove(time, strchr(time, w->bytes[0] == '{' ? ',' : ' ') + 1,
		strlen(strchr(time, w->bytes[0] == '{' ? ',' : ' ')));
	return w->bytes;
}

static void log_line_has_the_same_fields_in_both_formats(void **state)
{
	struct written w;

	(void)state;
	for (int json = 0; json < 2; json++) {
		begin(&w);
		log_set_format(json ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT);
		log_info("stored", "all \"well\"", "seq=%d rate=%s name=%s path=%s", 12, "-0.50",
			LOG_VALUE("007"), LOG_VALUE("/a b\\\x1b[1m"));
		assert_string_equal(end(&w),
			json ? "{\"level\":\"info\",\"event\":\"stored\",\"seq\":12,\"rate\":-0.50,"
			       "\"name\":\"007\",\"path\":\"/a b\\\\\\\\x1b[1m\","
			       "\"msg\":\"all \\\"well\\\"\"}\n"
			     : "level=info event=stored seq=12 rate=-0.50 name=007 "
			       "path=\"/a b\\\\\\x1b[1m\" msg=\"all \\\"well\\\"\"\n");
	}
}

static void log_failure_is_valid_json(void **state)
{
	struct written w;
	struct error err;

	(void)state;
	error_set(&err, ERROR_TRANSIENT, REASON_connection,
		"line 1\n\tline 2 \x1b[31m \xe2\x80\xae");
	snprintf(err.sqlstate, sizeof(err.sqlstate), "57014");
	begin(&w);
	log_set_format(LOG_FORMAT_JSON);
	log_failure(LOG_LEVEL_ERROR, "database_lost", &err);
	assert_string_equal(end(&w),
		"{\"level\":\"error\",\"event\":\"database_lost\",\"kind\":\"transient\","
		"\"reason\":\"connection\",\"heals\":\"by_itself\",\"sqlstate\":\"57014\","
		"\"msg\":\"line 1\\n\\\\x09line 2 \\\\x1b[31m \\u202e\"}\n");
}

/* A name that is a number stays a text: it has one type, whatever a station is called. */
static void log_value_is_a_text(void **state)
{
	struct written w;

	(void)state;
	begin(&w);
	log_set_format(LOG_FORMAT_JSON);
	log_info("x", "", "station=%s seq=%s other=%s", LOG_VALUE("123"), "123", "01");
	assert_string_equal(end(&w),
		"{\"level\":\"info\",\"event\":\"x\",\"station\":\"123\",\"seq\":123,"
		"\"other\":\"01\"}\n");
}

static void log_line_ends_however_long_its_texts_are(void **state)
{
	static char text[5000], fields[5000];

	(void)state;
	memset(text, '\x01', sizeof(text) - 1); /* four bytes each when escaped, five in JSON */
	memset(fields, '"', sizeof(fields) - 1);
	for (int json = 0; json < 2; json++) {
		struct written w;
		const char *line;
		size_t size;

		begin(&w);
		log_set_format(json ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT);
		log_warn("x", text, "a=%s b=%s", LOG_VALUE(fields), LOG_VALUE(text));
		line = end(&w);
		size = strlen(line);
		assert_string_equal(line + size - (json ? 3 : 2), json ? "\"}\n" : "\"\n");
		assert_ptr_equal(strchr(line, '\n'), line + size - 1);
		assert_true(size < 4096);
	}
}

/* One line per cause every 30 s, which says how many there were meanwhile. */
static void log_repeat_counts_what_it_suppresses(void **state)
{
	struct log_repeat r = {.active = false};
	uint64_t suppressed = 7;

	(void)state;
	assert_false(log_repeat_over(&r));
	assert_true(log_repeat_due(&r, NULL, &suppressed));
	assert_int_equal(suppressed, 0);
	for (int i = 0; i < 3; i++)
		assert_false(log_repeat_due(&r, NULL, &suppressed));
	r.last_us -= 29 * US_PER_SECOND;
	assert_false(log_repeat_due(&r, NULL, &suppressed));
	r.last_us -= US_PER_SECOND;
	assert_true(log_repeat_due(&r, NULL, &suppressed));
	assert_int_equal(suppressed, 4);
	assert_false(log_repeat_due(&r, NULL, &suppressed));
	assert_true(log_repeat_over(&r));
	assert_false(log_repeat_over(&r));
	/* The next cause is news. */
	assert_true(log_repeat_due(&r, NULL, &suppressed));
	assert_int_equal(suppressed, 0);
}

/* A change of the cause is not kept back, but causes that take turns do not flood. */
static void log_repeat_does_not_suppress_news(void **state)
{
	struct log_repeat r = {.active = false};
	struct error away, refused;
	uint64_t suppressed;
	int logged = 0;

	(void)state;
	error_set(&away, ERROR_TRANSIENT, REASON_connection, "away");
	error_set(&refused, ERROR_REFUSED, REASON_refused, "wrong password");
	assert_true(log_repeat_due(&r, &away, &suppressed));
	assert_false(log_repeat_due(&r, &away, &suppressed));
	assert_true(log_repeat_due(&r, &refused, &suppressed));
	assert_int_equal(suppressed, 1);
	assert_false(log_repeat_due(&r, &refused, &suppressed));
	error_needs_person(&refused);
	assert_true(log_repeat_due(&r, &refused, &suppressed));
	for (int i = 0; i < 100; i++)
		logged += log_repeat_due(&r, i % 2 ? &refused : &away, &suppressed);
	assert_int_equal(logged, LOG_NEWS_MAX - 2);
	r.news_us -= 30 * US_PER_SECOND;
	assert_true(log_repeat_due(&r, r.code == away.code ? &refused : &away, &suppressed));
	assert_int_equal(suppressed, 100 - logged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_line_has_the_same_fields_in_both_formats),
		cmocka_unit_test(log_failure_is_valid_json),
		cmocka_unit_test(log_value_is_a_text),
		cmocka_unit_test(log_line_ends_however_long_its_texts_are),
		cmocka_unit_test(log_repeat_counts_what_it_suppresses),
		cmocka_unit_test(log_repeat_does_not_suppress_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
