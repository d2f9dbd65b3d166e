#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What went wrong, and what the caller does next. The kind is that next step: code branches on the
 * kind, never on the reason, which is for people, metrics and dead letters (tests/lint/reasons.py);
 * the exit code follows from what the reason is about. A caller treats a kind that it does not know
 * as FATAL. The caller owns the struct; it has a fixed size, so reporting an error allocates
 * nothing. On the way up, only error_prefix() adds to it.
 */
enum error_kind {
	/* About messages and batches; the policy is in daemon/pipeline_outcome.c. */
	ERROR_POISON,    /* this message can never succeed: dead letter, go on */
	ERROR_FULL,      /* an arena is full: take less at a time; one message alone: POISON */
	ERROR_TRANSIENT, /* the same may work later: back off, build the batch again */
	ERROR_REFUSED,   /* somebody has to change a privilege or a setting: retry, but rarely */
	ERROR_UNCERTAIN, /* COMMIT was sent but not answered: reconnect, the progress row decides */
	ERROR_MOVED,     /* the progress is not where we left it: read it again, then continue */
	ERROR_STALE,     /* tokens were forgotten since it was made: make it again */
	ERROR_ROUTE,     /* a partition is not what we assumed: drop the map, ensure, retry */
	ERROR_OUTDATED,  /* the schema is older than the program: bring it up to date, or stop */
	ERROR_FATAL,     /* retrying cannot help: log it, stop, let the operator decide */
	/* About anything that waits. */
	ERROR_STOPPED, /* somebody asked us to stop: no more retries, nothing went wrong */
	/* About files. */
	ERROR_NO_SPACE, /* the disk is full: wait for room, or do without */
	ERROR_DAMAGED,  /* the content is broken: set it aside, continue without it */
	ERROR_FOREIGN,  /* written by another version: leave it alone */
	ERROR_ABSENT,   /* it does not exist (any more): look again, or do without */
};

/* Why: one word of a closed list. */
enum error_reason {
#define DEAD_LETTERED(name) REASON_##name,
#define REASON(name, about) REASON_##name,
#define SKIPPED(name)
#include "base/reasons.def"
#undef DEAD_LETTERED
#undef SKIPPED
#undef REASON
	REASON_COUNT
};

const char *error_reason_name(enum error_reason code);

/* What a reason is about. */
enum error_about {
	ABOUT_NOTHING,  /* or about messages, files, the machine */
	ABOUT_SETTINGS, /* and the files of migrations */
	ABOUT_SCHEMA,
	ABOUT_LOG,
	ABOUT_BROKER,
	ABOUT_DATABASE,   /* its setup */
	ABOUT_CONNECTION, /* to the database: lost or never established */
};

struct error {
	enum error_kind kind;
	enum error_reason code;
	const char *reason; /* the code's name, for metrics and dead letters: "bad_msgpack" */
	int64_t offset;     /* where in the offending bytes, or -1 */
	/* Retrying is useless until somebody has acted; the hint says how. True for FATAL,
	 * OUTDATED, DAMAGED, FOREIGN and ABSENT, and after error_needs_person(). */
	bool needs_person;
	bool slow;        /* it took too long: less at a time may succeed */
	char sqlstate[6]; /* from PostgreSQL, or "" */
	char message[512];
	char hint[256]; /* what to do about it, or "" */
};

/*
 * Fill err (NULL allowed) and return false, so that callers write "return error_set(...)".
 */
bool error_set(struct error *err, enum error_kind kind, enum error_reason code, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* The same, with ": <strerror(errno)>" appended. errno is read on entry. */
bool error_set_errno(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

bool error_set_errno_list(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));

/* Give the same error another kind and reason. Returns false. */
bool error_becomes(struct error *err, enum error_kind kind, enum error_reason code);

enum error_about error_about(const struct error *err);

/* Add a hint to an error that is already set. Returns false. */
bool error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Only a person can end this, although it is retried meanwhile. Returns false. */
bool error_needs_person(struct error *err);

/* Mark it as slow. Returns false. */
bool error_took_too_long(struct error *err);

/* Put "text: " before the message. Returns false. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The analyzer does not look into error.c; without this it would treat a failure as a possible
 * success. error.c itself defines ERROR_IMPLEMENTATION. */
#if defined(__clang_analyzer__) && !defined(ERROR_IMPLEMENTATION)
#define error_set(...) ((void)error_set(__VA_ARGS__), false)
#define error_set_errno(...) ((void)error_set_errno(__VA_ARGS__), false)
#define error_hint(...) ((void)error_hint(__VA_ARGS__), false)
#define error_prefix(...) ((void)error_prefix(__VA_ARGS__), false)
#define error_needs_person(...) ((void)error_needs_person(__VA_ARGS__), false)
#define error_took_too_long(...) ((void)error_took_too_long(__VA_ARGS__), false)
#endif

/* "poison", "transient", ... */
const char *error_kind_name(enum error_kind kind);

#endif
