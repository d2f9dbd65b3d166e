#include "base/token_hash.h"

#include "base/bytes.h"
#include "base/hex.h"
#include "base/msgpack_text.h"
#include "base/sha256.h"
#include "base/text.h"

enum {
	TOKEN_BASE = 36,
	TOKEN_LOWER_BYTES = 255, /* longer than a token of any version; keeps its case */
};

static const struct slice token_keys[] = {SLICE("idTag"), SLICE("parentIdTag"), SLICE("idToken"),
	SLICE("groupIdToken"), SLICE("additionalIdToken")};

bool token_is_key(struct slice name)
{
	for (size_t i = 0; i < sizeof(token_keys) / sizeof(*token_keys); i++) {
		if (slice_equal(name, token_keys[i]))
			return true;
	}
	return false;
}

void token_hash(struct slice key, struct slice token, char out[static TOKEN_HASH_BYTES])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	uint8_t lower[TOKEN_LOWER_BYTES], hash[SHA256_BYTES];
	unsigned __int128 number;

	for (size_t i = 0; token.size <= sizeof(lower) && i < token.size; i++) {
		uint8_t c = token.data[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
	}
	hmac_sha256(key, token.size <= sizeof(lower) ? slice_of(lower, token.size) : token, hash);
	number = (unsigned __int128)get_be64(hash) << 64 | get_be64(hash + 8);
	out[0] = '#';
	for (int i = TOKEN_HASH_BYTES - 1; i > 0; i--, number /= TOKEN_BASE)
		out[i] = digits[number % TOKEN_BASE];
}

