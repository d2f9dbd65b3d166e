#include "stations/writer.h"

#include "base/bytes.h"
#include "base/check.h"
#include "stations/digits.h"

#include <string.h>

void writer_init(struct writer *w, uint8_t *buffer, size_t size, enum writer_format format)
{
	w->start = buffer;
	w->at = buffer;
	w->end = buffer + size;
	w->format = format;
	w->full = false;
	w->depth = 0;
}

static bool writer_room(struct writer *w, size_t size)
{
	if (w->full || size > (size_t)(w->end - w->at)) {
		w->full = true;
		return false;
	}
	return true;
}

/* Before each element of an array and each pair of a map. */
static void writer_count_up(struct writer *w)
{
	if (w->open[w->depth - 1].count++ > 0 && w->format != WRITER_MSGPACK)
		*w->at++ = ',';
}

/* Room for a value of up to size bytes, with the comma before it. */
static bool writer_value(struct writer *w, size_t size)
{
	if (!writer_room(w, size + 1))
		return false;
	if (w->depth > 0 && !w->open[w->depth - 1].is_map)
		writer_count_up(w);
	return true;
}

static void writer_begin(struct writer *w, bool is_map)
{
	/* Five bytes: what the head of a large msgpack container may grow to. */
	if (!writer_value(w, 5))
		return;
	CHECK(w->depth < WRITER_DEPTH_MAX);
	w->open[w->depth].offset = (uint32_t)(w->at - w->start);
	w->open[w->depth].count = 0;
	w->open[w->depth].is_map = is_map;
	w->depth++;
	*w->at++ = is_map ? '{' : '['; /* msgpack: one byte to be replaced at the end */
}

void writer_map(struct writer *w)
{
	writer_begin(w, true);
}

void writer_array(struct writer *w)
{
	writer_begin(w, false);
}

/* The head says how many follow, which is only known now; most fit the one byte that was left. */
static void writer_end_msgpack(struct writer *w)
{
	uint8_t *head = w->start + w->open[w->depth].offset;
	uint32_t count = w->open[w->depth].count;
	bool is_map = w->open[w->depth].is_map;

	CHECK(count <= UINT16_MAX);
	if (count <= 15) {
		*head = (uint8_t)((is_map ? 0x80 : 0x90) | count);
		return;
	}
	if (!writer_room(w, 2))
		return;
	memmove(head + 3, head + 1, (size_t)(w->at - head - 1));
	w->at += 2;
	put_be16(put_u8(head, is_map ? 0xde : 0xdc), (uint16_t)count);
}

void writer_end(struct writer *w)
{
	if (w->full)
		return;
	CHECK(w->depth > 0);
	w->depth--;
	if (w->format == WRITER_MSGPACK)
		writer_end_msgpack(w);
	else if (writer_room(w, 1))
		*w->at++ = w->open[w->depth].is_map ? '}' : ']';
}

static uint8_t *writer_string_head(uint8_t *at, size_t size)
{
	if (size < 32)
		return put_u8(at, (uint8_t)(0xa0 | size));
	if (size <= UINT8_MAX)
		return put_u8(put_u8(at, 0xd9), (uint8_t)size);
	CHECK(size <= UINT16_MAX);
	return put_be16(put_u8(at, 0xda), (uint16_t)size);
}

void writer_key_bytes(struct writer *w, const char *name, size_t size)
{
	if (!writer_room(w, size + 4))
		return;
	writer_count_up(w);
	if (w->format == WRITER_MSGPACK) {
		w->at = put_bytes(writer_string_head(w->at, size), name, size);
		return;
	}
	*w->at++ = '"';
	w->at = put_bytes(w->at, name, size);
	*w->at++ = '"';
	*w->at++ = ':';
}

static void writer_string_plain(struct writer *w, const void *text, size_t size)
{
	if (!writer_value(w, size + 3))
		return;
	if (w->format == WRITER_MSGPACK) {
		w->at = put_bytes(writer_string_head(w->at, size), text, size);
		return;
	}
	*w->at++ = '"';
	w->at = put_bytes(w->at, text, size);
	*w->at++ = '"';
}

