#ifndef PRIVACY_FORGET_H
#define PRIVACY_FORGET_H

#include "base/error.h"
#include "base/pseudonyms.h"
#include "privacy/forget_tables.h"

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * Forgets a token: a random pseudonym of the same length replaces it in every row, and
 * forgotten_tokens keeps the pseudonym with a hash of the token, so that workers store it instead
 * if the token arrives again. Works beside running workers; after an interruption, the same call
 * continues with the same pseudonym; repeated, it changes nothing. Rows that an index or a
 * constraint keeps from being changed are left (tables.refused); the same call changes them once
 * somebody has acted. Blocking; one thread.
 */
struct forget_result {
	char pseudonym[TOKEN_BYTES_MAX + 1]; /* "" if only counted and not forgotten yet */
	bool was_known;                      /* forgotten before */
	struct forget_tables tables;
};

/* Whether it can be a token: POISON (usage) if it is too short, too long, or not text. */
MUST_CHECK bool forget_check(struct slice token, struct error *err);

/* only_count: changes nothing. */
MUST_CHECK bool forget_token(PGconn *conn, struct slice token, bool only_count,
	struct forget_result *out, struct error *err);

#endif