bool token_is_hash(struct slice text)
{
	if (text.size != TOKEN_HASH_BYTES || text.data[0] != '#')
		return false;
	for (size_t i = 1; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

/* ---- bytes ---- */

/* A token in bytes: everything before head is copied as it is; then comes a text. */
struct token_place {
	size_t head;        /* the msgpack head of the text; in JSON, after its quote */
	struct slice token; /* possibly cut off */
	bool msgpack;
	bool number;  /* in JSON: it gets quotes, with `level` backslashes */
	size_t level; /* in JSON: backslashes before each quote */
	bool list;    /* in JSON: others may follow after a comma */
};

static size_t bytes_left(struct slice bytes, size_t at)
{
	return bytes.size - at;
}

/* How many backslashes precede `at`. */
static size_t bytes_backslashes(struct slice bytes, size_t at)
{
	size_t count = 0;

	while (count < at && bytes.data[at - 1 - count] == '\\')
		count++;
	return count;
}

static size_t bytes_skip(struct slice bytes, size_t at, const char *any)
{
	while (at < bytes.size && bytes.data[at] != '\0' && strchr(any, bytes.data[at]) != NULL)
		at++;
	return at;
}

/* A text or a number that begins at `at`; a text ends with the same quote as it began. */
static bool place_json_value(struct slice bytes, size_t at, size_t level, struct token_place *out)
{
	size_t quote = bytes_skip(bytes, at, "\\"), end = bytes_skip(bytes, at, "0123456789");

	if (end > at) {
		*out = (struct token_place){.head = at,
			.token = slice_of(bytes.data + at, end - at),
			.number = true,
			.level = level};
		return end == bytes.size || strchr(".eE", bytes.data[end]) == NULL;
	}
	if (quote == bytes.size || bytes.data[quote] != '"')
		return false;
	level = bytes_backslashes(bytes, quote);
	end = quote + 1;
	while (end < bytes.size &&
		(bytes.data[end] != '"' || bytes_backslashes(bytes, end) != level))
		end++;
	if (end < bytes.size)
		end -= level;
	if (end < quote + 1)
		return false;
	*out = (struct token_place){.head = quote + 1,
		.token = slice_of(bytes.data + quote + 1, end - quote - 1),
		.level = level};
	return true;
}

/* After the key: the rest of its quote, a colon, and a value or a list of them. */
static bool place_in_json(struct slice bytes, size_t at, struct token_place *out)
{
	size_t quote = bytes_skip(bytes, at, "\\");
	bool list;

	if (quote == bytes.size || bytes.data[quote] != '"')
		return false;
	at = bytes_skip(bytes, quote + 1, " \t\r\n");
	if (at == bytes.size || bytes.data[at] != ':')
		return false;
	at = bytes_skip(bytes, at + 1, " \t\r\n");
	list = at < bytes.size && bytes.data[at] == '[';
	if (list)
		at = bytes_skip(bytes, at + 1, " \t\r\n");
	if (!place_json_value(bytes, at, bytes_backslashes(bytes, quote), out))
		return false;
	out->list = list;
	return true;
}

/* The next item of the list after *p. */
static bool place_next(struct slice bytes, struct token_place *p)
{
	size_t at = (size_t)(p->token.data + p->token.size - bytes.data);

	if (!p->list || at == bytes.size)
		return false;
	if (!p->number)
		at = bytes_skip(bytes, at, "\\") + 1;
	at = at < bytes.size ? bytes_skip(bytes, at, " \t\r\n") : bytes.size;
	if (at == bytes.size || bytes.data[at] != ',' ||
		!place_json_value(bytes, bytes_skip(bytes, at + 1, " \t\r\n"), p->level, p))
		return false;
	p->list = true;
	return true;
}

/* After the key: the head of a text, and as much of the text as there is. */
static bool place_in_msgpack(struct slice bytes, size_t head, struct token_place *out)
{
	size_t size, at = head < bytes.size ? msgpack_text(bytes, head, &size) : 0;

	if (at == 0)
		return false;
	if (size > bytes_left(bytes, at))
		size = bytes_left(bytes, at);
	*out = (struct token_place){.head = head,
		.token = slice_of(bytes.data + at, size),
		.msgpack = true};
	return true;
}

/* Where the key that begins at `at` ends; its letters may be written as \uXXXX. 0 if it is another
 * key. */
static size_t place_after_key(struct slice bytes, size_t at, struct slice name, bool json)
{
	for (size_t i = 0; i < name.size; i++) {
		size_t u = json ? bytes_skip(bytes, at, "\\") : at;

		if (at == bytes.size)
			return 0;
		if (bytes.data[at] == name.data[i])
			at++;
		else if (u > at && bytes_left(bytes, u) > 4 && bytes.data[u] == 'u' &&
			 hex_get(bytes.data + u + 1, 4) == name.data[i])
			at = u + 5;
		else
			return 0;
	}
	return at;
}

/* Whether a key begins at `at`, after a quote or the head of a text, and is followed by a text. */
static bool place_at(struct slice bytes, size_t at, struct token_place *out)
{
	bool json = bytes.data[at - 1] == '"';

	for (size_t i = 0; i < sizeof(token_keys) / sizeof(*token_keys); i++) {
		struct slice name = token_keys[i];
		size_t after = place_after_key(bytes, at, name, json);

		if (after == 0)
			continue;
		if (json)
			return place_in_json(bytes, after, out);
		if (bytes.data[at - 1] == MSGPACK_FIXSTR + name.size ||
			(bytes.data[at - 1] == name.size && at > 1 &&
				bytes.data[at - 2] == MSGPACK_STR8))
			return place_in_msgpack(bytes, after, out);
	}
	return false;
}

static void place_put_quote(struct text *t, const struct token_place *p)
{
	if (!p->number)
		return;
	for (size_t i = 0; i < p->level; i++)
		text_put_char(t, '\\');
	text_put_char(t, '"');
}

static void place_put(struct text *t, struct slice key, const struct token_place *p)
{
	char hash[TOKEN_HASH_BYTES];

	token_hash(key, p->token, hash);
	if (p->msgpack)
		text_put_char(t, (char)(MSGPACK_FIXSTR + TOKEN_HASH_BYTES));
	place_put_quote(t, p);
	text_put(t, hash, sizeof(hash));
	place_put_quote(t, p);
}

/* Puts *p and all other items of its list; returns how many bytes are consumed. */
static size_t place_put_all(struct text *t, struct slice key, struct slice bytes, size_t done,
	struct token_place *p)
{
	do {
		if (p->token.size == 0 || token_is_hash(p->token))
			continue;
		text_put(t, bytes.data + done, p->head - done);
		place_put(t, key, p);
		done = (size_t)(p->token.data + p->token.size - bytes.data);
	} while (place_next(bytes, p));
	return done;
}

bool token_hash_in_bytes(struct slice key, struct arena *arena, struct slice *bytes)
{
	size_t done = 0;
	struct text t;

	text_begin(&t, arena);
	for (size_t at = 1; at < bytes->size; at++) {
		struct token_place p;

		if (at < done || !place_at(*bytes, at, &p))
			continue;
		done = place_put_all(&t, key, *bytes, done, &p);
	}
	if (done > 0) {
		text_put(&t, bytes->data + done, bytes->size - done);
		*bytes = text_end(&t);
		return !slice_is_absent(*bytes);
	}
	return true;
}
