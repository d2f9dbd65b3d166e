#include "privacy/forget.h"

#include "base/hex.h"
#include "base/utf8.h"
#include "pg/connect.h"
#include "pg/pg_error.h"
#include "privacy/forget_wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FORGET_ROUNDS_MAX = 100, FORGET_HEX_BYTES = 2 * SHA256_BYTES + 3 };

/* While it waits for the batches in progress, no worker begins another. */
enum { FORGET_LOCK_MS = 50, FORGET_LOCK_MAX_MS = 5000, FORGET_QUEUE_MS = 3000 };

bool forget_check(struct slice token, struct error *err)
{
	bool plain = utf8_is_storable(token);

	for (size_t i = 0; plain && i < token.size; i++)
		plain = token.data[i] >= ' ' && token.data[i] != 0x7f;
	if (!plain)
		return error_set(err, ERROR_FATAL, REASON_usage,
			"the token is not UTF-8, or has control characters");
	if (token.size > TOKEN_BYTES_MAX)
		return error_set(err, ERROR_FATAL, REASON_usage, "the token has more than %d bytes",
			TOKEN_BYTES_MAX);
	if (token.size >= TOKEN_BYTES_MIN)
		return true;
	return error_set(err, ERROR_FATAL, REASON_usage,
		"the token has fewer than %d bytes: a text that short has other meanings in "
		"messages",
		TOKEN_BYTES_MIN);
}

/* ---- one at a time ---- */

/*
 * Held until the connection ends, files included. Whoever copies rows to a file has a share of it
 * until their table is dropped (retire_keep_tokens()): the file would be passed over. It queues for
 * the lock, since `partitions archive` takes its share again for each partition.
 */
static bool forget_lock(PGconn *conn, struct error *err)
{
	struct forget_wait wait;
	char sql[128];

	snprintf(sql, sizeof(sql),
		"SET lock_timeout = %d; "
		"SELECT pg_advisory_lock(hashtext('ocpp-persister forget'), 0)",
		FORGET_QUEUE_MS);
	forget_wait_begin(&wait, FORGET_LOCK_MS, FORGET_LOCK_MS);
	while (!pg_exec(conn, sql, err)) {
		if (!pg_error_is_lock(err))
			return false;
		forget_wait_pause(&wait, "for another process, which forgets a token or archives "
					 "a partition");
	}
	return true;
}

/* ---- the pseudonym ---- */

/* In PostgreSQL's notation for bytea. */
static void forget_hex(const uint8_t hash[static SHA256_BYTES], char out[static FORGET_HEX_BYTES])
{
	out[0] = '\\';
	out[1] = 'x';
	*hex_put(out + 2, hash, SHA256_BYTES) = '\0';
}

static bool forget_hash(PGconn *conn, struct slice token, char out[static FORGET_HEX_BYTES],
	struct error *err)
{
	PGresult *r = pg_query(conn, "SELECT salt FROM forgotten_salt", 0, NULL, err);
	uint8_t hash[SHA256_BYTES];
	unsigned char *salt = NULL;
	size_t size = 0;

	if (r == NULL)
		return false;
	if (PQntuples(r) == 1)
		salt = PQunescapeBytea((const unsigned char *)PQgetvalue(r, 0, 0), &size);
	PQclear(r);
	if (salt == NULL)
		return error_set(err, ERROR_FATAL, REASON_unexpected,
			"forgotten_salt does not have one row");
	pseudonyms_hash(slice_of(salt, size), token, hash);
	PQfreemem(salt);
	forget_hex(hash, out);
	return true;
}

static bool forget_find(PGconn *conn, const char *hash, struct forget_result *out,
	struct error *err)
{
	const char *params[] = {hash};
	PGresult *r = pg_query(conn,
		"SELECT pseudonym FROM forgotten_tokens WHERE token_hash = $1::bytea", 1, params,
		err);

	if (r == NULL)
		return false;
	out->was_known = PQntuples(r) == 1;
	if (out->was_known)
		snprintf(out->pseudonym, sizeof(out->pseudonym), "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	return true;
}

/* A letter first, then letters and digits that are hard to confuse. */
static bool forget_make(size_t size, char out[static TOKEN_BYTES_MAX + 1], struct error *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t random[TOKEN_BYTES_MAX];

	if (getrandom(random, size, 0) != (ssize_t)size)
		return error_set_errno(err, ERROR_FATAL, REASON_random,
			"could not make a random number");
	for (size_t i = 0; i < size; i++)
		out[i] = digits[i == 0 ? random[i] % 16 : random[i] % 32];
	out[size] = '\0';
	return true;
}

/* Once this is committed, no worker stores the token: their claims wait for it, and it waits for
 * the batches in progress. */
static bool forget_announce(PGconn *conn, const char *hash, const char *pseudonym,
	struct error *err)
{
	const char *params[] = {hash, pseudonym};
	struct forget_wait wait;
	struct error ignored;

	forget_wait_begin(&wait, FORGET_LOCK_MS, FORGET_LOCK_MAX_MS);
	for (;;) {
		char sql[256];
		PGresult *r;
		bool ok;

		snprintf(sql, sizeof(sql),
			"SET lock_timeout = %" PRId64 "; BEGIN; "
			"LOCK TABLE ingest_progress IN SHARE ROW EXCLUSIVE MODE; "
			"UPDATE ingest_progress SET forgotten = forgotten + 1",
			wait.lock_ms);
		ok = pg_exec(conn, sql, err);
		r = ok ? pg_query(conn, "INSERT INTO forgotten_tokens VALUES ($1::bytea, $2)", 2,
				 params, err)
		       : NULL;
		ok = r != NULL && pg_exec(conn, "COMMIT", err);
		PQclear(r);
		if (ok)
			return true;
		if (!pg_exec(conn, "ROLLBACK", &ignored))
			return false;
		if (!pg_error_is_lock(err) && !pg_error_is_deadlock(err))
			return false;
		forget_wait_pause(&wait,
			"for the batches and files that workers and replays are storing, up to 5 s "
			"at a time, in which they begin nothing else");
	}
}

static bool forget_settle(PGconn *conn, struct slice token, const char *hash,
	struct forget_result *out, struct error *err)
{
	do { /* a short one may already be in use */
		if (!forget_make(token.size, out->pseudonym, err))
			return false;
		if (forget_announce(conn, hash, out->pseudonym, err))
			return true;
	} while (pg_error_is_duplicate(err));
	return false;
}

/* ---- all of it ---- */

/* Once this commits, everything committed before it is on disk, too. */
static bool forget_sync(PGconn *conn, const char *hash, struct error *err)
{
	const char *params[] = {hash};
	PGresult *r;

	if (!pg_exec(conn, "SET synchronous_commit = on", err))
		return false;
	r = pg_query(conn,
		"UPDATE forgotten_tokens SET forgotten_at = forgotten_at "
		"WHERE token_hash = $1::bytea",
		1, params, err);
	PQclear(r);
	return r != NULL;
}

/* What was changed, plus what was counted when everything was done. */
static void forget_add_up(struct forget_tables *done, struct forget_tables *counted)
{
	for (size_t i = 0; i < counted->count; i++) {
		struct forget_table *t = &counted->items[i];
		const struct forget_table *of = forget_tables_at(done, t->name);

		t->rows = of->rows;
		t->refused = of->refused;
		memcpy(t->refusal, of->refusal, sizeof(t->refusal));
	}
	counted->rows = done->rows;
	counted->refused = done->refused;
	*done = *counted;
}

static bool forget_everywhere(PGconn *conn, const struct forget_words *words,
	struct forget_result *out, struct error *err)
{
	struct forget_tables left;
	struct forget_tables *done = &out->tables;

	/* Otherwise rows stay locked until the COMMIT is on disk. */
	if (!pg_exec(conn, "SET synchronous_commit = off", err))
		return false;
	for (int round = 0; round < FORGET_ROUNDS_MAX; round++) {
		if (!forget_tables_replace(conn, words, done, err) ||
			!forget_tables_count(conn, words, &left, err))
			return false;
		if (left.rows > done->refused)
			continue;
		forget_add_up(done, &left);
		return true;
	}
	error_set(err, ERROR_TRANSIENT, REASON_conflict,
		"the token is still in %llu rows after %d rounds: something keeps storing it",
		(unsigned long long)left.rows, FORGET_ROUNDS_MAX);
	return error_hint(err, "stop any older version of the program that runs beside this one");
}

bool forget_token(PGconn *conn, struct slice token, bool only_count, struct forget_result *out,
	struct error *err)
{
	char hash[FORGET_HEX_BYTES];
	struct forget_words words;

	*out = (struct forget_result){.was_known = false};
	if (!forget_lock(conn, err) || !forget_hash(conn, token, hash, err) ||
		!forget_find(conn, hash, out, err))
		return false;
	if (!only_count && !out->was_known && !forget_settle(conn, token, hash, out, err))
		return false;
	forget_words_make(&words, token, out->pseudonym);
	if (only_count)
		return forget_tables_count(conn, &words, &out->tables, err);
	return forget_everywhere(conn, &words, out, err) && forget_sync(conn, hash, err);
}
