#include "base/escape.h"

#include "base/utf8.h"

#include <string.h>

/* Code points above ASCII that are obeyed and not shown. */
static const struct {
	uint32_t first, last;
} escape_ranges[] = {
	{0x80, 0x9f},       /* C1 */
	{0x61c, 0x61c},     /* Arabic letter mark */
	{0x200e, 0x200f},   /* left-to-right and right-to-left marks */
	{0x2028, 0x202e},   /* line, paragraph; embeddings and overrides of direction */
	{0x2066, 0x206f},   /* isolates of direction, deprecated format characters */
	{0xfeff, 0xfeff},   /* byte order mark */
	{0xfff9, 0xfffb},   /* interlinear annotations */
	{0xe0000, 0xe007f}, /* tags */
};

static bool escape_is_hostile(uint32_t c)
{
	if (c < 0x20 || c == 0x7f)
		return true;
	for (size_t i = 0; c >= 0x80 && i < sizeof(escape_ranges) / sizeof(*escape_ranges); i++) {
		if (c >= escape_ranges[i].first && c <= escape_ranges[i].last)
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

/* The first character of text, which is hostile. Returns how many bytes of text it is. */
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

/* As JSON has it. Bytes that are no UTF-8 are in no valid JSON, NUL neither. */
static size_t escape_one_json(struct slice text, char out[static ESCAPE_BYTES])
{
	uint32_t c;
	size_t n = utf8_get(text, &c);

	if (n == 0) {
		snprintf(out, ESCAPE_BYTES, "\\ufffd");
		return 1;
	}
	if (c == '\n' || c == '\r' ||
		c == '\t') /* between values: within strings they are escaped */
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
