#include "replay/readers/json_scan.h"

#include "base/hex.h"
#include "base/utf8.h"

static struct slice scan_blanks(struct slice s)
{
	while (s.size > 0 && (*s.data == ' ' || *s.data == '\t' || *s.data == '\r'))
		s = slice_of(s.data + 1, s.size - 1);
	return s;
}

/* Size of the string at the beginning, including quotes; 0 if it is incomplete. */
static size_t scan_string_size(struct slice s)
{
	if (s.size == 0 || *s.data != '"')
		return 0;
	for (size_t i = 1; i < s.size; i++) {
		if (s.data[i] == '\\')
			i++;
		else if (s.data[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Whether c ends a number or word. */
static bool scan_ends_word(uint8_t c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\r';
}

/* Size of the value at the beginning, whatever it is. */
static size_t scan_value_size(struct slice s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];

		if (c == '"') {
			size_t size = scan_string_size(slice_of(s.data + i, s.size - i));

			if (size == 0)
				return 0;
			i += size - 1;
			if (depth == 0)
				return i + 1;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return i; /* the end of a number or word */
			if (--depth == 0)
				return i + 1;
		} else if (depth == 0 && scan_ends_word(c)) {
			return i;
		}
	}
	return depth == 0 ? s.size : 0;
}

/* The value at the beginning of s, and what follows it. */
static bool scan_value(struct slice s, struct slice *rest, struct slice *value_out)
{
	size_t size = scan_value_size(s);

	if (size == 0)
		return false;
	*value_out = slice_of(s.data, size);
	*rest = slice_of(s.data + size, s.size - size);
	return true;
}

bool json_scan_member(struct slice *rest, struct slice *key_out, struct slice *value_out,
	bool *ok_out)
{
	struct slice s = scan_blanks(*rest);
	size_t size;

	*ok_out = false;
	if (s.size == 0 || (*s.data != '{' && *s.data != ',' && *s.data != '}'))
		return false;
	if (*s.data == '}') {
		*ok_out = scan_blanks(slice_of(s.data + 1, s.size - 1)).size == 0;
		return false;
	}
	s = scan_blanks(slice_of(s.data + 1, s.size - 1));
	if (s.size > 0 && *s.data == '}') { /* {} */
		*ok_out = scan_blanks(slice_of(s.data + 1, s.size - 1)).size == 0;
		return false;
	}
	size = scan_string_size(s);
	if (size == 0)
		return false;
	*key_out = slice_of(s.data, size);
	s = scan_blanks(slice_of(s.data + size, s.size - size));
	if (s.size == 0 || *s.data != ':')
		return false;
	s = scan_blanks(slice_of(s.data + 1, s.size - 1));
	if (!scan_value(s, rest, value_out))
		return false;
	*ok_out = true;
	return true;
}

bool json_scan_item(struct slice *rest, struct slice *value_out)
{
	struct slice s = scan_blanks(*rest);

	if (s.size == 0 || (*s.data != '[' && *s.data != ','))
		return false;
	return scan_value(scan_blanks(slice_of(s.data + 1, s.size - 1)), rest, value_out);
}

/* A code point as UTF-8; a lone surrogate becomes the three bytes that it would have. */
static size_t scan_put_utf8(uint8_t *out, int32_t c)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

/* "\u" and its digits at p, possibly followed by the second half of a pair. Returns the bytes
 * consumed, 0 if bad. */
static size_t scan_unicode(const uint8_t *p, size_t left, int32_t *code_out)
{
	int32_t c, low;

	if (left < 6)
		return 0;
	c = hex_get(p + 2, 4);
	if (c < 0)
		return 0;
	*code_out = c;
	if (c < 0xd800 || c > 0xdbff || left < 12 || p[6] != '\\' || p[7] != 'u')
		return 6;
	low = hex_get(p + 8, 4);
	if (low < 0xdc00 || low > 0xdfff)
		return 6;
	*code_out = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	return 12;
}

int64_t json_scan_string(struct slice value, uint8_t *out)
{
	static const char escapes[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const uint8_t *end = value.data + value.size - 1;
	uint8_t *at = out;

	if (value.size < 2 || value.data[0] != '"' || *end != '"')
		return -1;
	for (const uint8_t *p = value.data + 1; p < end;) {
		const char *known;
		int32_t code;
		size_t size;

		if (*p != '\\') {
			*at++ = *p++;
			continue;
		}
		if (p[1] == 'u') {
			size = scan_unicode(p, (size_t)(end - p), &code);
			if (size == 0)
				return -1;
			at += scan_put_utf8(at, code);
			p += size;
			continue;
		}
		known = p[1] == '\0' ? NULL : strchr(escapes, p[1]);
		if (known == NULL)
			return -1;
		*at++ = (uint8_t)bytes[known - escapes];
		p += 2;
	}
	return at - out;
}
