#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdbool.h>

/*
 * CHECK(cond) guards against errors in this program, never against input or I/O. It stays on in
 * release builds: a persister that continues after an internal inconsistency may store wrong
 * billing data.
 */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))

_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif
