#include "base/log.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/redact.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The size of a line, which is one write; and of a text in it before it is quoted. */
enum { LOG_LINE_BYTES = 4096, LOG_TEXT_BYTES = 1024 };
static const int64_t LOG_REPEAT_US = 30 * US_PER_SECOND;

/* The program's only globals besides failpoints; written at start and on reload. */
static _Atomic int log_level_now = LOG_LEVEL_INFO;
static _Atomic int log_format_now = LOG_FORMAT_LOGFMT;
static bool log_to_journal;
static _Atomic bool log_bar;

static const struct {
	const char *name;
	const char *journal; /* sd-daemon(3) priorities */
} log_levels[] = {
	[LOG_LEVEL_ERROR] = {"error", "<3>"},
	[LOG_LEVEL_WARN] = {"warn", "<4>"},
	[LOG_LEVEL_INFO] = {"info", "<6>"},
	[LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

struct log_text {
	char bytes[LOG_LINE_BYTES];
	size_t size;
	bool json;
	bool begun; /* has a field */
};

bool log_is_read_by_programs(void)
{
	return log_to_journal || log_format_now == LOG_FORMAT_JSON;
}

const char *log_priority(enum log_level level)
{
	return log_to_journal ? log_levels[level].journal : "";
}

static void log_put(struct log_text *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void log_open(void)
{
	/* systemd.exec(5): device and inode of the journal's socket; stderr may have been
	 * redirected since. NOLINTNEXTLINE(concurrency-mt-unsafe): before threads */
	const char *journal = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (journal == NULL || fstat(STDERR_FILENO, &st) != 0)
		return;
	snprintf(ours, sizeof(ours), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	log_to_journal = strcmp(journal, ours) == 0;
}

void log_set_format(enum log_format format)
{
	log_format_now = (int)format;
}

void log_set_bar(bool shown)
{
	log_bar = shown;
}

void log_set_level(enum log_level level)
{
	log_level_now = (int)level;
}

static bool log_enabled(enum log_level level)
{
	return (int)level <= log_level_now;
}

static void log_put(struct log_text *t, const char *format, ...)
{
	size_t left = sizeof(t->bytes) - t->size;
	va_list args;
	int n;

	va_start(args, format);
	/* In this file the analyzer does not recognise va_start(). */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	n = vsnprintf(t->bytes + t->size, left, format, args);
	va_end(args);
	if (n > 0)
		t->size += (size_t)n < left ? (size_t)n : left - 1;
}

/* Whether an escape (base/escape.h) is also valid in JSON: \n and \u202e are, \x1b is not. */
static bool log_is_json_escape(const char *one)
{
	return one[1] == 'n' || one[1] == 'u';
}

/* "text", with quotes and control characters escaped, so that a line stays one line. */
static size_t log_quote_into(char *out, size_t room, const char *text, bool json)
{
	struct slice left = slice_from_cstr(text);
	size_t used = 0;

	out[used++] = '"';
	while (left.size > 0) {
		char one[ESCAPE_BYTES];
		size_t n = escape_first(left, one), size = strlen(one);
		bool itself = size == n; /* not an escape */
		bool escaped = one[0] == '"' ||
			       (one[0] == '\\' && (itself || (json && !log_is_json_escape(one))));

		if (used + size + escaped + 2 > room)
			break;
		if (escaped)
			out[used++] = '\\';
		memcpy(out + used, one, size);
		used += size;
		left = slice_skip(left, n);
	}
	out[used++] = '"';
	out[used] = '\0';
	return used;
}

/* A JSON number (RFC 8259, section 6) without an exponent. */
static bool log_is_number(const char *text)
{
	size_t at = text[0] == '-', digits = strspn(text + at, "0123456789");

	if (digits == 0 || (digits > 1 && text[at] == '0'))
		return false;
	at += digits;
	if (text[at] == '.') {
		digits = strspn(text + at + 1, "0123456789");
		at += digits > 0 ? 1 + digits : 0;
	}
	return text[at] == '\0';
}

const char *log_quote(char out[static LOG_VALUE_BYTES], const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-/:@$+,%~";

	if (text[0] != '\0' && text[strspn(text, plain)] == '\0' && !log_is_number(text))
		return text;
	(void)log_quote_into(out, LOG_VALUE_BYTES, text, false);
	return out;
}

enum log_value { LOG_BARE, LOG_QUOTED, LOG_NUMBER };

/* One more field, whole or not at all; a text that is too long is cut. */
static void log_put_field(struct log_text *t, const char *key, enum log_value kind,
	const char *value)
{
	enum { LOG_TAIL_BYTES = sizeof("\"}\n") };
	bool quoted = kind == LOG_QUOTED || (t->json && kind == LOG_BARE);
	size_t needs = strlen(key) + sizeof(",\"\":\"\"") + (quoted ? 0 : strlen(value));

	if (t->size + LOG_TAIL_BYTES + needs > sizeof(t->bytes))
		return;
	if (t->json)
		log_put(t, "%s\"%s\":", t->begun ? "," : "", key);
	else
		log_put(t, "%s%s=", t->begun ? " " : "", key);
	t->begun = true;
	if (quoted)
		t->size += log_quote_into(t->bytes + t->size,
			sizeof(t->bytes) - t->size - LOG_TAIL_BYTES, value, t->json);
	else
		log_put(t, "%s", value);
}

static void log_put_text(struct log_text *t, const char *key, const char *text)
{
	char hidden[LOG_TEXT_BYTES];

	snprintf(hidden, sizeof(hidden), "%s", text);
	redact_passwords(hidden);
	log_put_field(t, key, LOG_QUOTED, hidden);
}

/* One logfmt value: without its quotes, and unescaped. Returns its end. */
static const char *log_take_value(const char *from, char out[static LOG_TEXT_BYTES], bool *quoted)
{
	size_t used = 0;

	*quoted = *from == '"';
	from += *quoted;
	for (; *from != '\0' && *from != (*quoted ? '"' : ' ') && used < LOG_TEXT_BYTES - 1;
		from++) {
		if (*quoted && *from == '\\' && (from[1] == '"' || from[1] == '\\'))
			from++;
		out[used++] = *from;
	}
	out[used] = '\0';
	return from + (*quoted && *from == '"');
}

/* Fields that the caller wrote as logfmt. */
static void log_put_fields(struct log_text *t, const char *fields)
{
	char value[LOG_TEXT_BYTES] = "", key[64];
	size_t size;

	if (!t->json) {
		char escaped[2 * LOG_TEXT_BYTES];

		log_put(t, " %s", escape_into(escaped, sizeof(escaped), fields));
		return;
	}
	for (;;) {
		bool quoted;

		fields += strspn(fields, " ");
		size = strcspn(fields, "= ");
		if (size == 0 || size >= sizeof(key) || fields[size] != '=')
			return;
		snprintf(key, sizeof(key), "%.*s", (int)size, fields);
		fields = log_take_value(fields + size + 1, value, &quoted);
		log_put_field(t, key, !quoted && log_is_number(value) ? LOG_NUMBER : LOG_QUOTED,
			value);
	}
}

/* "2026-01-31T10:00:00.123Z" */
static void log_put_time(struct log_text *t)
{
	int64_t now_us = clock_wall_us();
	time_t seconds = (time_t)(now_us / US_PER_SECOND);
	char day[32], text[48];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL)
		return;
	if (strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return;
	snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(now_us / US_PER_MS % 1000));
	log_put_field(t, "ts", LOG_BARE, text);
}

static void log_begin(struct log_text *t, enum log_level level, const char *event)
{
	t->size = 0;
	t->json = log_format_now == LOG_FORMAT_JSON;
	t->begun = false;
	if (log_bar)
		log_put(t, "\r\033[K");
	log_put(t, "%s%s", log_to_journal ? log_levels[level].journal : "", t->json ? "{" : "");
	if (!log_to_journal) /* the journal adds its own */
		log_put_time(t);
	log_put_field(t, "level", LOG_BARE, log_levels[level].name);
	log_put_field(t, "event", LOG_BARE, event);
}

static void log_end(struct log_text *t)
{
	ssize_t n;

	if (t->size > sizeof(t->bytes) - 3)
		t->size = sizeof(t->bytes) - 3;
	if (t->json)
		t->bytes[t->size++] = '}';
	t->bytes[t->size++] = '\n';
	n = write(STDERR_FILENO, t->bytes, t->size);
	(void)n; /* nowhere to report it */
}

void log_line(enum log_level level, const char *event, const char *message, const char *format, ...)
{
	struct log_text t;

	if (!log_enabled(level))
		return;
	log_begin(&t, level, event);
	if (format[0] != '\0') {
		char fields[LOG_TEXT_BYTES];
		va_list args;

		va_start(args, format);
		/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
		vsnprintf(fields, sizeof(fields), format, args);
		va_end(args);
		redact_passwords(fields);
		log_put_fields(&t, fields);
	}
	if (message != NULL && message[0] != '\0')
		log_put_text(&t, "msg", message);
	log_end(&t);
}

static void log_put_error(enum log_level level, const char *event, const char *kind,
	const struct error *err)
{
	struct log_text t;

	if (!log_enabled(level))
		return;
	log_begin(&t, level, event);
	if (kind != NULL)
		log_put_field(&t, "kind", LOG_BARE, kind);
	log_put_field(&t, "reason", LOG_BARE, err->reason);
	log_put_field(&t, "heals", LOG_BARE, err->needs_person ? "by_a_person" : "by_itself");
	if (err->sqlstate[0] != '\0')
		log_put_field(&t, "sqlstate", LOG_BARE, err->sqlstate);
	if (err->offset >= 0) {
		char offset[32];

		snprintf(offset, sizeof(offset), "%lld", (long long)err->offset);
		log_put_field(&t, "offset", LOG_NUMBER, offset);
	}
	log_put_text(&t, "msg", err->message);
	if (err->hint[0] != '\0')
		log_put_text(&t, "hint", err->hint);
	log_end(&t);
}

void log_failure(enum log_level level, const char *event, const struct error *err)
{
	log_put_error(level, event, error_kind_name(err->kind), err);
}

void log_fault(enum log_level level, const char *event, const struct error *err)
{
	log_put_error(level, event, NULL, err);
}

void log_will_retry(const struct error *err, const char *waits_for, int64_t wait_us,
	uint64_t suppressed)
{
	log_info("will_retry",
		err->needs_person      ? "somebody has to act; it is retried meanwhile"
		: err->hint[0] == '\0' ? "nothing to do; it is retried until it works"
				       : "nothing to do unless it lasts: then see the hint; it is "
					 "retried until it works",
		"waits_for=%s heals=%s in_ms=%lld suppressed=%llu", waits_for,
		err->needs_person ? "by_a_person" : "by_itself", (long long)(wait_us / US_PER_MS),
		(unsigned long long)suppressed);
}

static bool log_is_news(struct log_repeat *r, const struct error *what, int64_t now)
{
	if (what == NULL || (what->code == r->code && what->needs_person == r->needs_person))
		return false;
	if (now - r->news_us >= LOG_REPEAT_US) {
		r->news_us = now;
		r->news_count = 0;
	}
	return r->news_count++ < LOG_NEWS_MAX;
}

bool log_repeat_due(struct log_repeat *r, const struct error *what, uint64_t *suppressed_out)
{
	int64_t now = clock_mono_us();

	if (r->active && now - r->last_us < LOG_REPEAT_US && !log_is_news(r, what, now)) {
		r->suppressed++;
		return false;
	}
	*suppressed_out = r->suppressed;
	r->suppressed = 0;
	r->active = true;
	r->last_us = now;
	if (what != NULL) {
		r->code = what->code;
		r->needs_person = what->needs_person;
	}
	return true;
}

bool log_repeat_over(struct log_repeat *r)
{
	bool was = r->active;

	r->active = false;
	r->suppressed = 0;
	return was;
}
