#include "base/pseudonyms.h"

#include "base/digest.h"
#include "base/hex.h"
#include "base/msgpack_text.h"
#include "base/text.h"
#include "base/token_hash.h"
#include "base/utf8.h"

#include <stdlib.h>

enum {
	ENTRIES_BEGIN = 64,
	/* Texts that were looked up recently and are not in the list: words such as "Accepted". */
	REJECTED_SLOTS = 1024, /* a power of two */
	HASHED_SLOTS = 4096,   /* likewise: tokens whose hashes are known */
	HASHED_BYTES = 40,     /* longer ones are not remembered */
	JSON_BACKSLASHES_MAX = 8,
	JSON_TOKEN_BYTES_MAX = 2048, /* a token with escapes */
};

struct pseudonym {
	uint8_t hash[SHA256_BYTES];
	uint8_t size;
	uint8_t text[TOKEN_BYTES_MAX];
};

struct rejected {
	uint8_t size; /* 0 = none */
	uint8_t text[UINT8_MAX];
};

struct hashed {
	uint8_t size; /* 0 = none */
	uint8_t token[HASHED_BYTES];
	char hash[TOKEN_HASH_BYTES];
};

struct pseudonyms {
	struct slice key;
	struct hashed hashed[HASHED_SLOTS];
	struct hashed other; /* a longer one */
	uint8_t *salt;       /* malloc'ed */
	size_t salt_size;
	struct pseudonym *entries; /* malloc'ed, by hash */
	size_t count;
	size_t room;
	bool sorted;
	bool has_size[TOKEN_BYTES_MAX + 1];
	struct rejected rejected[REJECTED_SLOTS];
};

static bool pseudonyms_no_memory(struct error *err)
{
	return error_set(err, ERROR_FATAL, REASON_memory,
		"out of memory reading the forgotten tokens");
}

bool pseudonyms_new(struct pseudonyms **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL || pseudonyms_no_memory(err);
}

void pseudonyms_free(struct pseudonyms **pseudonyms)
{
	struct pseudonyms *p = *pseudonyms;

	*pseudonyms = NULL;
	if (p == NULL)
		return;
	free(p->salt);
	free(p->entries);
	free(p);
}

bool pseudonyms_begin(struct pseudonyms *p, struct slice salt, struct error *err)
{
	uint8_t *copy = malloc(salt.size + 1);

	if (copy == NULL)
		return pseudonyms_no_memory(err);
	memcpy(copy, salt.data, salt.size);
	free(p->salt);
	p->salt = copy;
	p->salt_size = salt.size;
	p->count = 0;
	memset(p->has_size, 0, sizeof(p->has_size));
	memset(p->rejected, 0, sizeof(p->rejected));
	return true;
}

bool pseudonyms_add(struct pseudonyms *p, struct slice token_hash, struct slice pseudonym,
	struct error *err)
{
	struct pseudonym *entry;

	if (token_hash.size != SHA256_BYTES || pseudonym.size == 0 ||
		pseudonym.size > TOKEN_BYTES_MAX)
		return error_set(err, ERROR_FATAL, REASON_unexpected,
			"`forget` has not written this row of forgotten_tokens");
	if (p->count == p->room) {
		size_t room = p->room == 0 ? ENTRIES_BEGIN : 2 * p->room;
		struct pseudonym *more = reallocarray(p->entries, room, sizeof(*more));

		if (more == NULL)
			return pseudonyms_no_memory(err);
		p->entries = more;
		p->room = room;
	}
	entry = &p->entries[p->count++];
	memcpy(entry->hash, token_hash.data, SHA256_BYTES);
	memcpy(entry->text, pseudonym.data, pseudonym.size);
	entry->size = (uint8_t)pseudonym.size;
	p->has_size[entry->size] = true;
	p->sorted = false;
	return true;
}

void pseudonyms_hash(struct slice salt, struct slice token, uint8_t out[static SHA256_BYTES])
{
	uint8_t lower[TOKEN_BYTES_MAX];

	CHECK(token.size <= sizeof(lower));
	for (size_t i = 0; i < token.size; i++) {
		uint8_t c = token.data[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
	}
	hmac_sha256(salt, slice_of(lower, token.size), out);
}

bool pseudonyms_is_empty(const struct pseudonyms *p)
{
	return p->count == 0 && !pseudonyms_has_key(p);
}

void pseudonyms_set_key(struct pseudonyms *p, struct slice key)
{
	p->key = key;
}

bool pseudonyms_has_key(const struct pseudonyms *p)
{
	return p->key.size > 0;
}

struct slice pseudonyms_hashed(struct pseudonyms *p, struct slice token)
{
	struct hashed *h = &p->other;

	if (token.size == 0 || token_is_hash(token))
		return token;
	if (token.size <= HASHED_BYTES) {
		h = &p->hashed[digest64(token.data, token.size) & (HASHED_SLOTS - 1)];
		if (slice_equal(token, slice_of(h->token, h->size)))
			return slice_of(h->hash, sizeof(h->hash));
		h->size = (uint8_t)token.size;
		memcpy(h->token, token.data, token.size);
	}
	token_hash(p->key, token, h->hash);
	return slice_of(h->hash, sizeof(h->hash));
}

bool pseudonyms_hash_bytes(struct pseudonyms *p, struct arena *arena, struct slice *bytes)
{
	return token_hash_in_bytes(p->key, arena, bytes);
}

static int pseudonym_order(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_BYTES); /* an entry begins with its hash */
}

struct slice pseudonyms_of(struct pseudonyms *p, struct slice text)
{
	struct rejected *rejected;
	const struct pseudonym *found;
	uint8_t hash[SHA256_BYTES];

	if (text.size > TOKEN_BYTES_MAX || !p->has_size[text.size])
		return (struct slice){NULL, 0};
	rejected = &p->rejected[digest64(text.data, text.size) & (REJECTED_SLOTS - 1)];
	if (slice_equal(text, slice_of(rejected->text, rejected->size)))
		return (struct slice){NULL, 0};
	if (!p->sorted)
		qsort(p->entries, p->count, sizeof(*p->entries), pseudonym_order);
	p->sorted = true;
	pseudonyms_hash(slice_of(p->salt, p->salt_size), text, hash);
	found = bsearch(hash, p->entries, p->count, sizeof(*p->entries), pseudonym_order);
	if (found != NULL && found->size == text.size)
		return slice_of(found->text, found->size);
	rejected->size = (uint8_t)text.size;
	memcpy(rejected->text, text.data, text.size);
	return (struct slice){NULL, 0};
}

/* ---- bytes ---- */

/* A text within bytes that may be a token. Not everything that looks like one is: its hash
 * decides. */
struct bytes_text {
	size_t at;
	size_t size; /* in the bytes; 0 = there is none */
	/* If JSON spells it with escapes: the unescaped text, and how many bytes the closing quote
	 * has, including the backslashes before it. */
	size_t close;
	size_t plain_size;
	uint8_t plain[TOKEN_BYTES_MAX];
};

static size_t bytes_backslashes(struct slice bytes, size_t at)
{
	size_t count = 0;

	while (at + count < bytes.size && count <= JSON_BACKSLASHES_MAX &&
		bytes.data[at + count] == '\\')
		count++;
	return count;
}

/* \uXXXX, with any number of backslashes; *at moves past it. */
static int32_t bytes_unit(struct slice bytes, size_t *at)
{
	size_t u = *at + bytes_backslashes(bytes, *at);
	int32_t unit;

	if (u == *at || u >= bytes.size || bytes.data[u] != 'u')
		return -1;
	unit = bytes.size - u > 4 ? hex_get(bytes.data + u + 1, 4) : -1;
	if (unit >= 0)
		*at = u + 5;
	return unit;
}

/* The character of the escape at *at, which moves past it; -1 if no token has it. */
static int32_t bytes_escaped(struct slice bytes, size_t *at)
{
	size_t end = *at + bytes_backslashes(bytes, *at);
	int32_t high, low;

	if (end < bytes.size && bytes.data[end] == '/') {
		*at = end + 1;
		return '/';
	}
	high = bytes_unit(bytes, at);
	if (high < 0xd800 || high > 0xdfff)
		return high;
	low = bytes_unit(bytes, at);
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return -1;
	return 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
}

static void bytes_put(struct bytes_text *t, int32_t c)
{
	uint8_t text[4];
	size_t size = (size_t)(utf8_put(text, (uint32_t)c) - text);

	if (size <= sizeof(t->plain) - t->plain_size)
		memcpy(t->plain + t->plain_size, text, size);
	t->plain_size += size;
}

/* The same text, from its first escape at `at` on, unescaped. */
static void bytes_unescape(struct slice bytes, size_t at, struct bytes_text *t)
{
	t->plain_size = at - t->at;
	memcpy(t->plain, bytes.data + t->at, t->plain_size);
	while (at < bytes.size && at - t->at <= JSON_TOKEN_BYTES_MAX &&
		t->plain_size <= sizeof(t->plain)) {
		size_t quote = at + bytes_backslashes(bytes, at);
		int32_t c = bytes.data[at];

		if (quote < bytes.size && bytes.data[quote] == '"') {
			t->size = at - t->at;
			t->close = quote + 1 - at;
			return;
		}
		if (c == '\\') {
			c = bytes_escaped(bytes, &at);
			if (c < 0)
				return;
			bytes_put(t, c);
		} else if (t->plain_size++ < sizeof(t->plain)) {
			t->plain[t->plain_size - 1] = bytes.data[at++];
		}
	}
}

