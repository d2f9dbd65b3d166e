#include "cli/syntax.h"

#include "base/check.h"
#include "store/generic.h"

#include <ctype.h>
#include <string.h>

/* The state of the parser. */
struct syntax_reader {
	struct syntax *out;
	size_t level; /* words of this alternative so far, without those in brackets */
	struct syntax_option *open; /* the last option; this token may be its value */
	struct syntax_option seen;  /* used for an option that was read before */
	const char *at;             /* position in the arguments */
	const char *token;          /* without brackets, dots and commas */
	size_t token_size;
	bool optional, closed; /* it began, or ended, with a bracket */
};

int syntax_word(const char **list, const char **word_out)
{
	size_t size = strcspn(*list, " ");

	*word_out = *list;
	*list += size + ((*list)[size] == ' ');
	return (int)size;
}

static void syntax_add(char *list, const char *word, size_t size)
{
	size_t used = strlen(list);

	CHECK(used + size + 2 <= SYNTAX_WORDS_BYTES);
	if (used > 0)
		list[used++] = ' ';
	memcpy(list + used, word, size);
	list[used + size] = '\0';
}

static bool syntax_is(const char *word, size_t size, const char *name)
{
	return size == strlen(name) && memcmp(word, name, size) == 0;
}

/* A word as it is, or what a word in capitals stands for, if known. */
static void syntax_add_known(char *list, const char *word, size_t size)
{
	if (!isupper((unsigned char)word[0])) {
		syntax_add(list, word, size);
	} else if (syntax_is(word, size, "FILE") || syntax_is(word, size, "SOURCE")) {
		syntax_add(list, "@files", strlen("@files"));
	} else if (syntax_is(word, size, "DIR")) {
		syntax_add(list, "@folders", strlen("@folders"));
	} else if (syntax_is(word, size, "ENTITY")) {
		for (size_t i = 0; i < store_entities_count; i++)
			syntax_add(list, store_entities[i].name, strlen(store_entities[i].name));
	}
}

static struct syntax_option *syntax_option(struct syntax_reader *r, const char *name, size_t size)
{
	struct syntax *s = r->out;
	struct syntax_option *o;

	for (size_t i = 0; i < s->options_count; i++) {
		if (!syntax_is(name, size, s->options[i].name))
			continue;
		r->seen = (struct syntax_option){.takes_value = false};
		return &r->seen;
	}
	CHECK(s->options_count < SYNTAX_OPTIONS_MAX && size < SYNTAX_NAME_BYTES);
	o = &s->options[s->options_count++];
	memcpy(o->name, name, size);
	return o;
}

/* The next token between blanks. */
static bool syntax_token(struct syntax_reader *r)
{
	const char *end;

	r->at += strspn(r->at, " ");
	r->token = r->at;
	r->at += strcspn(r->at, " ");
	end = r->at;
	r->optional = *r->token == '[';
	while (*r->token == '[')
		r->token++;
	r->closed = false;
	while (end > r->token && strchr("].,", end[-1]) != NULL) {
		r->closed = r->closed || end[-1] == ']';
		end--;
	}
	r->token_size = (size_t)(end - r->token);
	return r->at > r->token;
}

static bool syntax_is_option(const char *word, size_t size)
{
	return size > 2 && memcmp(word, "--", 2) == 0;
}

/* Puts a word at its place in the order of words. */
static void syntax_place(struct syntax_reader *r, const char *word, size_t size)
{
	struct syntax_alternative *a = &r->out->alternatives[r->out->alternatives_count - 1];

	if (r->level == 0) {
		syntax_add_known(r->optional ? r->out->again : a->heads, word, size);
		syntax_add_known(r->out->first, word, size);
	} else if (r->level == 1) {
		syntax_add_known(a->next, word, size);
	}
}

/* The parts of a token between "|": options, values of the option before it, or words. */
static void syntax_parts(struct syntax_reader *r)
{
	const char *part = r->token, *end = r->token + r->token_size;
	struct syntax_option *of = r->open, *last = NULL;
	bool placed = false;

	while (part < end) {
		const char *bar = memchr(part, '|', (size_t)(end - part));
		size_t size = (size_t)((bar != NULL ? bar : end) - part);

		last = NULL;
		if (syntax_is_option(part, size)) {
			last = syntax_option(r, part, size);
		} else if (of != NULL) {
			of->takes_value = true;
			syntax_add_known(of->values, part, size);
		} else {
			syntax_place(r, part, size);
			placed = !r->optional;
		}
		part += size + (bar != NULL);
	}
	r->level += placed;
	r->open = r->closed ? NULL : last;
}

void syntax_read(struct syntax *out, const char *arguments)
{
	struct syntax_reader r = {.out = out, .at = arguments};

	memset(out, 0, sizeof(*out));
	out->alternatives_count = 1;
	while (syntax_token(&r)) {
		if (syntax_is(r.token, r.token_size, "|")) {
			CHECK(out->alternatives_count < SYNTAX_ALTERNATIVES_MAX);
			out->alternatives_count++;
			r.level = 0;
			r.open = NULL;
		} else {
			syntax_parts(&r);
		}
	}
}
