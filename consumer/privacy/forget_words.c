#include "privacy/forget_words.h"

#include "base/msgpack_text.h"

#include <stdio.h>
#include <string.h>

enum forget_word {
	WORD_TOKEN,
	WORD_PSEUDONYM,
	WORD_PLAIN,        /* anywhere in a text */
	WORD_QUOTED,       /* as a value in a text */
	WORD_INSTEAD,      /* the replacement for that */
	WORD_BYTES_PLAIN,  /* anywhere in bytes */
	WORD_BYTES_QUOTED, /* as a value in bytes; the replacement is WORD_INSTEAD */
};

const char forget_words_sql[] =
	"(SELECT $1::text AS token, $2::text AS pseudonym, $3::text AS plain, $4::text AS quoted, "
	"$5::text AS instead, $6::text AS bytes_plain, $7::text AS bytes_quoted) f";

/* For sampled values, where digits are the reading. */
#define WORD_OF_READINGS                                                                           \
	"(CASE WHEN f.token ~ '^[0-9.]+$' THEN '(?<!\"value\": )' ELSE '' END || f.quoted)"

/* COLLATE "C": only ASCII letters are compared without regard to case. */
static const struct forget_kind kinds[] = {
	{"name", "lower(x.@ COLLATE \"C\") = lower(f.token COLLATE \"C\")", "f.pseudonym", NULL},
	{"words", "x.@ COLLATE \"C\" ~* f.quoted",
		"regexp_replace(x.@ COLLATE \"C\", f.quoted, f.instead, 'gi')",
		"x.@ COLLATE \"C\" ~* f.plain"},
	{"json", "x.@::text COLLATE \"C\" ~* f.quoted",
		"regexp_replace(x.@::text COLLATE \"C\", f.quoted, f.instead, 'gi')::jsonb",
		"x.@::text COLLATE \"C\" ~* f.plain"},
	{"readings", "x.@::text COLLATE \"C\" ~* " WORD_OF_READINGS,
		"regexp_replace(x.@::text COLLATE \"C\", " WORD_OF_READINGS
		", f.instead, 'gi')::jsonb",
		"x.@::text COLLATE \"C\" ~* f.plain"},
	{"bytes", "encode(x.@, 'escape') COLLATE \"C\" ~* f.bytes_quoted",
		"decode(regexp_replace(encode(x.@, 'escape') COLLATE \"C\", f.bytes_quoted, "
		"f.instead, 'gi'), 'escape')",
		"encode(x.@, 'escape') COLLATE \"C\" ~* f.bytes_plain"},
};

const struct forget_kind *forget_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

struct word {
	char *at;
	const char *end;
};

static void word_put(struct word *w, const char *text)
{
	int size = snprintf(w->at, (size_t)(w->end - w->at), "%s", text);

	CHECK(size >= 0 && size < w->end - w->at);
	w->at += size;
}

/* A literal character, whatever it means in regular expressions. */
static void word_put_literal(struct word *w, uint8_t c)
{
	char text[3] = {'\\', (char)c, '\0'};
	bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		     c >= 0x80;

	word_put(w, plain ? text + 1 : text);
}

/* In the notation of encode(bytes, 'escape'). */
static void word_put_byte(struct word *w, uint8_t c)
{
	char text[8];

	if (c == 0 || c >= 0x80) {
		snprintf(text, sizeof(text), "\\\\%03o", (unsigned int)c);
		word_put(w, text);
		return;
	}
	word_put_literal(w, c);
	if (c == '\\')
		word_put_literal(w, c);
}

/* The character at *from, which advances to the next. */
static uint32_t word_next(struct slice token, size_t *from)
{
	uint8_t first = token.data[(*from)++];
	uint32_t c = first < 0x80   ? first
		     : first < 0xe0 ? first & 0x1f
		     : first < 0xf0 ? first & 0xf
				    : first & 7;

	for (; *from < token.size && (token.data[*from] & 0xc0) == 0x80; (*from)++)
		c = c << 6 | (token.data[*from] & 0x3f);
	return c;
}

/* \uXXXX. JSON within JSON has more backslashes, and so does encode(bytes, 'escape'). */
static void word_put_escaped(struct word *w, uint32_t c)
{
	enum { BEYOND = 0x10000, HIGH = 0xd800, LOW = 0xdc00, HALF_BITS = 10, HALF = 0x3ff };
	char text[32];
	bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

	if (c >= BEYOND)
		snprintf(text, sizeof(text), "\\\\+u%04x\\\\+u%04x",
			(unsigned int)(HIGH + ((c - BEYOND) >> HALF_BITS)),
			(unsigned int)(LOW + (c & HALF)));
	else if (letter)
		snprintf(text, sizeof(text), "\\\\+u00(?:%02x|%02x)", (unsigned int)(c & ~0x20U),
			(unsigned int)(c | 0x20U));
	else
		snprintf(text, sizeof(text), "\\\\+u%04x", (unsigned int)c);
	word_put(w, text);
}

enum word_form {
	FORM_TEXT,  /* in a column of text or JSON */
	FORM_BYTES, /* in the output of encode(bytes, 'escape') */
};

static void word_put_as(struct word *w, uint8_t c, enum word_form form)
{
	if (form == FORM_TEXT)
		word_put_literal(w, c);
	else
		word_put_byte(w, c);
}

