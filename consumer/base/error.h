#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What went wrong, and what the caller does next. The kind is that next step: whoever branches
 * looks at the kind, never at the reason, which is for people, metrics and dead letters
 * (tests/lint/reasons.py); exit codes say what it is about. A kind that a caller does not know of
 * is FATAL to it. The caller owns the struct; it has a fixed size, so reporting an error allocates
 * nothing. Going up, only error_prefix() adds to it.
 */
enum error_kind {
	/* Of messages and batches; daemon/pipeline_outcome.c holds the policy. */
	ERROR_POISON,    /* this message can never succeed: dead letter, go on */
	ERROR_FULL,      /* an arena has no room: less at a time; for one message alone: POISON */
	ERROR_TRANSIENT, /* the same may work later: back off, make the batch again */
	ERROR_REFUSED,   /* somebody has to change a right or a setting: try again, but rarely */
	ERROR_UNCERTAIN, /* COMMIT was sent, no answer came: reconnect, the progress row decides */
	ERROR_MOVED,     /* the progress is not where we left it: read it again, then go on */
	ERROR_ROUTE,     /* a partition is not what we believed: drop the map, ensure, retry */
	ERROR_OUTDATED,  /* the schema is older than the program: bring it up to date, or stop */
	ERROR_FATAL,     /* retrying cannot help: log, stop, let the operator decide */
	/* Of anything that is waited for. */
	ERROR_STOPPED, /* somebody asked for the end: no more tries, nothing went wrong */
	/* Of files. */
	ERROR_NO_SPACE, /* the disk is full: wait until there is room, or do without */
	ERROR_DAMAGED,  /* what is there is broken: set it aside, go on without it */
	ERROR_FOREIGN,  /* it is of another version: leave it as it is */
	ERROR_ABSENT,   /* it is not there, or not any more: look again, or do without */
};

/* Why, as one word of a closed list. */
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
	ABOUT_DATABASE,   /* as it is set up */
	ABOUT_CONNECTION, /* to the database: lost, or never made */
};

struct error {
	enum error_kind kind;
	enum error_reason code;
	const char *reason; /* the code's name, for metrics and dead letters: "bad_msgpack" */
	int64_t offset;     /* position in the bytes that were wrong, or -1 */
	/* Trying again does not help until somebody has acted; the hint says how. True of FATAL,
	 * OUTDATED, DAMAGED, FOREIGN and ABSENT, and where error_needs_person() was called. */
	bool needs_person;
	bool slow;        /* it took too long: less at a time may be fast enough */
	char sqlstate[6]; /* of PostgreSQL's answer, or "" */
	char message[512];
	char hint[256]; /* what to do about it, or "" */
};

/*
 * Fill err (NULL allowed) and return false, so that callers write "return error_set(...)".
 */
bool error_set(struct error *err, enum error_kind kind, enum error_reason code, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* The same with ": <strerror(errno)>" after the text. errno is read on entry. */
bool error_set_errno(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same error under another kind and reason. Returns false. */
bool error_becomes(struct error *err, enum error_kind kind, enum error_reason code);

enum error_about error_about(const struct error *err);

/* Add a hint to an error that is set. Returns false. */
bool error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Only a person can end this, although it is retried meanwhile. Returns false. */
bool error_needs_person(struct error *err);

/* It took too long. Returns false. */
bool error_took_too_long(struct error *err);

/* Put "text: " before the message. Returns false. */
bool error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The analyzer does not look into error.c; without this it would follow each failure as if it could
 * be a success. error.c itself defines ERROR_IMPLEMENTATION.
 */
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
