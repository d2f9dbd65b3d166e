#include "base/bytes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "decode/decode_private.h"
#include "decode/forms.h"

#include <math.h>
#include <msgpack.h>
#include <openssl/evp.h>
#include <stdlib.h>

/*
 * msgpack-c behind a guard. msgpack-c 4.0.0 allocates an array of as many objects as the input
 * declares before it has seen one (the five bytes dd ff ff ff ff ask for 100 GB), and reports
 * nesting over 32 as "out of memory". So msgpack_guard() walks through every payload first: types,
 * lengths, counts and depth are right before msgpack-c sees them.
 *
 * The guard also recognises array items whose form is known (forms.h). For msgpack-c such a map is
 * replaced by its value, and the map is put around it again afterwards.
 */
struct decode_msgpack {
	msgpack_zone zone; /* keeps its first chunk from parse to parse */
	struct forms *forms;
	struct known_map *known; /* in the current payload */
	uint16_t *hints;         /* by sender and place: the form that was last there */
};

/* A map whose form is known, and its place. */
struct known_map {
	struct form_map map;
	uint32_t array; /* arrays that are not empty are counted from 1 */
	uint32_t item;
	uint16_t form;
};

enum {
	MSGPACK_ZONE_CHUNK_BYTES = 16 * 1024,
	MSGPACK_KNOWN_MAX = 4096,   /* per payload; the rest is decoded in full */
	MSGPACK_HINTS = 128 * 1024, /* ten thousand stations with a dozen samples each */
	MSGPACK_EXT_TIMESTAMP = -1, /* msgpack specification, "Timestamp extension type" */
};

/* An array or map whose elements are being walked through. */
struct guard_level {
	uint64_t left; /* elements; a map's keys and values count one each */
	uint64_t count;
	uint32_t array; /* its number; 0 = a map */
};

struct guard {
	struct slice bytes;
	size_t at;
	uint32_t values;
	struct guard_level levels[DECODE_DEPTH_MAX];
	size_t depth;
	uint64_t sender;
	uint32_t arrays;
	uint32_t known_count;
};

bool decode_msgpack_new(struct decode_msgpack **out)
{
	struct decode_msgpack *p = calloc(1, sizeof(*p));

	if (p == NULL || !msgpack_zone_init(&p->zone, MSGPACK_ZONE_CHUNK_BYTES)) {
		free(p);
		return false;
	}
	p->known = calloc(MSGPACK_KNOWN_MAX, sizeof(*p->known));
	p->hints = calloc(MSGPACK_HINTS, sizeof(*p->hints));
	if (p->known == NULL || p->hints == NULL || !forms_new(&p->forms)) {
		decode_msgpack_free(&p);
		return false;
	}
	*out = p;
	return true;
}

void decode_msgpack_free(struct decode_msgpack **parser)
{
	struct decode_msgpack *p = *parser;

	*parser = NULL;
	if (p == NULL)
		return;
	msgpack_zone_destroy(&p->zone);
	forms_free(&p->forms);
	free(p->known);
	free(p->hints);
	free(p);
}

/* ---- msgpack-c's objects to our values ---- */

struct convert {
	struct decode_room room;
	const struct forms *forms;
	const struct known_map *known; /* the next ones, in the order of the payload */
	uint32_t known_count;
	uint32_t arrays; /* so far */
	bool replaced;
	bool full;
	const char *bad;
};

static bool convert_object(struct convert *c, const msgpack_object *from, struct value *to);

static bool convert_text(struct convert *c, const char *data, size_t size, struct slice *out)
{
	*out = decode_text(c->room.texts, slice_of(data == NULL ? "" : data, size), &c->replaced);
	c->full = slice_is_absent(*out);
	return !c->full;
}

static bool convert_number(struct convert *c, const char *digits, size_t size, struct value *to)
{
	to->kind = VALUE_NUMBER;
	to->text = arena_copy(c->room.texts, slice_of(digits, size));
	c->full = slice_is_absent(to->text);
	return !c->full;
}

static bool convert_integer(struct convert *c, uint64_t magnitude, bool negative, struct value *to)
{
	char digits[24], *end = digits + sizeof(digits), *at = end;

	do {
		*--at = (char)('0' + magnitude % 10);
		magnitude /= 10;
	} while (magnitude > 0);
	if (negative)
		*--at = '-';
	return convert_number(c, at, (size_t)(end - at), to);
}

static bool convert_float(struct convert *c, const msgpack_object *from, struct value *to)
{
	char digits[DECIMAL_FLOAT_BYTES];

	if (!isfinite(from->via.f64)) { /* has no decimal text: kept as a word */
		to->kind = VALUE_STRING;
		to->text = slice_from_cstr(isnan(from->via.f64) ? "NaN"
					   : from->via.f64 > 0  ? "Infinity"
								: "-Infinity");
		return true;
	}
	if (from->type == MSGPACK_OBJECT_FLOAT32)
		return convert_number(c, digits, decimal_from_float((float)from->via.f64, digits),
			to);
	return convert_number(c, digits, decimal_from_double(from->via.f64, digits), to);
}

/* Bytes that are text become text (old writers have no other type); others become base64. */
static bool convert_bytes(struct convert *c, const char *data, size_t size, struct value *to)
{
	uint8_t *out;

	to->kind = VALUE_STRING;
	if (utf8_is_storable(slice_of(data, size)))
		return convert_text(c, data, size, &to->text);
	c->replaced = true;
	out = arena_bytes(c->room.texts, (size + 2) / 3 * 4 + 1); /* terminated with a NUL */
	c->full = out == NULL;
	if (c->full)
		return false;
	to->text =
		slice_of(out, (size_t)EVP_EncodeBlock(out, (const unsigned char *)data, (int)size));
	return true;
}

/* Timestamp 32, 64 and 96 of the msgpack specification. */
static bool convert_ext(struct convert *c, const msgpack_object_ext *ext, struct value *to)
{
	const uint8_t *p = (const uint8_t *)ext->ptr;
	int64_t seconds, nanoseconds = 0, us;

	if (ext->type != MSGPACK_EXT_TIMESTAMP)
		return convert_bytes(c, ext->ptr, ext->size, to);
	if (ext->size == 4) {
		seconds = get_be32(p);
	} else if (ext->size == 8) {
		nanoseconds = (int64_t)(get_be64(p) >> 34);
		seconds = (int64_t)(get_be64(p) & ((UINT64_C(1) << 34) - 1));
	} else if (ext->size == 12) {
		nanoseconds = get_be32(p);
		seconds = (int64_t)get_be64(p + 4);
	} else {
		c->bad = "a timestamp of a wrong size";
		return false;
	}
	if (nanoseconds > 999999999 || __builtin_mul_overflow(seconds, US_PER_SECOND, &us) ||
		__builtin_add_overflow(us, nanoseconds / 1000, &us)) {
		c->bad = "a timestamp out of range";
		return false;
	}
	to->kind = VALUE_TIME;
	to->time_us = us;
	to->count = (uint32_t)(nanoseconds % 1000);
	return true;
}

static bool convert_key(struct convert *c, const msgpack_object *key, struct slice *out)
{
	struct value number;

	switch (key->type) {
	case MSGPACK_OBJECT_STR:
	case MSGPACK_OBJECT_BIN: /* same layout */
		return convert_text(c, key->via.str.ptr, key->via.str.size, out);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		if (!convert_object(c, key, &number))
			return false;
		*out = number.text;
		return true;
	case MSGPACK_OBJECT_NIL:
	case MSGPACK_OBJECT_BOOLEAN:
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
	case MSGPACK_OBJECT_ARRAY:
	case MSGPACK_OBJECT_MAP:
	case MSGPACK_OBJECT_EXT:
		break;
	}
	c->bad = "a map key that is neither text nor a whole number";
	return false;
}

static bool convert_map(struct convert *c, const msgpack_object_map *map, struct value *to)
{
	to->kind = VALUE_MAP;
	to->count = map->size;
	to->members = arena_alloc(c->room.nodes, map->size * sizeof(*to->members));
	c->full = to->members == NULL;
	if (c->full)
		return false;
	for (uint32_t i = 0; i < map->size; i++) {
		if (!convert_key(c, &map->ptr[i].key, &to->members[i].key) ||
			!convert_object(c, &map->ptr[i].val, &to->members[i].value))
			return false;
	}
	decode_settle_map(to, &c->replaced);
	return true;
}

/* A map that msgpack-c saw only the value of. */
static bool convert_known(struct convert *c, const msgpack_object *value, struct value *to)
{
	struct value *place = forms_make(c->forms, c->known->form, c->room.nodes, to);

	c->known++;
	c->known_count--;
	c->full = place == NULL;
	return !c->full && convert_object(c, value, place);
}

static bool convert_array(struct convert *c, const msgpack_object_array *array, struct value *to)
{
	uint32_t number = array->size == 0 ? 0 : ++c->arrays;

	to->kind = VALUE_ARRAY;
	to->count = array->size;
	to->items = arena_alloc(c->room.nodes, array->size * sizeof(*to->items));
	c->full = to->items == NULL;
	if (c->full)
		return false;
	for (uint32_t i = 0; i < array->size; i++) {
		bool known = c->known_count > 0 && c->known->array == number && c->known->item == i;
		bool before = c->replaced;

		c->replaced = false;
		if (!(known ? convert_known : convert_object)(c, &array->ptr[i], &to->items[i]))
			return false;
		to->items[i].replaced = c->replaced;
		c->replaced |= before;
	}
	return true;
}

/* The guard has limited the depth of recursion. */
static bool convert_object(struct convert *c, const msgpack_object *from, struct value *to)
{
	*to = (struct value){.kind = VALUE_NULL};
	switch (from->type) {
	case MSGPACK_OBJECT_NIL:
		return true;
	case MSGPACK_OBJECT_BOOLEAN:
		to->kind = VALUE_BOOLEAN;
		to->boolean = from->via.boolean;
		return true;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return convert_integer(c, from->via.u64, false, to);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return convert_integer(c, 0 - (uint64_t)from->via.i64, true, to);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return convert_float(c, from, to);
	case MSGPACK_OBJECT_STR:
		to->kind = VALUE_STRING;
		return convert_text(c, from->via.str.ptr, from->via.str.size, &to->text);
	case MSGPACK_OBJECT_BIN:
		return convert_bytes(c, from->via.bin.ptr, from->via.bin.size, to);
	case MSGPACK_OBJECT_EXT:
		return convert_ext(c, &from->via.ext, to);
	case MSGPACK_OBJECT_ARRAY:
		return convert_array(c, &from->via.array, to);
	case MSGPACK_OBJECT_MAP:
		return convert_map(c, &from->via.map, to);
	}
	c->bad = "a type that is not known";
	return false;
}

/* Decode a map on its own, exactly as in the payload. 0 if it cannot have a form. */
static uint16_t msgpack_learn(struct decode_msgpack *p, const struct form_map *map,
	struct decode_room room)
{
	struct arena_mark texts = arena_mark(room.texts), nodes = arena_mark(room.nodes);
	struct convert c = {.room = room};
	struct value decoded;
	msgpack_object root;
	uint16_t form = 0;
	size_t offset = 0;

	msgpack_zone_clear(&p->zone);
	if (msgpack_unpack((const char *)map->start, (size_t)(map->end - map->start), &offset,
		    &p->zone, &root) == MSGPACK_UNPACK_SUCCESS &&
		convert_object(&c, &root, &decoded) && !c.replaced)
		form = forms_learn(p->forms, map, &decoded);
	arena_rewind(room.texts, texts);
	arena_rewind(room.nodes, nodes);
	return form;
}

/* ---- the guard ---- */

static bool guard_error(const struct guard *g, struct error *err, enum error_reason code,
	const char *what)
{
	error_set(err, ERROR_POISON, code, "msgpack: %s at byte %zu", what, g->at);
	if (err != NULL)
		err->offset = (int64_t)g->at;
	return false;
}

/* The extent of the value that begins here, by its first byte: *head_out bytes of head, *body_out
 * bytes of body, *elements_out values inside. */