static bool writer_must_escape(uint8_t c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&';
}

static void writer_string_escaped(struct writer *w, struct slice text)
{
	if (!writer_value(w, 6 * text.size + 2)) /* every byte as \u00XX */
		return;
	*w->at++ = '"';
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (c == '"' || c == '\\') {
			*w->at++ = '\\';
			*w->at++ = c;
		} else if (writer_must_escape(c)) {
			w->at = put_hex(put_bytes(w->at, "\\u", 2), c, 4);
		} else {
			*w->at++ = c;
		}
	}
	*w->at++ = '"';
}

void writer_text(struct writer *w, struct slice text)
{
	if (w->format != WRITER_MSGPACK) {
		for (size_t i = 0; i < text.size; i++) {
			if (writer_must_escape(text.data[i])) {
				writer_string_escaped(w, text);
				return;
			}
		}
	}
	writer_string_plain(w, text.data, text.size);
}

void writer_word(struct writer *w, const char *word)
{
	writer_string_plain(w, word, strlen(word));
}

static uint8_t *writer_msgpack_int(uint8_t *at, int64_t value)
{
	if (value >= 0) {
		if (value < 128)
			return put_u8(at, (uint8_t)value);
		if (value <= UINT8_MAX)
			return put_u8(put_u8(at, 0xcc), (uint8_t)value);
		if (value <= UINT16_MAX)
			return put_be16(put_u8(at, 0xcd), (uint16_t)value);
		if (value <= UINT32_MAX)
			return put_be32(put_u8(at, 0xce), (uint32_t)value);
		return put_be64(put_u8(at, 0xcf), (uint64_t)value);
	}
	if (value >= -32)
		return put_u8(at, (uint8_t)value);
	if (value >= INT8_MIN)
		return put_u8(put_u8(at, 0xd0), (uint8_t)value);
	if (value >= INT16_MIN)
		return put_be16(put_u8(at, 0xd1), (uint16_t)value);
	if (value >= INT32_MIN)
		return put_be32(put_u8(at, 0xd2), (uint32_t)value);
	return put_be64(put_u8(at, 0xd3), (uint64_t)value);
}

void writer_int(struct writer *w, int64_t value)
{
	if (!writer_value(w, DIGITS_BYTES_MAX + 1))
		return;
	if (w->format == WRITER_MSGPACK)
		w->at = writer_msgpack_int(w->at, value);
	else
		w->at = put_signed(w->at, value);
}

void writer_amount(struct writer *w, struct amount value)
{
	if (amount_is_whole(value)) {
		writer_int(w, value.units);
		return;
	}
	if (!writer_value(w, AMOUNT_BYTES))
		return;
	if (w->format == WRITER_MSGPACK) {
		double number = amount_double(value);
		uint64_t bits;

		memcpy(&bits, &number, sizeof(bits));
		w->at = put_be64(put_u8(w->at, 0xcb), bits);
	} else if (w->format == WRITER_JSON) {
		w->at += amount_text(value, w->at);
	} else {
		w->at += amount_shortest(value, w->at);
	}
}

void writer_amount_text(struct writer *w, struct amount value)
{
	uint8_t text[AMOUNT_BYTES];

	writer_string_plain(w, text, amount_text(value, text));
}

void writer_bool(struct writer *w, bool value)
{
	if (!writer_value(w, 5))
		return;
	if (w->format == WRITER_MSGPACK)
		*w->at++ = value ? 0xc3 : 0xc2;
	else
		w->at = value ? put_bytes(w->at, "true", 4) : put_bytes(w->at, "false", 5);
}

void writer_null(struct writer *w)
{
	if (!writer_value(w, 4))
		return;
	if (w->format == WRITER_MSGPACK)
		*w->at++ = 0xc0;
	else
		w->at = put_bytes(w->at, "null", 4);
}
