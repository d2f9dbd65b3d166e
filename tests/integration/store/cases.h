#ifndef STORE_CASES_H
#define STORE_CASES_H

#include "../../unit/unit.h"
#include "base/clock.h"
#include "store/store.h"

/*
 * The store's calls against a real database, in C as its users call them. test_store.py migrates a
 * database, says where it is in STORE_URL, and runs the programs. Each test has keys of its own.
 */
extern struct ocpp_store *store;
extern struct error err;

int store_cases_open(void **state);
int store_cases_close(void **state);

/* A call that must succeed; otherwise its error is shown. */
#define must(call)                                                                                 \
	do {                                                                                       \
		if (!(call))                                                                       \
			fail_msg("%s: %s", #call, err.message);                                    \
	} while (0)

#define must_find(call)                                                                            \
	do {                                                                                       \
		enum ocpp_outcome outcome_ = (call);                                               \
		if (outcome_ != OCPP_FOUND)                                                        \
			fail_msg("%s: %s", #call,                                                  \
				outcome_ == OCPP_ABSENT ? "absent" : err.message);                 \
	} while (0)

#define must_not_find(call)                                                                        \
	do {                                                                                       \
		enum ocpp_outcome outcome_ = (call);                                               \
		if (outcome_ != OCPP_ABSENT)                                                       \
			fail_msg("%s: %s", #call, outcome_ == OCPP_FOUND ? "found" : err.message); \
	} while (0)

/* 2026-01-31T10:00:00Z, and moments after it. */
#define AT(seconds) (INT64_C(1769853600000000) + (int64_t)(seconds)*US_PER_SECOND)

#endif
