#include "store_life.h"

#include "base/clock.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

enum { STORE_TOKENS = 3, STORE_UID_BYTES = 64, STORE_BROKEN = 2, STORE_DEADLINE_S = 30 };

struct store_life {
	const char *url;
	struct ocpp_store *store;
	struct error err;
	char uids[STORE_TOKENS][STORE_UID_BYTES];
	bool failed; /* an error was reported */
};

typedef bool store_step_fn(struct store_life *l);

static bool store_open(struct store_life *l)
{
	struct ocpp_store_options options = {.url = l->url,
		.deadline_us = STORE_DEADLINE_S * US_PER_SECOND};

	return ocpp_store_open(&l->store, &options, &l->err);
}

static bool store_check(struct store_life *l)
{
	return ocpp_store_check(l->store, &l->err);
}

static bool store_set(struct store_life *l)
{
	struct ocpp_token tokens[STORE_TOKENS];

	for (int i = 0; i < STORE_TOKENS; i++)
		tokens[i] = (struct ocpp_token){.uid = l->uids[i],
			.type = "RFID",
			.country_code = "GB",
			.party_id = "TWK",
			.contract_id = "C",
			.issuer = "I",
			.valid = true,
			.cache_mode = "ALWAYS"};
	return ocpp_token_set(l->store, tokens, STORE_TOKENS, &l->err);
}

/* A call that succeeds has done what it says. */
static bool store_expect(struct store_life *l, bool right, const char *what)
{
	if (!right)
		error_set(&l->err, ERROR_FATAL, REASON_unexpected, "broken: %s", what);
	return right;
}

static bool store_lookup(struct store_life *l)
{
	const struct ocpp_token *found = NULL;
	enum ocpp_outcome outcome = ocpp_token_lookup(l->store, l->uids[1], &found, &l->err);
	bool ok = outcome != OCPP_ERROR &&
		  store_expect(l,
			  outcome == OCPP_FOUND && strcmp(found->uid, l->uids[1]) == 0 &&
				  strcmp(found->type, "RFID") == 0,
			  "a token that was set is not found");

	ocpp_free(found);
	return ok;
}

static bool store_list(struct store_life *l)
{
	char before[STORE_UID_BYTES];
	struct ocpp_page page = {.after = before, .limit = STORE_TOKENS};
	const struct ocpp_token *found = NULL;
	size_t count = 0;
	bool ok, same;

	snprintf(before, sizeof(before), "%.*s", (int)strlen(l->uids[0]) - 1, l->uids[0]);
	ok = ocpp_token_list(l->store, &page, &found, &count, &l->err);
	same = count == STORE_TOKENS;
	for (size_t i = 0; ok && same && i < count; i++)
		same = strcmp(found[i].uid, l->uids[i]) == 0;
	ok = ok && store_expect(l, same, "the list is not what was set");
	ocpp_free(found);
	return ok;
}

static bool store_delete(struct store_life *l)
{
	return ocpp_token_delete(l->store, l->uids[1], 0, &l->err);
}

static bool store_lookup_deleted(struct store_life *l)
{
	const struct ocpp_token *found = NULL;
	enum ocpp_outcome outcome = ocpp_token_lookup(l->store, l->uids[1], &found, &l->err);

	ocpp_free(found);
	return outcome != OCPP_ERROR &&
	       store_expect(l, outcome == OCPP_ABSENT, "a token that was deleted is found");
}

static bool store_forget(struct store_life *l)
{
	return ocpp_store_forget(l->store, US_PER_SECOND, &l->err);
}

int store_life(const char *url, const char *key)
{
	static store_step_fn *const steps[] = {store_open, store_check, store_set, store_lookup,
		store_list, store_delete, store_lookup_deleted, store_forget};
	struct store_life l = {.url = url};
	bool ok = true;

	for (int i = 0; i < STORE_TOKENS; i++)
		snprintf(l.uids[i], sizeof(l.uids[i]), "%s%d", key, i);
	for (size_t i = 0; ok && i < sizeof(steps) / sizeof(steps[0]); i++) {
		l.err = (struct error){0};
		if (steps[i](&l))
			continue;
		fprintf(stderr, "error: %s\n", l.err.message);
		l.failed = true;
		ok = strncmp(l.err.message, "broken", strlen("broken")) != 0 && steps[i](&l);
		if (!ok)
			fprintf(stderr, "broken: step %zu: %s\n", i, l.err.message);
	}
	if (l.store != NULL)
		ocpp_store_close(&l.store);
	return !ok ? STORE_BROKEN : l.failed;
}