static bool guard_head(const struct guard *g, uint64_t *body_out, uint64_t *elements_out,
	size_t *head_out)
{
	/* From 0xc0 to 0xdf: size of a length field, fixed body, or -1 for "never used". */
	static const struct {
		int8_t length_bytes;
		int8_t fixed_bytes;
		int8_t elements_each;                                   /* array 1, map 2 */
	} formats[32] = {{0, 0, 0}, {-1, 0, 0}, {0, 0, 0}, {0, 0, 0},   /* nil, -, false, true */
		{1, 0, 0}, {2, 0, 0}, {4, 0, 0},                        /* bin */
		{1, 1, 0}, {2, 1, 0}, {4, 1, 0},                        /* ext: and its type */
		{0, 4, 0}, {0, 8, 0},                                   /* float */
		{0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0},             /* uint */
		{0, 1, 0}, {0, 2, 0}, {0, 4, 0}, {0, 8, 0},             /* int */
		{0, 2, 0}, {0, 3, 0}, {0, 5, 0}, {0, 9, 0}, {0, 17, 0}, /* fixext */
		{1, 0, 0}, {2, 0, 0}, {4, 0, 0},                        /* str */
		{2, 0, 1}, {4, 0, 1}, {2, 0, 2}, {4, 0, 2}};            /* array, map */
	uint8_t first = g->bytes.data[g->at];
	size_t left = g->bytes.size - g->at - 1;
	uint64_t length = 0;
	int n;

	*body_out = *elements_out = 0;
	*head_out = 1;
	if (first < 0x80 || first >= 0xe0) /* fixint */
		return true;
	if (first < 0xc0) {
		if (first >= 0xa0)
			*body_out = first & 0x1f; /* fixstr */
		else
			*elements_out = (uint64_t)(first & 0x0f) * (first < 0x90 ? 2 : 1);
		return true;
	}
	n = formats[first - 0xc0].length_bytes; /* NOLINT(bugprone-signed-char-misuse): a number */
	if (n < 0 || left < (size_t)n)
		return false;
	for (int i = 0; i < n; i++)
		length = length << 8 | g->bytes.data[g->at + 1 + (size_t)i];
	*head_out += (size_t)n;
	if (formats[first - 0xc0].elements_each > 0)
		*elements_out = length * (uint64_t)formats[first - 0xc0].elements_each;
	else
		*body_out = length + (uint64_t)formats[first - 0xc0].fixed_bytes;
	return true;
}

static bool guard_is_array(uint8_t first)
{
	return (first & 0xf0) == 0x90 || first == 0xdc || first == 0xdd;
}

static bool guard_is_container(uint8_t first)
{
	return guard_is_array(first) || (first & 0xf0) == 0x80 || first == 0xde || first == 0xdf;
}

/* One value, or the head of a container. */
static bool guard_value(struct guard *g, struct error *err)
{
	uint64_t body, elements;
	uint8_t first;
	size_t head;

	if (g->at == g->bytes.size)
		return guard_error(g, err, REASON_bad_msgpack, "the message is cut off");
	if (g->bytes.data[g->at] == 0xc1)
		return guard_error(g, err, REASON_bad_msgpack, "byte 0xc1, which is not msgpack,");
	if (!guard_head(g, &body, &elements, &head))
		return guard_error(g, err, REASON_bad_msgpack, "the message is cut off");
	if (++g->values > DECODE_VALUES_MAX)
		return guard_error(g, err, REASON_too_many_values, "too many values");
	if (body > g->bytes.size - g->at - head)
		return guard_error(g, err, REASON_bad_msgpack,
			"a length beyond the end of the message");
	/* Every element has at least one byte. */
	if (elements > g->bytes.size - g->at - head)
		return guard_error(g, err, REASON_bad_msgpack,
			"a count beyond the end of the message");
	first = g->bytes.data[g->at];
	g->at += head + (size_t)body;
	if (elements > 0) {
		if (g->depth == DECODE_DEPTH_MAX)
			return guard_error(g, err, REASON_too_deep, "nesting too deep");
		g->levels[g->depth++] = (struct guard_level){
			.left = elements,
			.count = elements,
			.array = guard_is_array(first) ? ++g->arrays : 0,
		};
	}
	return true;
}

/* The map that comes next, cut, and its form; 0 if it has no known form. */
static uint16_t guard_form(struct decode_msgpack *p, const struct guard *g, struct decode_room room,
	struct form_map *out)
{
	uint16_t *hint = &p->hints[(g->sender + g->known_count) & (MSGPACK_HINTS - 1)];
	struct slice bytes = slice_skip(g->bytes, g->at);
	uint16_t form;
	bool learn;

	if (*hint != 0 && forms_cut_as(p->forms, *hint, bytes, out))
		return *hint;
	if (!forms_cut(bytes, out))
		return 0;
	form = forms_find(p->forms, out, &learn);
	if (learn)
		form = msgpack_learn(p, out, room);
	if (form != 0)
		*hint = form;
	return form;
}

/* Consumes a whole array item of known form. Anything else, and a map that would exceed a limit, is
 * left to guard_value(). */
