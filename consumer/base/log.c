#include "base/log.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/redact.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINE_BYTES = 2048 };
static const int64_t LOG_REPEAT_US = 30 * US_PER_SECOND;

/* The only globals of the program besides failpoints; written at start and on reload. */
static _Atomic int log_level_now = LOG_LEVEL_INFO;
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
};

static void log_put(struct log_text *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void log_open(void)
{
	/* systemd.exec(5). NOLINTNEXTLINE(concurrency-mt-unsafe): before threads */
	log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_bar(bool shown)
{
	log_bar = shown;
}

void log_set_level(enum log_level level)
{
	log_level_now = (int)level;
}

bool log_level_parse(const char *name, enum log_level *level_out)
{
	for (size_t i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); i++) {
		if (strcmp(name, log_levels[i].name) == 0) {
			*level_out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= log_level_now;
}

static void log_put(struct log_text *t, const char *format, ...)
{
	size_t left = sizeof(t->bytes) - t->size;
	va_list args;
	int n;

	va_start(args, format);
	/* The analyzer takes va_start() for a call it does not know, in this file. */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	n = vsnprintf(t->bytes + t->size, left, format, args);
	va_end(args);
	if (n > 0)
		t->size += (size_t)n < left ? (size_t)n : left - 1;
}

/* "text" with quotes and what a terminal obeys escaped, so a line stays a line. */
static void log_quote_into(char *out, size_t room, const char *text)
{
	struct slice left = slice_from_cstr(text);
	size_t used = 0;

	out[used++] = '"';
	while (left.size > 0) {
		char one[ESCAPE_BYTES];
		bool quoted = left.data[0] == '"' || left.data[0] == '\\';
		size_t n = escape_first(left, one), size = strlen(one) + quoted;

		if (used + size + 2 > room)
			break;
		if (quoted)
			out[used++] = '\\';
		memcpy(out + used, one, size - quoted);
		used += size - quoted;
		left = slice_skip(left, n);
	}
	out[used++] = '"';
	out[used] = '\0';
}

const char *log_quote(char out[static LOG_VALUE_BYTES], const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-/:@$+,%~";

	if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
		return text;
	log_quote_into(out, LOG_VALUE_BYTES, text);
	return out;
}

static void log_put_quoted(struct log_text *t, const char *key, const char *text)
{
	char hidden[LOG_LINE_BYTES / 2], quoted[LOG_LINE_BYTES];

	snprintf(hidden, sizeof(hidden), "%s", text);
	redact_passwords(hidden);
	log_quote_into(quoted, sizeof(quoted), hidden);
	log_put(t, " %s=%s", key, quoted);
}

static void log_begin(struct log_text *t, enum log_level level, const char *event)
{
	t->size = 0;
	if (log_bar)
		log_put(t, "\r\033[K");
	log_put(t, "%slevel=%s event=%s", log_to_journal ? log_levels[level].journal : "",
		log_levels[level].name, event);
}

static void log_end(struct log_text *t)
{
	ssize_t n;

	if (t->size > sizeof(t->bytes) - 2)
		t->size = sizeof(t->bytes) - 2;
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
		char fields[LOG_LINE_BYTES / 2], escaped[LOG_LINE_BYTES];
		va_list args;

		va_start(args, format);
		/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
		vsnprintf(fields, sizeof(fields), format, args);
		va_end(args);
		redact_passwords(fields);
		log_put(&t, " %s", escape_into(escaped, sizeof(escaped), fields));
	}
	if (message != NULL && message[0] != '\0')
		log_put_quoted(&t, "msg", message);
	log_end(&t);
}

void log_failure(enum log_level level, const char *event, const struct error *err)
{
	struct log_text t;

	if (!log_enabled(level))
		return;
	log_begin(&t, level, event);
	log_put(&t, " kind=%s reason=%s heals=%s", error_kind_name(err->kind), err->reason,
		err->needs_person ? "by_a_person" : "by_itself");
	if (err->sqlstate[0] != '\0')
		log_put(&t, " sqlstate=%s", err->sqlstate);
	if (err->offset >= 0)
		log_put(&t, " offset=%lld", (long long)err->offset);
	log_put_quoted(&t, "msg", err->message);
	if (err->hint[0] != '\0')
		log_put_quoted(&t, "hint", err->hint);
	log_end(&t);
}

void log_will_retry(const struct error *err, const char *waits_for, int64_t wait_us,
	uint64_t suppressed)
{
	log_info("will_retry",
		err->needs_person ? "somebody has to act; it is retried meanwhile"
				  : "nothing to do; it is retried until it works",
		"waits_for=%s heals=%s in_ms=%lld suppressed=%llu", waits_for,
		err->needs_person ? "by_a_person" : "by_itself", (long long)(wait_us / US_PER_MS),
		(unsigned long long)suppressed);
}

bool log_repeat_due(struct log_repeat *r, uint64_t *suppressed_out)
{
	int64_t now = clock_mono_us();

	if (r->active && now - r->last_us < LOG_REPEAT_US) {
		r->suppressed++;
		return false;
	}
	*suppressed_out = r->suppressed;
	r->suppressed = 0;
	r->active = true;
	r->last_us = now;
	return true;
}

bool log_repeat_over(struct log_repeat *r)
{
	bool was = r->active;

	r->active = false;
	r->suppressed = 0;
	return was;
}
