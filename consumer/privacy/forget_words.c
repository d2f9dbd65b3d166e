#include "privacy/forget_words.h"

#include <stdio.h>
#include <string.h>

enum forget_word {
	WORD_TOKEN,
	WORD_PSEUDONYM,
	WORD_PLAIN,        /* anywhere in a text */
	WORD_QUOTED,       /* as a value of a text */
	WORD_INSTEAD,      /* of that */
	WORD_BYTES_PLAIN,  /* anywhere in bytes */
	WORD_BYTES_QUOTED, /* as a value of bytes; instead of it: WORD_INSTEAD */
};

const char forget_words_sql[] =
	"(SELECT $1::text AS token, $2::text AS pseudonym, $3::text AS plain, $4::text AS quoted, "
	"$5::text AS instead, $6::text AS bytes_plain, $7::text AS bytes_quoted) f";

/* COLLATE "C": only letters of ASCII are the same in either case. */
static const struct forget_kind kinds[] = {
	{"name", "lower(x.@ COLLATE \"C\") = lower(f.token COLLATE \"C\")", "f.pseudonym", NULL},
	{"words", "x.@ COLLATE \"C\" ~* f.quoted",
		"regexp_replace(x.@ COLLATE \"C\", f.quoted, f.instead, 'gi')",
		"x.@ COLLATE \"C\" ~* f.plain"},
	{"json", "x.@::text COLLATE \"C\" ~* f.quoted",
		"regexp_replace(x.@::text COLLATE \"C\", f.quoted, f.instead, 'gi')::jsonb",
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

/* A character as itself, whatever it means to regular expressions. */
static void word_put_literal(struct word *w, uint8_t c)
{
	char text[3] = {'\\', (char)c, '\0'};
	bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		     c >= 0x80;

	word_put(w, plain ? text + 1 : text);
}

/* As encode(bytes, 'escape') writes it. */
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

/* As JSON writes it within quotes; a token has no control characters. */
static void word_put_json(struct word *w, struct slice token)
{
	for (size_t i = 0; i < token.size; i++) {
		if (token.data[i] == '"' || token.data[i] == '\\')
			word_put_literal(w, '\\');
		word_put_literal(w, token.data[i]);
	}
}

/* json: as JSON has it within quotes. */
static void word_put_bytes(struct word *w, struct slice token, bool json)
{
	for (size_t i = 0; i < token.size; i++) {
		if (json && (token.data[i] == '"' || token.data[i] == '\\'))
			word_put_byte(w, '\\');
		word_put_byte(w, token.data[i]);
	}
}

/* The head of a text of msgpack of that size. */
static void word_put_head(struct word *w, size_t size)
{
	enum { FIXSTR = 0xa0, FIXSTR_MAX = 31, STR8 = 0xd9 };

	if (size <= FIXSTR_MAX) {
		word_put_byte(w, (uint8_t)(FIXSTR + size));
		return;
	}
	word_put_byte(w, STR8);
	word_put_byte(w, (uint8_t)size);
}

static struct word word_begin(struct forget_words *w, enum forget_word i)
{
	return (struct word){w->text[i], w->text[i] + FORGET_WORD_BYTES};
}

void forget_words_make(struct forget_words *w, struct slice token, const char *pseudonym)
{
	struct word at;

	CHECK(token.size <= TOKEN_BYTES_MAX);
	for (int i = 0; i < FORGET_WORDS; i++)
		w->params[i] = w->text[i];
	snprintf(w->text[WORD_TOKEN], FORGET_WORD_BYTES, "%.*s", SLICE_ARG(token));
	snprintf(w->text[WORD_PSEUDONYM], FORGET_WORD_BYTES, "%s", pseudonym);
	snprintf(w->text[WORD_INSTEAD], FORGET_WORD_BYTES, "\\1\\2%s", pseudonym);
	at = word_begin(w, WORD_PLAIN);
	word_put_json(&at, token);
	at = word_begin(w, WORD_QUOTED);
	word_put(&at, "(^|\")");
	word_put_json(&at, token);
	word_put(&at, "(?:$|(?=\\\\*\"))");
	at = word_begin(w, WORD_BYTES_PLAIN);
	word_put_bytes(&at, token, false);
	at = word_begin(w, WORD_BYTES_QUOTED);
	word_put(&at, "(\")");
	word_put_bytes(&at, token, true);
	word_put(&at, "(?=\\\\*\")|(");
	word_put_head(&at, token.size);
	word_put(&at, ")");
	word_put_bytes(&at, token, false);
}