static bool guard_known(struct decode_msgpack *p, struct guard *g, const struct guard_level *level,
	struct decode_room room)
{
	struct known_map *known = &p->known[g->known_count];

	if (g->known_count == MSGPACK_KNOWN_MAX || g->depth + FORM_DEPTH_MAX > DECODE_DEPTH_MAX)
		return false;
	known->form = guard_form(p, g, room, &known->map);
	if (known->form == 0 || known->map.values > DECODE_VALUES_MAX - g->values)
		return false;
	known->array = level->array;
	known->item = (uint32_t)(level->count - level->left - 1);
	g->known_count++;
	g->values += known->map.values;
	g->at = (size_t)(known->map.end - g->bytes.data);
	return true;
}

/* Walk through the whole payload. If it is an array of containers, *ends_out gets the end of each;
 * the list is dropped again if the payload turns out to be something else. */
static bool msgpack_guard(struct decode_msgpack *p, struct guard *g, struct decode_room room,
	uint32_t **ends_out, struct error *err)
{
	uint32_t *ends = NULL;
	uint64_t items = 0;

	*ends_out = NULL;
	if (!guard_value(g, err))
		return false;
	if (g->depth == 1 && g->levels[0].array != 0 && guard_is_container(g->bytes.data[g->at])) {
		items = g->levels[0].left;
		ends = arena_alloc(room.nodes, items * sizeof(*ends));
		if (ends == NULL)
			return decode_arena_full(err);
	}
	while (g->depth > 0) {
		struct guard_level *level = &g->levels[g->depth - 1];

		if (g->depth == 1 && ends != NULL && level->left < items)
			ends[items - level->left - 1] = (uint32_t)g->at;
		if (level->left == 0) {
			g->depth--;
			continue;
		}
		level->left--;
		if (!(level->array != 0 && guard_known(p, g, level, room)) && !guard_value(g, err))
			return false;
	}
	if (g->at != g->bytes.size)
		return guard_error(g, err, REASON_bad_msgpack,
			"bytes after the end of the message");
	*ends_out = ends;
	return true;
}

/* ---- forms ---- */

/* The payload with each known map cut down to its value; absent if the arena is full. */
static struct slice msgpack_reduce(struct slice payload, const struct known_map *known,
	uint32_t count, struct arena *arena)
{
	uint8_t *start = arena_bytes(arena, payload.size), *at = start;
	const uint8_t *from = payload.data;

	if (start == NULL)
		return (struct slice){NULL, 0};
	for (uint32_t i = 0; i < count; i++) {
		const struct form_map *map = &known[i].map;

		at = put_bytes(at, from, (size_t)(map->start - from));
		at = put_bytes(at, map->value, (size_t)(map->value_end - map->value));
		from = map->end;
	}
	at = put_bytes(at, from, (size_t)(payload.data + payload.size - from));
	arena_trim(arena, at);
	return slice_of(start, (size_t)(at - start));
}

bool decode_msgpack_parse(struct decode_msgpack *p, struct slice payload, uint64_t sender,
	struct decode_room room, struct decode_tree *out, struct error *err)
{
	struct guard g = {.bytes = payload, .sender = sender};
	struct convert c = {.room = room, .forms = p->forms, .known = p->known};
	msgpack_object root;
	size_t offset = 0;
	msgpack_unpack_return result;

	if (!msgpack_guard(p, &g, room, &out->item_ends, err))
		return false;
	c.known_count = g.known_count;
	if (g.known_count > 0)
		payload = msgpack_reduce(payload, p->known, g.known_count, room.texts);
	if (slice_is_absent(payload))
		return decode_arena_full(err);
	msgpack_zone_clear(&p->zone);
	result = msgpack_unpack((const char *)payload.data, payload.size, &offset, &p->zone, &root);
	if (result == MSGPACK_UNPACK_NOMEM_ERROR)
		return error_set(err, ERROR_TRANSIENT, REASON_memory,
			"out of memory decoding msgpack");
	if (result != MSGPACK_UNPACK_SUCCESS)
		return error_set(err, ERROR_POISON, REASON_bad_msgpack, "msgpack: not well-formed");
	if (!convert_object(&c, &root, &out->root))
		return c.full ? decode_arena_full(err)
			      : error_set(err, ERROR_POISON, REASON_bad_msgpack, "msgpack: %s",
					c.bad);
	out->text_replaced = c.replaced;
	return true;
}
