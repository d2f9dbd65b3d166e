#include "base/pseudonyms.h"

#include "base/digest.h"
#include "base/text.h"
#include "base/token_hash.h"

#include <stdlib.h>

enum {
	ENTRIES_BEGIN = 64,
	/* Texts that were looked up lately and are not in the list: words such as "Accepted". */
	REJECTED_SLOTS = 1024, /* a power of two */
	HASHED_SLOTS = 4096,   /* likewise: tokens whose hashes are known */
	HASHED_BYTES = 40,     /* longer ones are not remembered */
	MSGPACK_STR8 = 0xd9,
	MSGPACK_FIXSTR = 0xa0,
	MSGPACK_FIXSTR_MAX = 31,
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
	return memcmp(a, b, SHA256_BYTES); /* which begins with its hash */
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

/* The bytes of the text of JSON that begins at from, if it may be a token; a quote within JSON that
 * is a text itself has a backslash before it. 0: it may not. */
static size_t bytes_quoted(struct slice bytes, size_t from)
{
	size_t end = from;

	while (end < bytes.size && end - from <= TOKEN_BYTES_MAX && bytes.data[end] != '"' &&
		bytes.data[end] != '\\')
		end++;
	if (end == bytes.size || end - from > TOKEN_BYTES_MAX)
		return 0;
	return end - from;
}

/* Of COPY: a value of so many bytes follows its length, 32 bits. */
static size_t bytes_of_copy(struct slice bytes, size_t *at)
{
	if (bytes.size - *at < 3 || bytes.data[*at] != 0 || bytes.data[*at + 1] != 0)
		return 0;
	*at += 3;
	return bytes.data[*at - 1];
}

/* The bytes of the text whose head, of JSON, msgpack or COPY, is at *at, which moves on to its
 * first byte; 0 if there is none. Not everything that looks like a head is one: a hash decides. */
static size_t bytes_text(struct slice bytes, size_t *at)
{
	uint8_t head = bytes.data[(*at)++];

	if (head == '"')
		return bytes_quoted(bytes, *at);
	if (head == 0)
		return bytes_of_copy(bytes, at);
	if (head >= MSGPACK_FIXSTR && head <= MSGPACK_FIXSTR + MSGPACK_FIXSTR_MAX)
		return head - MSGPACK_FIXSTR;
	if (head == MSGPACK_STR8 && *at < bytes.size)
		return bytes.data[(*at)++];
	return 0;
}

/* The pseudonym of the text whose head is there, and where its bytes are; absent: none. */
static struct slice bytes_pseudonym(struct pseudonyms *p, struct slice bytes, size_t head,
	size_t *at_out)
{
	size_t at = head, size = bytes_text(bytes, &at);

	*at_out = at;
	if (size == 0 || size > bytes.size - at)
		return (struct slice){NULL, 0};
	return pseudonyms_of(p, slice_of(bytes.data + at, size));
}

bool pseudonyms_in_bytes(struct pseudonyms *p, struct arena *arena, struct slice *bytes)
{
	uint8_t *copy = NULL;

	for (size_t head = 0; p->count > 0 && head < bytes->size; head++) {
		size_t at;
		struct slice shown = bytes_pseudonym(p, *bytes, head, &at);

		if (slice_is_absent(shown))
			continue;
		if (copy == NULL) {
			copy = arena_bytes(arena, bytes->size);
			if (copy == NULL)
				return false;
			memcpy(copy, bytes->data, bytes->size);
			*bytes = slice_of(copy, bytes->size);
		}
		memcpy(copy + at, shown.data, shown.size);
	}
	return true;
}

/* ---- bytes in pieces ---- */

enum { STREAM_HELD_BYTES = 4 + TOKEN_BYTES_MAX + 1 }; /* a head, a token, and a quote */

static void stream_replace(struct pseudonyms_stream *s, size_t size, size_t heads)
{
	struct slice bytes = slice_of(s->buffer, size);

	for (size_t head = 0; head < heads; head++) {
		size_t at;
		struct slice shown = bytes_pseudonym(s->list, bytes, head, &at);

		if (slice_is_absent(shown))
			continue;
		memcpy(s->buffer + at, shown.data, shown.size);
		s->count++;
	}
}

bool pseudonyms_stream_add(struct pseudonyms_stream *s, struct slice piece, struct slice *out,
	struct error *err)
{
	size_t size = s->held + piece.size;

	if (size > s->room) {
		uint8_t *more = malloc(size);

		if (more == NULL)
			return pseudonyms_no_memory(err);
		if (s->held > 0)
			memcpy(more, s->buffer + s->given, s->held);
		free(s->buffer);
		s->buffer = more;
		s->room = size;
	} else if (s->held > 0) {
		memmove(s->buffer, s->buffer + s->given, s->held);
	}
	if (piece.size > 0)
		memcpy(s->buffer + s->held, piece.data, piece.size);
	s->given = size > STREAM_HELD_BYTES ? size - STREAM_HELD_BYTES : 0;
	s->held = size - s->given;
	stream_replace(s, size, s->given);
	*out = slice_of(s->buffer, s->given);
	return true;
}

struct slice pseudonyms_stream_rest(struct pseudonyms_stream *s)
{
	struct slice rest;

	if (s->held == 0)
		return (struct slice){NULL, 0};
	memmove(s->buffer, s->buffer + s->given, s->held);
	stream_replace(s, s->held, s->held);
	rest = slice_of(s->buffer, s->held);
	s->held = 0;
	return rest;
}

void pseudonyms_stream_free(struct pseudonyms_stream *s)
{
	free(s->buffer);
	s->buffer = NULL;
	s->room = s->held = s->given = 0;
}
