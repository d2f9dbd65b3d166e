#define ERROR_IMPLEMENTATION
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum error_about about;
} reasons[REASON_COUNT] = {
#define DEAD_LETTERED(name) {#name, ABOUT_NOTHING},
#define REASON(name, about) {#name, ABOUT_##about},
#define SKIPPED(name)
#include "base/reasons.def"
#undef DEAD_LETTERED
#undef SKIPPED
#undef REASON
};

static void error_fill(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));

const char *error_reason_name(enum error_reason code)
{
	return reasons[code].name;
}

static bool error_ends_by_a_person(enum error_kind kind)
{
	switch (kind) {
	case ERROR_POISON:
	case ERROR_FULL:
	case ERROR_TRANSIENT:
	case ERROR_REFUSED: /* whoever reports it decides */
	case ERROR_UNCERTAIN:
	case ERROR_MOVED:
	case ERROR_STALE:
	case ERROR_ROUTE:
	case ERROR_STOPPED:
	case ERROR_NO_SPACE:
		return false;
	case ERROR_OUTDATED:
	case ERROR_FATAL:
	case ERROR_DAMAGED:
	case ERROR_FOREIGN:
	case ERROR_ABSENT:
		break;
	}
	return true;
}

static void error_fill(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, va_list args)
{
	err->kind = kind;
	err->code = code;
	err->reason = reasons[code].name;
	err->offset = -1;
	err->needs_person = error_ends_by_a_person(kind);
	err->slow = false;
	err->sqlstate[0] = '\0';
	err->hint[0] = '\0';
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): compiled twice */
	vsnprintf(err->message, sizeof(err->message), format, args);
}

bool error_set(struct error *err, enum error_kind kind, enum error_reason code, const char *format,
	...)
{
	va_list args;

	if (err == NULL)
		return false;
	va_start(args, format);
	error_fill(err, kind, code, format, args);
	va_end(args);
	return false;
}

bool error_set_errno_list(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, va_list args)
{
	int number = errno;
	size_t used;

	if (err == NULL)
		return false;
	error_fill(err, kind, code, format, args);
	used = strlen(err->message);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): thread-safe since glibc 2.32 */
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(number));
	return false;
}

bool error_set_errno(struct error *err, enum error_kind kind, enum error_reason code,
	const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)error_set_errno_list(err, kind, code, format, args);
	va_end(args);
	return false;
}

bool error_becomes(struct error *err, enum error_kind kind, enum error_reason code)
{
	if (err == NULL)
		return false;
	err->kind = kind;
	err->code = code;
	err->reason = reasons[code].name;
	return false;
}

enum error_about error_about(const struct error *err)
{
	return reasons[err->code].about;
}

bool error_hint(struct error *err, const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return false;
	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): compiled twice */
	vsnprintf(err->hint, sizeof(err->hint), format, args);
	va_end(args);
	return false;
}

bool error_needs_person(struct error *err)
{
	if (err != NULL)
		err->needs_person = true;
	return false;
}

bool error_took_too_long(struct error *err)
{
	if (err != NULL)
		err->slow = true;
	return false;
}

bool error_prefix(struct error *err, const char *format, ...)
{
	char text[sizeof(err->message)];
	size_t used;
	va_list args;

	if (err == NULL)
		return false;
	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): compiled twice */
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, ": %s", err->message);
	memcpy(err->message, text, sizeof(err->message));
	return false;
}

const char *error_kind_name(enum error_kind kind)
{
	switch (kind) {
	case ERROR_POISON:
		return "poison";
	case ERROR_FULL:
		return "full";
	case ERROR_TRANSIENT:
		return "transient";
	case ERROR_REFUSED:
		return "refused";
	case ERROR_UNCERTAIN:
		return "uncertain";
	case ERROR_MOVED:
		return "moved";
	case ERROR_STALE:
		return "stale";
	case ERROR_ROUTE:
		return "route";
	case ERROR_OUTDATED:
		return "outdated";
	case ERROR_FATAL:
		return "fatal";
	case ERROR_STOPPED:
		return "stopped";
	case ERROR_NO_SPACE:
		return "no_space";
	case ERROR_DAMAGED:
		return "damaged";
	case ERROR_FOREIGN:
		return "foreign";
	case ERROR_ABSENT:
		return "absent";
	}
	return "unknown";
}
