#include "base/hex.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "decode/decode_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

/*
 * JSON through yajl, the only C library in Debian that passes on the text of numbers unchanged
 * (json-c turns 30 digits into 18446744073709551615, jansson 1.10 into 1.1000000000000001, cJSON
 * keeps doubles).
 *
 * About strings that cannot be stored: yajl's own check would refuse the whole message, and it
 * silently replaces lone surrogates by "?". So its check is off, bytes are checked here, and \u0000
 * and lone surrogates become \ufffd in a copy before yajl sees them.
 *
 * yajl allocates a handle per parse, from a scratch arena of ours that is reset each time.
 */
struct decode_json {
	struct arena scratch;
	struct arena pending_arena;
	struct member *pending; /* values of containers not yet closed; fixed capacity */
	uint32_t pending_count;
	uint32_t pending_peak;

	/* The current parse. */
	yajl_handle yajl;
	struct decode_room room;
	struct slice payload;
	const uint8_t *mended_from; /* the payload as it came, if escapes in it were replaced */
	struct slice key;
	struct {
		uint32_t first;   /* in pending */
		struct slice key; /* the container's own key */
	} open[DECODE_DEPTH_MAX];
	size_t depth;
	uint32_t values;
	bool root_is_batch;
	size_t item_start; /* of a batch; after its first byte */
	bool replaced;     /* a text, number or key in the current item of a batch, or outside */
	bool replaced_before;
	bool full;
	const char *bad;
	enum error_reason bad_code;
	uint32_t *ends;
	uint32_t ends_count;
	uint32_t ends_room;
	struct value root;
};

/*
 * What yajl allocates besides its handle: an unescaping buffer that doubles, and one byte per level
 * of nesting. It does not check for failure, so there must be enough for the worst payload: the sum
 * of a doubling series is below four times what is needed.
 */
enum {
	JSON_SCRATCH_FACTOR = 8,
	JSON_SCRATCH_BASE_BYTES = 1 << 20,
	JSON_KEEP_BYTES = 64 << 10,
	JSON_PENDING_BYTES = DECODE_VALUES_MAX * (int)sizeof(struct member),
};

static void *json_malloc(void *context, size_t size)
{
	void *memory = arena_alloc(context, size + sizeof(size_t));

	CHECK(memory != NULL);
	*(size_t *)memory = size;
	return (size_t *)memory + 1;
}

static void *json_realloc(void *context, void *old, size_t size)
{
	void *memory = json_malloc(context, size);

	if (old != NULL) {
		size_t old_size = ((size_t *)old)[-1];

		memcpy(memory, old, old_size < size ? old_size : size);
	}
	return memory;
}

static void json_free(void *context, void *memory)
{
	(void)context; /* goes with the arena */
	(void)memory;
}

/* Give back what a very large payload used of it. */
static void json_pending_reset(struct decode_json *p)
{
	arena_reset(&p->pending_arena);
	p->pending = arena_alloc(&p->pending_arena, JSON_PENDING_BYTES);
	CHECK(p->pending != NULL);
	p->pending_peak = 0;
}

bool decode_json_new(struct decode_json **out, size_t payload_bytes_max)
{
	struct decode_json *p = calloc(1, sizeof(*p));

	if (p == NULL ||
		!arena_init(&p->scratch,
			JSON_SCRATCH_FACTOR * payload_bytes_max + JSON_SCRATCH_BASE_BYTES,
			JSON_KEEP_BYTES) ||
		!arena_init(&p->pending_arena, JSON_PENDING_BYTES, JSON_KEEP_BYTES)) {
		decode_json_free(&p);
		return false;
	}
	json_pending_reset(p);
	*out = p;
	return true;
}

void decode_json_free(struct decode_json **parser)
{
	if (*parser != NULL) {
		arena_fini(&(*parser)->scratch);
		arena_fini(&(*parser)->pending_arena);
	}
	free(*parser);
	*parser = NULL;
}

static int json_stop(struct decode_json *p, enum error_reason code, const char *what)
{
	p->bad_code = code;
	p->bad = what;
	return 0;
}

static int json_stop_full(struct decode_json *p)
{
	p->full = true;
	return 0;
}

/* A new value at the current position of the parse. */
static struct value *json_add(struct decode_json *p)
{
	struct member *m;

	if (p->values == DECODE_VALUES_MAX) {
		json_stop(p, REASON_too_many_values, "too many values");
		return NULL;
	}
	p->values++;
	if (p->depth == 0) {
		p->root = (struct value){.kind = VALUE_NULL};
		return &p->root;
	}
	m = &p->pending[p->pending_count++];
	if (p->pending_count > p->pending_peak)
		p->pending_peak = p->pending_count;
	*m = (struct member){.key = p->key, .value = {.kind = VALUE_NULL}};
	return &m->value;
}