/* All ways in which JSON may write it within quotes; a token has no control characters. */
static void word_put_json(struct word *w, struct slice token, enum word_form form)
{
	for (size_t at = 0, next = 0; at < token.size; at = next) {
		uint32_t c = word_next(token, &next);

		word_put(w, "(?:");
		if (c == '"' || c == '\\')
			word_put_as(w, '\\', form);
		if (c == '/')
			word_put(w, "\\\\*");
		for (; at < next; at++)
			word_put_as(w, token.data[at], form);
		word_put(w, "|");
		word_put_escaped(w, c);
		word_put(w, ")");
	}
}

static void word_put_plain(struct word *w, struct slice token)
{
	for (size_t i = 0; i < token.size; i++)
		word_put_byte(w, token.data[i]);
}

static bool word_is_stranger(const struct token_stranger *s, bool number)
{
	return number || !s->number;
}

/* What stands before a text is not the name of a member that has no token as its value, nor, of a
 * message, where its id follows: as base/token_places.c finds it. */
static void word_put_not_after(struct word *w, bool number, enum word_form form)
{
	const char *separator = "(?<!\"(?:";

	for (size_t i = 0; i < token_strangers_count; i++) {
		if (!word_is_stranger(&token_strangers[i], number))
			continue;
		word_put(w, separator);
		word_put(w, (const char *)token_strangers[i].name.data);
		separator = "|";
	}
	word_put(w, ")\\\\*\"\\s*:\\s*\\\\*");
	if (number)
		word_put(w, "|\"sampledValue\\\\*\"\\s*:\\s*[[{][^]]*\"value\\\\*\"\\s*:\\s*\\\\*");
	if (form == FORM_BYTES)
		word_put(w, "|^\\s*(?:\\[\\s*){1,2}[2-6]\\s*,\\s*|^\\s*\\{[^{}]*\"id\"\\s*:\\s*");
	word_put(w, ")");
}

/* A name as msgpack has it, shorter than 32 bytes. */
static void word_put_packed(struct word *w, struct slice name)
{
	word_put_byte(w, (uint8_t)(MSGPACK_FIXSTR + name.size));
	word_put(w, (const char *)name.data);
}

/* The same for msgpack, in which a message is an array, or a map with nothing but texts and numbers
 * before its id. */
static void word_put_not_packed_after(struct word *w, bool number)
{
	const char *separator = "(?<!";

	for (size_t i = 0; i < token_strangers_count; i++) {
		if (!word_is_stranger(&token_strangers[i], number))
			continue;
		word_put(w, separator);
		word_put_packed(w, token_strangers[i].name);
		separator = "|";
	}
	if (number) {
		word_put(w, "|");
		word_put_packed(w, slice_from_cstr("sampledValue"));
		word_put(w, ".*");
		word_put_packed(w, slice_from_cstr("value"));
	}
	word_put(w, "|^\\\\22[3-6][\\x02-\\x06]|^\\\\2[01][0-7](?:[^\\\\]|\\\\{2}|\\\\(?:000|2[4-7]"
		    "[0-7]|3[0-2]"
		    "[0-7]|33[0-3]|3[4-7][0-7]))*");
	word_put_packed(w, slice_from_cstr("id"));
	word_put(w, ")");
}

/* The head of a msgpack text of that size: it can be written in more than one way. */
static void word_put_head(struct word *w, size_t size)
{
	uint8_t head[MSGPACK_HEAD_BYTES_MAX];

	for (size_t type = MSGPACK_STR8; type <= MSGPACK_STR32; type++) {
		size_t count = msgpack_put_head(head, type, size);

		for (size_t i = 0; i < count; i++)
			word_put_byte(w, head[i]);
		word_put(w, type < MSGPACK_STR32 ? "|" : "");
	}
	if (size <= MSGPACK_FIXSTR_MAX) {
		word_put(w, "|");
		word_put_byte(w, (uint8_t)(MSGPACK_FIXSTR + size));
	}
}

static struct word word_begin(struct forget_words *w, enum forget_word i)
{
	return (struct word){w->text[i], w->text[i] + FORGET_WORD_BYTES};
}

void forget_words_make(struct forget_words *w, struct slice token, const char *pseudonym)
{
	bool number = token_is_number(token);
	struct word at;

	CHECK(token.size <= TOKEN_BYTES_MAX);
	for (int i = 0; i < FORGET_WORDS; i++)
		w->params[i] = w->text[i];
	snprintf(w->text[WORD_TOKEN], FORGET_WORD_BYTES, "%.*s", SLICE_ARG(token));
	snprintf(w->text[WORD_PSEUDONYM], FORGET_WORD_BYTES, "%s", pseudonym);
	snprintf(w->text[WORD_INSTEAD], FORGET_WORD_BYTES, "\\1\\2%s", pseudonym);
	at = word_begin(w, WORD_PLAIN);
	word_put_json(&at, token, FORM_TEXT);
	at = word_begin(w, WORD_QUOTED);
	word_put_not_after(&at, number, FORM_TEXT);
	word_put(&at, "(^|\")");
	word_put_json(&at, token, FORM_TEXT);
	word_put(&at, "(?:$|(?=\\\\*\"))");
	at = word_begin(w, WORD_BYTES_PLAIN);
	word_put_json(&at, token, FORM_BYTES);
	word_put(&at, "|");
	word_put_plain(&at, token);
	at = word_begin(w, WORD_BYTES_QUOTED);
	word_put_not_after(&at, number, FORM_BYTES);
	word_put(&at, "(\")");
	word_put_json(&at, token, FORM_BYTES);
	word_put(&at, "(?=\\\\*\")|");
	word_put_not_packed_after(&at, number);
	word_put(&at, "(");
	word_put_head(&at, token.size);
	word_put(&at, ")");
	word_put_plain(&at, token);
}
