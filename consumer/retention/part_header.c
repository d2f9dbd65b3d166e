#include "base/digest.h"

#include "base/hex.h"
#include "retention/part_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Header and trailer are lines: a word, a tab, a value; for columns also a second value. */
enum { PART_LINE_BYTES = 256, PART_HEX_BYTES = 2 * SHA256_BYTES };

/* As in the file: not terminated. */
void part_sum(struct slice text, char out[static PART_SUM_BYTES])
{
	char line[PART_SUM_BYTES + 1];

	snprintf(line, sizeof(line), "xxh3 %016" PRIx64 "\n", digest64(text.data, text.size));
	memcpy(out, line, PART_SUM_BYTES);
}

bool part_is(const uint8_t start[static PART_MAGIC_BYTES])
{
	/* The version is left out: an unknown one is reported as such. */
	return part_get_le32(start) == PART_NOTE_MAGIC &&
	       memcmp(start + PART_SKIPPABLE_BYTES, PART_HEADER_LINE,
		       PART_MAGIC_BYTES - PART_SKIPPABLE_BYTES) == 0;
}

size_t part_header_format(const struct part_header *h, char *out, size_t room)
{
	int size = snprintf(out, room,
		PART_HEADER_LINE "\ntable\t%s\nname\t%s\nfrom\t%s\nto\t%s\nschema_version\t%" PRId64
				 "\n",
		h->table, h->name, h->from_time, h->to_time, h->schema_version);

	for (size_t i = 0; i < h->columns_count && size > 0 && (size_t)size < room; i++)
		size += snprintf(out + size, room - (size_t)size, "column\t%s\t%s\n",
			h->columns[i].name, h->columns[i].type);
	return size > 0 && (size_t)size < room ? (size_t)size : 0;
}

/* ---- reading ---- */

/* A line of text as word and value, both terminated; false at the end, or without a tab. */
struct part_line {
	char text[PART_LINE_BYTES];
	const char *value;
};

static bool line_next(struct slice *text, struct part_line *out)
{
	const uint8_t *end = text->size == 0 ? NULL : memchr(text->data, '\n', text->size);
	size_t size = end == NULL ? 0 : (size_t)(end - text->data);
	char *tab;

	if (end == NULL || size >= sizeof(out->text))
		return false;
	memcpy(out->text, text->data, size);
	out->text[size] = '\0';
	tab = strchr(out->text, '\t');
	if (tab == NULL || strlen(out->text) != size)
		return false;
	*tab = '\0';
	out->value = tab + 1;
	*text = slice_skip(*text, size + 1);
	return true;
}

static bool line_copy(char *out, size_t room, const char *value)
{
	return (size_t)snprintf(out, room, "%s", value) < room && *value != '\0';
}

/* Tables that can be archived have plain names, which never need quotes. */
static bool header_is_plain(const char *name)
{
	return *name != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool line_number(const char *value, int64_t *out)
{
	char *end = NULL;

	*out = strtoll(value, &end, 10);
	return *value >= '0' && *value <= '9' && *end == '\0';
}

static bool header_column(struct part_header *h, const char *value)
{
	struct part_column *c = &h->columns[h->columns_count];
	const char *tab = strchr(value, '\t');

	if (tab == NULL || h->columns_count == PART_COLUMNS_MAX ||
		(size_t)(tab - value) >= sizeof(c->name))
		return false;
	memcpy(c->name, value, (size_t)(tab - value));
	c->name[tab - value] = '\0';
	h->columns_count++;
	return c->name[0] != '\0' && line_copy(c->type, sizeof(c->type), tab + 1);
}

/* Unknown words are skipped: a later version may add some. */
static bool header_line(struct part_header *h, const struct part_line *line)
{
	const struct {
		const char *word;
		char *out;
		size_t room;
	} texts[] = {
		{"table", h->table, sizeof(h->table)},
		{"name", h->name, sizeof(h->name)},
		{"from", h->from_time, sizeof(h->from_time)},
		{"to", h->to_time, sizeof(h->to_time)},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (strcmp(line->text, texts[i].word) == 0)
			return line_copy(texts[i].out, texts[i].room, line->value);
	}
	if (strcmp(line->text, "schema_version") == 0)
		return line_number(line->value, &h->schema_version);
	return strcmp(line->text, "column") != 0 || header_column(h, line->value);
}

bool part_header_parse(struct part_header *h, struct slice text, const char **why_out)
{
	struct part_line line;

	*h = (struct part_header){.schema_version = 0};
	*why_out = "its header cannot be read";
	while (text.size > 0) {
		if (!line_next(&text, &line) || !header_line(h, &line))
			return false;
	}
	*why_out = "its header lacks something, or names no table of ours";
	return header_is_plain(h->table) && header_is_plain(h->name) && h->from_time[0] != '\0' &&
	       h->to_time[0] != '\0' && h->schema_version > 0 && h->columns_count > 0;
}

/* ---- the trailer ---- */

size_t part_trailer_format(const struct part_trailer *t, char *out, size_t room)
{
	char hex[PART_HEX_BYTES];
	int size;

	(void)hex_put(hex, t->sha256, SHA256_BYTES);
	size = snprintf(out, room,
		PART_END_LINE "\nrows\t%" PRIu64 "\nother_rows\t%" PRIu64 "\nbytes\t%" PRId64
			      "\nsha256\t%.*s\n",
		t->rows, t->other_rows, t->bytes, PART_HEX_BYTES, hex);
	return size > 0 && (size_t)size < room ? (size_t)size : 0;
}

static bool trailer_digest(const char *text, uint8_t *out)
{
	char again[PART_HEX_BYTES];

	if (strlen(text) != PART_HEX_BYTES)
		return false;
	for (size_t i = 0; i < SHA256_BYTES; i++)
		out[i] = (uint8_t)hex_get((const uint8_t *)text + 2 * i, 2);
	(void)hex_put(again, out, SHA256_BYTES);
	return memcmp(text, again, PART_HEX_BYTES) == 0;
}

bool part_trailer_parse(struct part_trailer *t, struct slice text)
{
	static const char *const words[] = {"rows", "other_rows", "bytes", "sha256"};
	int64_t numbers[3];

	for (size_t i = 0; i < 4; i++) {
		struct part_line line;

		if (!line_next(&text, &line) || strcmp(line.text, words[i]) != 0 ||
			!(i < 3 ? line_number(line.value, &numbers[i])
				: trailer_digest(line.value, t->sha256)))
			return false;
	}
	t->rows = (uint64_t)numbers[0];
	t->other_rows = (uint64_t)numbers[1];
	t->bytes = numbers[2];
	return text.size == 0;
}