/* The JSON text that begins at t->at, if it may be a token; within JSON that is itself a text, a
 * quote has backslashes before it. */
static void bytes_quoted(struct slice bytes, struct bytes_text *t)
{
	size_t end = t->at, quote;

	while (end < bytes.size && end - t->at <= TOKEN_BYTES_MAX && bytes.data[end] != '"' &&
		bytes.data[end] != '\\')
		end++;
	if (end == bytes.size || end - t->at > TOKEN_BYTES_MAX)
		return;
	quote = end + bytes_backslashes(bytes, end);
	if (quote < bytes.size && (bytes.data[quote] == 'u' || bytes.data[quote] == '/'))
		bytes_unescape(bytes, end, t);
	else
		t->size = end - t->at;
}

/* The text whose head (of JSON or msgpack) is at `head`. */
static void bytes_text(struct slice bytes, size_t head, struct bytes_text *t)
{
	t->at = head + 1;
	t->size = t->close = t->plain_size = 0;
	if (bytes.data[head] == '"')
		bytes_quoted(bytes, t);
	else
		t->at = msgpack_text(bytes, head, &t->size);
}

/* The pseudonym of the text whose head is there; absent if it has none. */
static struct slice bytes_pseudonym(struct pseudonyms *p, struct slice bytes, size_t head,
	enum token_kind kind, struct bytes_text *t)
{
	static const struct slice none = {NULL, 0};
	struct slice text, shown;

	bytes_text(bytes, head, t);
	if (t->size == 0 || t->size > bytes.size - t->at)
		return none;
	text = t->close > 0 ? slice_of(t->plain, t->plain_size)
			    : slice_of(bytes.data + t->at, t->size);
	shown = pseudonyms_of(p, text);
	if (slice_is_absent(shown) || !token_may_be_at(bytes, head, text, kind))
		return none;
	return shown;
}

/* The size stays the same: blanks follow the closing quote of a text that was spelled with
 * escapes. */
static void bytes_replace(uint8_t *bytes, const struct bytes_text *t, struct slice shown)
{
	uint8_t *at = bytes + t->at;

	memcpy(at, shown.data, shown.size);
	if (t->close == 0)
		return;
	memmove(at + shown.size, at + t->size, t->close);
	memset(at + shown.size + t->close, ' ', t->size - shown.size);
}

bool pseudonyms_in_bytes(struct pseudonyms *p, enum token_kind kind, struct arena *arena,
	struct slice *bytes)
{
	uint8_t *copy = NULL;

	for (size_t head = 0; p->count > 0 && head < bytes->size; head++) {
		struct bytes_text t;
		struct slice shown = bytes_pseudonym(p, *bytes, head, kind, &t);

		if (slice_is_absent(shown))
			continue;
		if (copy == NULL) {
			copy = arena_bytes(arena, bytes->size);
			if (copy == NULL)
				return false;
			memcpy(copy, bytes->data, bytes->size);
			*bytes = slice_of(copy, bytes->size);
		}
		bytes_replace(copy, &t, shown);
	}
	return true;
}

/* ---- values of columns ---- */

static uint64_t value_replace(struct pseudonyms *p, enum token_kind kind, uint8_t *bytes,
	size_t size)
{
	uint64_t count = 0;

	for (size_t head = 0; head < size; head++) {
		struct bytes_text t;
		struct slice shown = bytes_pseudonym(p, slice_of(bytes, size), head, kind, &t);

		if (slice_is_absent(shown))
			continue;
		bytes_replace(bytes, &t, shown);
		count++;
	}
	return count;
}

uint64_t pseudonyms_in_value(struct pseudonyms *p, enum token_kind kind, uint8_t *bytes,
	size_t size)
{
	struct slice shown = {NULL, 0};

	if (kind == TOKEN_NAME || kind == TOKEN_WORDS)
		shown = pseudonyms_of(p, slice_of(bytes, size));
	if (!slice_is_absent(shown)) {
		memcpy(bytes, shown.data, shown.size);
		return 1;
	}
	if (kind == TOKEN_NONE || kind == TOKEN_NAME || p->count == 0)
		return 0;
	return value_replace(p, kind, bytes, size);
}
