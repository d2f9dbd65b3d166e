#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Logging on stderr, one write per line, so lines of several threads never mix; logfmt or JSON,
 * with the same fields, times in UTC:
 *
 * 	ts=2026-01-31T10:00:00.123Z level=error event=copy_failed kind=transient msg="could not ..."
 * 	{"ts":"2026-01-31T10:00:00.123Z","level":"error","event":"copy_failed",...}
 *
 * Levels have a fixed meaning. error: someone should look. warn: the program coped. info: start,
 * stop, connect, reload, first success after failure. debug: per batch. Nothing per message, and
 * never a payload: ids and sizes only. If stderr is the journal of systemd, lines carry its "<3>"
 * priority and no time. Both formats escape what a terminal would obey (base/escape.h).
 *
 * Text follows PostgreSQL's rules: lower case, no full stop, "could not ...". Any thread.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Once, before threads start. */
void log_open(void);

/* The terminal shows an unfinished line, a progress bar, which the next lines must wipe out
 * first. */
void log_set_bar(bool shown);

/* Lines above this level are not written. Default info. */
void log_set_level(enum log_level level);
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };
void log_set_format(enum log_format format);

/* Does a program read stderr, so that each line has to be a line of logging? */
bool log_is_read_by_programs(void);

/* What a line that is not one of these begins with: the priority, in the journal; otherwise "". */
const char *log_priority(enum log_level level);

/*
 * event is a short literal. fields is more logfmt ("seq=12 rows=3"), formatted with the arguments,
 * or "". Text from outside (a path, a name from the settings or the database) goes through
 * LOG_VALUE(), which quotes it where it could be mistaken for a number or for several values.
 */
enum { LOG_VALUE_BYTES = 512 };
const char *log_quote(char out[static LOG_VALUE_BYTES], const char *text);
#define LOG_VALUE(text) log_quote((char[LOG_VALUE_BYTES]){0}, (text))

void log_line(enum log_level level, const char *event, const char *message, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(event, message, ...) log_line(LOG_LEVEL_ERROR, event, message, __VA_ARGS__)
#define log_warn(event, message, ...) log_line(LOG_LEVEL_WARN, event, message, __VA_ARGS__)
#define log_info(event, message, ...) log_line(LOG_LEVEL_INFO, event, message, __VA_ARGS__)
#define log_debug(event, message, ...) log_line(LOG_LEVEL_DEBUG, event, message, __VA_ARGS__)

/* An error struct as one line: kind, reason, sqlstate, message, hint, and who ends it:
 * heals=by_itself if the program recovers alone, heals=by_a_person if somebody has to act. */
void log_failure(enum log_level level, const char *event, const struct error *err);

/* The same without a kind, where nothing depends on it: the program continues with what it had. */
void log_fault(enum log_level level, const char *event, const struct error *err);

/* The line that follows: when it is retried, how many such lines were suppressed, and what it waits
 * for. */
void log_will_retry(const struct error *err, const char *waits_for, int64_t wait_us,
	uint64_t suppressed);

/*
 * Logs at most one line per cause every 30 s: log_repeat_due() says whether to log now, and how
 * many were suppressed since the last one; log_repeat_over() is true once, when a cause that was
 * logged has ended.
 *
 * what: the error that the line is about, or NULL. If its reason, or who ends it, differs from what
 * was logged last, it is news and due immediately, up to LOG_NEWS_MAX times in 30 s, so that causes
 * that take turns do not flood.
 */
enum { LOG_NEWS_MAX = 4 };

struct log_repeat {
	int64_t last_us;
	uint64_t suppressed;
	int64_t news_us; /* when the 30 s began that news_count is about */
	unsigned news_count;
	enum error_reason code; /* of the error that was logged last */
	bool needs_person;
	bool active;
};

bool log_repeat_due(struct log_repeat *r, const struct error *what, uint64_t *suppressed_out);
bool log_repeat_over(struct log_repeat *r);

#endif