static int json_null(void *context)
{
	return json_add(context) != NULL;
}

static int json_boolean(void *context, int value)
{
	struct value *v = json_add(context);

	if (v == NULL)
		return 0;
	v->kind = VALUE_BOOLEAN;
	v->boolean = value != 0;
	return 1;
}

static int json_number(void *context, const char *text, size_t size)
{
	struct decode_json *p = context;
	struct value *v = json_add(p);

	if (v == NULL)
		return 0;
	v->kind = VALUE_NUMBER;
	v->text = slice_of(text, size);
	decode_settle_number(v, &p->replaced);
	return 1;
}

/* Text without escapes is passed in place; unescaped text is in a buffer that will change. */
static bool json_text(struct decode_json *p, const unsigned char *text, size_t size,
	struct slice *out)
{
	struct slice s = slice_of(size == 0 ? (const unsigned char *)"" : text, size);

	if (size > 0 && (text < p->payload.data || text >= p->payload.data + p->payload.size))
		s = arena_copy(p->room.texts, s);
	if (!slice_is_absent(s))
		s = decode_text(p->room.texts, s, &p->replaced);
	*out = s;
	if (slice_is_absent(s))
		p->full = true;
	return !p->full;
}

static int json_string(void *context, const unsigned char *text, size_t size)
{
	struct decode_json *p = context;
	struct value *v = json_add(p);

	if (v == NULL)
		return 0;
	v->kind = VALUE_STRING;
	return json_text(p, text, size, &v->text);
}

static int json_key(void *context, const unsigned char *text, size_t size)
{
	struct decode_json *p = context;

	return json_text(p, text, size, &p->key);
}

static int json_open(struct decode_json *p, bool array)
{
	if (p->depth == DECODE_DEPTH_MAX)
		return json_stop(p, REASON_too_deep, "nesting too deep");
	/* A batch: the root is an array, and its first item a container. */
	if (p->depth == 0)
		p->root_is_batch = array;
	else if (p->depth == 1 && p->pending_count > 0 && p->ends_count == 0)
		p->root_is_batch = false;
	if (p->depth == 1 && p->root_is_batch) {
		p->item_start = yajl_get_bytes_consumed(p->yajl);
		p->replaced_before |= p->replaced;
		p->replaced = false;
	}
	p->open[p->depth].first = p->pending_count;
	p->open[p->depth].key = p->key;
	p->depth++;
	return 1;
}

static int json_open_map(void *context)
{
	return json_open(context, false);
}

static int json_open_array(void *context)
{
	return json_open(context, true);
}

/* Where each item of a batch ends. The list is a block at the end of the scratch arena. */
static bool json_note_end(struct decode_json *p)
{
	if (p->ends_count == p->ends_room) {
		uint32_t room = p->ends_room == 0 ? 64 : p->ends_room * 2;
		uint32_t *grown = arena_alloc(p->room.nodes, room * sizeof(*grown));

		if (grown == NULL) {
			p->full = true;
			return false;
		}
		if (p->ends_count > 0)
			memcpy(grown, p->ends, p->ends_count * sizeof(*grown));
		p->ends = grown;
		p->ends_room = room;
	}
	p->ends[p->ends_count++] = (uint32_t)yajl_get_bytes_consumed(p->yajl);
	return true;
}

/* Whether an escape in these bytes was replaced: by one of the same length, before the parse. */
static bool json_is_mended(const struct decode_json *p, size_t from, size_t to)
{
	return p->mended_from != NULL &&
	       memcmp(p->mended_from + from, p->payload.data + from, to - from) != 0;
}

static int json_close(struct decode_json *p, enum value_kind kind)
{
	struct value closed = {.kind = (uint8_t)kind}, *v;
	struct member *first;

	p->depth--;
	first = &p->pending[p->open[p->depth].first];
	closed.count = p->pending_count - p->open[p->depth].first;
	if (kind == VALUE_MAP) {
		closed.members = arena_alloc(p->room.nodes, closed.count * sizeof(*closed.members));
		if (closed.members == NULL)
			return json_stop_full(p);
		if (closed.count > 0)
			memcpy(closed.members, first, closed.count * sizeof(*first));
		decode_settle_map(&closed, &p->replaced);
	} else {
		closed.items = arena_alloc(p->room.nodes, closed.count * sizeof(*closed.items));
		if (closed.items == NULL)
			return json_stop_full(p);
		for (uint32_t i = 0; i < closed.count; i++)
			closed.items[i] = first[i].value;
	}
	p->pending_count = p->open[p->depth].first;
	p->key = p->open[p->depth].key;
	v = json_add(p);
	if (v == NULL)
		return 0;
	*v = closed;
	if (p->depth != 1 || !p->root_is_batch)
		return 1;
	if (!json_note_end(p))
		return 0;
	v->replaced = p->replaced || json_is_mended(p, p->item_start, p->ends[p->ends_count - 1]);
	return 1;
}

