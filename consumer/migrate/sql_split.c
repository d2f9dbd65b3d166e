#include "migrate/sql_split.h"

#include <strings.h>

/* The state of reading one statement. Positions are offsets in text. */
struct sql_reader {
	struct slice text;
	size_t at;
	int line;
	int parentheses;
	int body;       /* depth within BEGIN ATOMIC ... END */
	bool was_begin; /* the last word was BEGIN */
};

static int reader_peek(const struct sql_reader *r, size_t ahead)
{
	return r->at + ahead < r->text.size ? r->text.data[r->at + ahead] : -1;
}

static void reader_skip(struct sql_reader *r, size_t count)
{
	for (; count > 0 && r->at < r->text.size; count--) {
		if (r->text.data[r->at] == '\n')
			r->line++;
		r->at++;
	}
}

static bool is_blank(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Bytes above 0x7f belong to identifiers, as in PostgreSQL's scanner. */
static bool is_word_start(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool word_is(struct slice word, const char *text)
{
	return word.size == strlen(text) &&
	       strncasecmp((const char *)word.data, text, word.size) == 0;
}

static void skip_line_comment(struct sql_reader *r)
{
	while (reader_peek(r, 0) != '\n' && reader_peek(r, 0) != -1)
		reader_skip(r, 1);
}

static void skip_block_comment(struct sql_reader *r)
{
	int depth = 0;

	do {
		if (reader_peek(r, 0) == '/' && reader_peek(r, 1) == '*') {
			depth++;
			reader_skip(r, 2);
		} else if (reader_peek(r, 0) == '*' && reader_peek(r, 1) == '/') {
			depth--;
			reader_skip(r, 2);
		} else {
			reader_skip(r, 1);
		}
	} while (depth > 0 && reader_peek(r, 0) != -1);
}

/* A doubled quote reads as one string that ends and another that begins, so it needs no special
 * case. */
static void skip_quoted(struct sql_reader *r, int quote, bool backslashes)
{
	reader_skip(r, 1);
	while (reader_peek(r, 0) != -1 && reader_peek(r, 0) != quote)
		reader_skip(r, backslashes && reader_peek(r, 0) == '\\' ? 2 : 1);
	reader_skip(r, 1);
}

/* Size of the "$tag$" at the reader, or 0 if there is none. */
static size_t dollar_tag_bytes(const struct sql_reader *r)
{
	size_t size = 1;

	if (is_digit(reader_peek(r, 1)))
		return 0;
	while (is_word_start(reader_peek(r, size)) || is_digit(reader_peek(r, size)))
		size++;
	return reader_peek(r, size) == '$' ? size + 1 : 0;
}

static void skip_dollar_quoted(struct sql_reader *r)
{
	size_t size = dollar_tag_bytes(r);
	const uint8_t *tag = r->text.data + r->at;

	if (size == 0) {
		reader_skip(r, 1); /* a parameter: $1 */
		return;
	}
	reader_skip(r, size);
	while (r->text.size - r->at >= size && memcmp(r->text.data + r->at, tag, size) != 0)
		reader_skip(r, 1);
	reader_skip(r, r->text.size - r->at >= size ? size : r->text.size - r->at);
}

/* Two kinds of words matter: E before a quote enables backslashes, and BEGIN ATOMIC opens a body
 * whose statements end with their own semicolons; a CASE within it has an END, too. */
static void read_word(struct sql_reader *r)
{
	const uint8_t *start = r->text.data + r->at;
	struct slice word;

	while (is_word_start(reader_peek(r, 0)) || is_digit(reader_peek(r, 0)) ||
		reader_peek(r, 0) == '$')
		reader_skip(r, 1);
	word = slice_of(start, (size_t)(r->text.data + r->at - start));
	if (word_is(word, "e") && reader_peek(r, 0) == '\'')
		skip_quoted(r, '\'', true);
	else if (word_is(word, r->body > 0 ? "case" : "atomic") && (r->body > 0 || r->was_begin))
		r->body++;
	else if (r->body > 0 && word_is(word, "end"))
		r->body--;
	r->was_begin = word_is(word, "begin");
}

/* Skips blanks and comments. False if there is something else. */
static bool skip_nothing(struct sql_reader *r)
{
	if (is_blank(reader_peek(r, 0)))
		reader_skip(r, 1);
	else if (reader_peek(r, 0) == '-' && reader_peek(r, 1) == '-')
		skip_line_comment(r);
	else if (reader_peek(r, 0) == '/' && reader_peek(r, 1) == '*')
		skip_block_comment(r);
	else
		return false;
	return true;
}

/* One step within a statement. False at the semicolon that ends it, and at the end of the file. */
static bool read_step(struct sql_reader *r)
{
	int c = reader_peek(r, 0);

	if (c == -1 || (c == ';' && r->parentheses <= 0 && r->body == 0))
		return false;
	if (skip_nothing(r))
		return true;
	if (is_word_start(c)) {
		read_word(r);
		return true;
	}
	r->was_begin = false;
	if (c == '\'' || c == '"') {
		skip_quoted(r, c, false);
	} else if (c == '$') {
		skip_dollar_quoted(r);
	} else {
		r->parentheses += (c == '(') - (c == ')');
		reader_skip(r, 1);
		while (is_digit(c) &&
			(is_word_start(reader_peek(r, 0)) || is_digit(reader_peek(r, 0))))
			reader_skip(r, 1); /* 1e'3: the e belongs to the number */
	}
	return true;
}

void sql_split_init(struct sql_split *s, struct slice file)
{
	s->rest = file;
	s->line = 1;
}

bool sql_split_next(struct sql_split *s, struct sql_statement *out)
{
	struct sql_reader r = {.text = s->rest, .line = s->line};
	size_t start;

	while (reader_peek(&r, 0) == ';' || skip_nothing(&r)) {
		if (reader_peek(&r, 0) == ';')
			reader_skip(&r, 1);
	}
	start = r.at;
	out->line = r.line;
	while (read_step(&r))
		;
	out->text = slice_of(s->rest.data + start, r.at - start);
	reader_skip(&r, 1);
	s->rest = slice_of(s->rest.data + r.at, s->rest.size - r.at);
	s->line = r.line;
	return out->text.size > 0;
}

/* The next word of a statement; empty where it is something else. */
static struct slice next_word(struct sql_reader *r)
{
	size_t start;

	while (skip_nothing(r))
		;
	start = r->at;
	if (is_word_start(reader_peek(r, 0)))
		read_word(r);
	return slice_of(r->text.data + start, r->at - start);
}

bool sql_is_transaction_control(struct slice statement)
{
	struct sql_reader r = {.text = statement, .line = 1};
	struct slice first = next_word(&r), second = next_word(&r);

	if (word_is(first, "begin") || word_is(first, "commit") || word_is(first, "end") ||
		word_is(first, "abort"))
		return true;
	if (word_is(first, "start") || word_is(first, "prepare"))
		return word_is(second, "transaction");
	if (!word_is(first, "rollback"))
		return false;
	if (word_is(second, "work") || word_is(second, "transaction"))
		second = next_word(&r);
	return !word_is(second, "to");
}

int sql_line_at(const struct sql_statement *statement, long position)
{
	int line = statement->line;

	for (size_t i = 0; i < statement->text.size; i++) {
		uint8_t c = statement->text.data[i];

		/* Only the first byte of a character counts. */
		if ((c & 0xc0) != 0x80 && --position <= 0)
			break;
		if (c == '\n')
			line++;
	}
	return line;
}
