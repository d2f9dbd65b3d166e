#include "base/escape.h"

#include "base/utf8.h"

#include <string.h>

/*
 * Code points above ASCII that a terminal obeys or does not show, in order: the general categories
 * Cc, Cf, Zl and Zp of Unicode 15.1 (UnicodeData.txt), the property Default_Ignorable_Code_Point
 * (DerivedCoreProperties.txt), and the noncharacters except the last two of each plane.
 */
static const struct {
	uint32_t first, last;
} escape_ranges[] = {
	{0x80, 0x9f},       /* C1 */
	{0xad, 0xad},       /* soft hyphen */
	{0x34f, 0x34f},     /* combining grapheme joiner */
	{0x600, 0x605},     /* Arabic signs of numbers */
	{0x61c, 0x61c},     /* Arabic letter mark */
	{0x6dd, 0x6dd},     /* Arabic end of ayah */
	{0x70f, 0x70f},     /* Syriac abbreviation mark */
	{0x890, 0x891},     /* Arabic currency marks above */
	{0x8e2, 0x8e2},     /* Arabic disputed end of ayah */
	{0x115f, 0x1160},   /* Hangul fillers */
	{0x17b4, 0x17b5},   /* Khmer inherent vowels */
	{0x180b, 0x180f},   /* Mongolian variation selectors, vowel separator */
	{0x200b, 0x200f},   /* zero width space and joiners, marks of direction */
	{0x2028, 0x202e},   /* line, paragraph; embeddings and overrides of direction */
	{0x2060, 0x206f},   /* word joiner, invisible operators, isolates, deprecated ones */
	{0x3164, 0x3164},   /* Hangul filler */
	{0xfdd0, 0xfdef},   /* noncharacters */
	{0xfe00, 0xfe0f},   /* variation selectors */
	{0xfeff, 0xfeff},   /* byte order mark */
	{0xffa0, 0xffa0},   /* halfwidth Hangul filler */
	{0xfff0, 0xfffb},   /* reserved; interlinear annotations */
	{0x110bd, 0x110bd}, /* Kaithi number sign */
	{0x110cd, 0x110cd}, /* Kaithi number sign above */
	{0x13430, 0x1343f}, /* joiners of Egyptian hieroglyphs */
	{0x1bca0, 0x1bca3}, /* controls of shorthand */
	{0x1d173, 0x1d17a}, /* beams, ties, slurs and phrases of music */
	{0xe0000, 0xe0fff}, /* tags, variation selectors, reserved */
};

static bool escape_is_hostile(uint32_t c)
{
	size_t from = 0, to = sizeof(escape_ranges) / sizeof(*escape_ranges);

	if (c < 0x80)
		return c < 0x20 || c == 0x7f;
	if ((c & 0xfffe) == 0xfffe)
		return true;
	while (from < to) {
		size_t at = from + (to - from) / 2;

		if (c > escape_ranges[at].last)
			from = at + 1;
		else if (c < escape_ranges[at].first)
			to = at;
		else
			return true;
	}
	return false;
}

size_t escape_harmless(struct slice text)
{
	size_t i = 0;

	while (i < text.size) {
		uint32_t c;
		size_t n = utf8_get(slice_skip(text, i), &c);

		if (n == 0 || escape_is_hostile(c))
			break;
		i += n;
	}
	return i;
}

/* The first character of text needs an escape. Returns its size in text. */
static size_t escape_one(struct slice text, char out[static ESCAPE_BYTES])
{
	uint32_t c;
	size_t n = utf8_get(text, &c);

	if (n == 0 || c < 0x80) {
		snprintf(out, ESCAPE_BYTES, text.data[0] == '\n' ? "\\n" : "\\x%02x", text.data[0]);
		return 1;
	}
	snprintf(out, ESCAPE_BYTES, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
	return n;
}

/* In JSON's notation. Valid JSON has no bytes that are not UTF-8, and no NUL. */
static size_t escape_one_json(struct slice text, char out[static ESCAPE_BYTES])
{
	uint32_t c;
	size_t n = utf8_get(text, &c);

	if (n == 0) {
		snprintf(out, ESCAPE_BYTES, "\\ufffd");
		return 1;
	}
	if (c == '\n' || c == '\r' ||
		c == '\t') /* only between values: within strings they are escaped */
		snprintf(out, ESCAPE_BYTES, "%c", (int)c);
	else if (c > 0xffff)
		snprintf(out, ESCAPE_BYTES, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10),
			0xdc00 + (c & 0x3ff));
	else
		snprintf(out, ESCAPE_BYTES, "\\u%04x", c);
	return n;
}

size_t escape_first(struct slice text, char out[static ESCAPE_BYTES])
{
	uint32_t c;
	size_t n = utf8_get(text, &c);

	if (n == 0 || escape_is_hostile(c))
		return escape_one(text, out);
	memcpy(out, text.data, n);
	out[n] = '\0';
	return n;
}

static bool escape_write(FILE *out, struct slice text,
	size_t (*one)(struct slice text, char out[static ESCAPE_BYTES]))
{
	while (text.size > 0) {
		char escape[ESCAPE_BYTES];
		size_t run = escape_harmless(text);

		if (fwrite(text.data, 1, run, out) != run)
			return false;
		text = slice_skip(text, run);
		if (text.size == 0)
			break;
		text = slice_skip(text, one(text, escape));
		if (fputs(escape, out) < 0)
			return false;
	}
	return true;
}

bool escape_print(FILE *out, struct slice text)
{
	return escape_write(out, text, escape_one);
}

bool escape_print_json(FILE *out, struct slice json)
{
	return escape_write(out, json, escape_one_json);
}

void escape_print_padded(FILE *out, const char *text, int width)
{
	struct slice left = slice_from_cstr(text);
	int printed = (int)left.size;

	while (left.size > 0) {
		char escape[ESCAPE_BYTES];
		size_t n;

		left = slice_skip(left, escape_harmless(left));
		if (left.size == 0)
			break;
		n = escape_one(left, escape);
		printed += (int)strlen(escape) - (int)n;
		left = slice_skip(left, n);
	}
	(void)escape_print(out, slice_from_cstr(text));
	fprintf(out, "%*s", width > printed ? width - printed : 0, "");
}

const char *escape_into(char *out, size_t room, const char *text)
{
	struct slice left = slice_from_cstr(text);
	size_t used = 0;

	while (left.size > 0) {
		char escape[ESCAPE_BYTES];
		size_t run = escape_harmless(left), size;

		if (run > room - 1 - used)
			run = room - 1 - used;
		memcpy(out + used, left.data, run);
		used += run;
		left = slice_skip(left, run);
		if (left.size == 0 || used + 1 == room)
			break;
		left = slice_skip(left, escape_one(left, escape));
		size = strlen(escape);
		if (used + size + 1 > room)
			break;
		memcpy(out + used, escape, size);
		used += size;
	}
	out[used] = '\0';
	return out;
}