static int json_close_map(void *context)
{
	return json_close(context, VALUE_MAP);
}

static int json_close_array(void *context)
{
	return json_close(context, VALUE_ARRAY);
}

/* The code unit of \uXXXX at an offset, or -1. */
static int json_escape_at(struct slice s, size_t at)
{
	if (at + 6 > s.size || s.data[at] != '\\' || s.data[at + 1] != 'u')
		return -1;
	return hex_get(s.data + at + 2, 4);
}

/*
 * \u0000 and lone surrogates are legal JSON that no database text can hold. Most payloads have no
 * \u at all and are used as they are; only one with such an escape is copied.
 */
static bool json_mend_escapes(struct slice *payload, struct arena *arena)
{
	struct slice s = *payload;
	uint8_t *copy = NULL;
	size_t at = 0;

	while (at + 6 <= s.size) {
		const uint8_t *found = memchr(s.data + at, '\\', s.size - at);
		int unit, next;

		if (found == NULL)
			break;
		at = (size_t)(found - s.data);
		unit = json_escape_at(s, at);
		if (unit < 0) {
			at += 2; /* another escape, of two bytes like \\ and \" */
			continue;
		}
		next = unit >= 0xd800 && unit < 0xdc00 ? json_escape_at(s, at + 6) : -1;
		if (next >= 0xdc00 && next < 0xe000) {
			at += 12;
			continue;
		}
		if (unit == 0 || (unit >= 0xd800 && unit < 0xe000)) {
			if (copy == NULL) {
				copy = arena_bytes(arena, s.size);
				if (copy == NULL)
					return false;
				memcpy(copy, s.data, s.size);
				*payload = s = slice_of(copy, s.size);
			}
			/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): within a text */
			memcpy(copy + at, "\\ufffd", 6);
		}
		at += 6;
	}
	return true;
}

/* at_end: the whole payload was consumed, and was not enough. */
static bool json_error(struct decode_json *p, struct slice payload, bool at_end, struct error *err)
{
	size_t at = at_end ? payload.size : yajl_get_bytes_consumed(p->yajl);
	unsigned char *text;

	if (p->full)
		return decode_arena_full(err);
	if (p->bad != NULL) {
		error_set(err, ERROR_POISON, p->bad_code, "JSON: %s at byte %zu", p->bad, at);
	} else {
		text = yajl_get_error(p->yajl, 0, payload.data, payload.size);
		text[strcspn((char *)text, "\n")] = '\0';
		error_set(err, ERROR_POISON, REASON_bad_json, "JSON: %s at byte %zu", (char *)text,
			at);
		yajl_free_error(p->yajl, text);
	}
	if (err != NULL)
		err->offset = (int64_t)at;
	return false;
}

bool decode_json_parse(struct decode_json *p, struct slice payload, struct decode_room room,
	struct decode_tree *out, struct error *err)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = json_null,
		.yajl_boolean = json_boolean,
		.yajl_number = json_number,
		.yajl_string = json_string,
		.yajl_start_map = json_open_map,
		.yajl_map_key = json_key,
		.yajl_end_map = json_close_map,
		.yajl_start_array = json_open_array,
		.yajl_end_array = json_close_array,
	};
	yajl_alloc_funcs memory = {json_malloc, json_realloc, json_free, &p->scratch};
	yajl_status status;
	bool ok, at_end;

	arena_reset(&p->scratch);
	if (p->pending_peak > JSON_KEEP_BYTES / (int)sizeof(*p->pending))
		json_pending_reset(p);
	p->room = room;
	p->pending_count = p->values = p->ends_count = p->ends_room = 0;
	p->depth = 0;
	p->root_is_batch = p->replaced = p->replaced_before = p->full = false;
	p->bad = NULL;
	p->key = (struct slice){NULL, 0};
	p->payload = payload;
	if (!json_mend_escapes(&p->payload, room.texts))
		return decode_arena_full(err);
	p->mended_from = p->payload.data == payload.data ? NULL : payload.data;
	payload = p->payload;
	p->yajl = yajl_alloc(&callbacks, &memory, p);
	yajl_config(p->yajl, yajl_dont_validate_strings, 1);
	status = yajl_parse(p->yajl, payload.data, payload.size);
	at_end = status == yajl_status_ok;
	if (at_end)
		status = yajl_complete_parse(p->yajl);
	ok = status == yajl_status_ok;
	if (!ok)
		json_error(p, payload, at_end, err);
	yajl_free(p->yajl);
	if (!ok)
		return false;
	out->root = p->root;
	out->item_ends = p->root_is_batch && p->ends_count == p->root.count ? p->ends : NULL;
	out->text_replaced =
		p->replaced || p->replaced_before || json_is_mended(p, 0, payload.size);
	return true;
}
