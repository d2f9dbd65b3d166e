#include "decode/forms.h"

#include "base/digest.h"

#include <stdlib.h>

enum {
	FORMS_MAX = 2048, /* a fleet of many makes sends a few hundred */
	FORMS_SLOTS = 2 * FORMS_MAX,
	FORMS_SEEN = 4096,         /* digests of recent maps */
	FORMS_BYTES = 1024 * 1024, /* bytes and members of all forms, some 500 bytes each */
	FORM_BYTES_MAX = 1024,     /* per map: larger ones are not samples */
	FORM_KEY_BYTES = 6,        /* "value" with its head */
};

struct form {
	uint64_t digest;
	const uint8_t *bytes; /* the bytes before the value, then those after it */
	uint32_t before;
	uint32_t after;
	struct member *members; /* followed by those of nested maps */
	uint32_t members_count;
	uint32_t members_all;
	uint32_t value;  /* index of the member */
	uint32_t values; /* form_map.values */
};

struct forms {
	struct arena arena;
	struct form items[FORMS_MAX];
	uint16_t count;
	uint16_t slots[FORMS_SLOTS]; /* number of a form; 0 = empty */
	uint64_t seen[FORMS_SEEN];
};

bool forms_new(struct forms **out)
{
	struct forms *f = calloc(1, sizeof(*f));

	if (f == NULL || !arena_init(&f->arena, FORMS_BYTES, FORMS_BYTES)) {
		free(f);
		return false;
	}
	*out = f;
	return true;
}

void forms_free(struct forms **forms)
{
	if (*forms != NULL)
		arena_fini(&(*forms)->arena);
	free(*forms);
	*forms = NULL;
}

/* ---- cutting ---- */

/* Size of the text or number at p; 0 if it is something else or cut off. */
static size_t form_scalar_bytes(const uint8_t *p, const uint8_t *end)
{
	/* 0xca to 0xd3: floats, unsigned and signed integers. */
	static const uint8_t numbers[] = {5, 9, 2, 3, 5, 9, 2, 3, 5, 9};
	size_t size = 0;

	if (p == end)
		return 0;
	if (*p >= 0xa0 && *p < 0xc0) /* short text */
		size = 1 + (size_t)(*p & 0x1f);
	else if (*p < 0x80 || *p >= 0xe0) /* small number */
		size = 1;
	else if (*p >= 0xca && *p < 0xd4)
		size = numbers[*p - 0xca];
	else if (*p == 0xd9 && end - p > 1) /* text with a length of one byte */
		size = 2 + (size_t)p[1];
	return size <= (size_t)(end - p) ? size : 0;
}

/* Skips that many in a row; NULL if there is anything else. */
static const uint8_t *form_skip_scalars(const uint8_t *p, const uint8_t *end, size_t count)
{
	for (; count > 0; count--) {
		size_t size = form_scalar_bytes(p, end);

		if (size == 0)
			return NULL;
		p += size;
	}
	return p;
}

static bool form_is_short_map(const uint8_t *p, const uint8_t *end)
{
	return p < end && (*p & 0xf0) == 0x80;
}

bool forms_cut(struct slice bytes, struct form_map *out)
{
	static const uint8_t key[] = "\xa5value";
	const uint8_t *p = bytes.data, *end = bytes.data + bytes.size;
	size_t members;

	if (!form_is_short_map(p, end))
		return false;
	*out = (struct form_map){.start = p};
	members = *p++ & 0x0f;
	out->values = (uint32_t)(1 + 2 * members);
	for (; members > 0; members--) {
		bool value = out->value == NULL && (size_t)(end - p) > FORM_KEY_BYTES &&
			     memcmp(p, key, FORM_KEY_BYTES) == 0;
		size_t count = 1;

		p = form_skip_scalars(p, end, 1);
		if (p == NULL)
			return false;
		if (value) {
			out->value = p;
		} else if (form_is_short_map(p, end)) {
			count = 2 * (size_t)(*p++ & 0x0f);
			out->values += (uint32_t)count;
		}
		p = form_skip_scalars(p, end, count);
		if (p == NULL)
			return false;
		if (value)
			out->value_end = p;
	}
	out->end = p;
	return out->value != NULL && p - out->start <= FORM_BYTES_MAX;
}

/* ---- finding ---- */

static size_t form_before(const struct form_map *map)
{
	return (size_t)(map->value - map->start);
}

static size_t form_after(const struct form_map *map)
{
	return (size_t)(map->end - map->value_end);
}

static uint64_t form_digest(const struct form_map *map)
{
	return digest64(map->start, form_before(map)) * 31 +
	       digest64(map->value_end, form_after(map));
}

static bool form_fits(const struct form *form, const struct form_map *map, uint64_t digest)
{
	return form->digest == digest && form->before == form_before(map) &&
	       form->after == form_after(map) &&
	       memcmp(form->bytes, map->start, form->before) == 0 &&
	       memcmp(form->bytes + form->before, map->value_end, form->after) == 0;
}

bool forms_cut_as(const struct forms *f, uint16_t number, struct slice bytes, struct form_map *out)
{
	const struct form *form = &f->items[number - 1];
	const uint8_t *end = bytes.data + bytes.size, *value, *after;
	size_t size;

	if (bytes.size < form->before || memcmp(bytes.data, form->bytes, form->before) != 0)
		return false;
	value = bytes.data + form->before;
	size = form_scalar_bytes(value, end);
	after = value + size;
	if (size == 0 || (size_t)(end - after) < form->after ||
		memcmp(after, form->bytes + form->before, form->after) != 0)
		return false;
	*out = (struct form_map){
		.start = bytes.data,
		.value = value,
		.value_end = after,
		.end = after + form->after,
		.values = form->values,
	};
	return true;
}

/* The slot that has the form, or the empty slot where it belongs. */
static uint16_t *forms_slot(struct forms *f, const struct form_map *map, uint64_t digest)
{
	size_t slot = digest & (FORMS_SLOTS - 1);

	while (f->slots[slot] != 0 && !form_fits(&f->items[f->slots[slot] - 1], map, digest))
		slot = (slot + 1) & (FORMS_SLOTS - 1);
	return &f->slots[slot];
}

uint16_t forms_find(struct forms *f, const struct form_map *map, bool *learn_out)
{
	uint64_t digest = form_digest(map);
	uint16_t form = *forms_slot(f, map, digest);
	uint64_t *seen = &f->seen[digest & (FORMS_SEEN - 1)];

	*learn_out = false;
	if (form != 0 || f->count == FORMS_MAX)
		return form;
	*learn_out = *seen == digest;
	*seen = digest;
	return 0;
}

/* ---- learning ---- */

static uint32_t form_members_all(const struct value *map)
{
	uint32_t count = map->count;

	for (uint32_t i = 0; i < map->count; i++) {
		if (map->members[i].value.kind == VALUE_MAP)
			count += map->members[i].value.count;
	}
	return count;
}

/* Copies members, and the texts of those that are not containers; all are marked unused. */
static bool form_copy_members(struct arena *arena, const struct member *from, uint32_t count,
	struct member *to)
{
	bool ok = true;

	for (uint32_t i = 0; i < count; i++) {
		to[i] = from[i];
		to[i].key = arena_copy(arena, from[i].key);
		ok = ok && !slice_is_absent(to[i].key);
		if (to[i].value.kind != VALUE_STRING && to[i].value.kind != VALUE_NUMBER)
			continue;
		to[i].value.text = arena_copy(arena, from[i].value.text);
		ok = ok && !slice_is_absent(to[i].value.text);
	}
	return ok;
}

static bool form_set_members(struct form *form, struct arena *arena, const struct value *map)
{
	struct member *next;

	form->members_count = map->count;
	form->members_all = form_members_all(map);
	form->members = arena_alloc(arena, form->members_all * sizeof(*form->members));
	if (form->members == NULL ||
		!form_copy_members(arena, map->members, map->count, form->members))
		return false;
	next = form->members + form->members_count;
	for (uint32_t i = 0; i < map->count; i++) {
		struct value *v = &form->members[i].value;

		if (slice_equal_cstr(form->members[i].key, "value"))
			form->value = i;
		if (v->kind != VALUE_MAP)
			continue;
		if (!form_copy_members(arena, v->members, v->count, next))
			return false;
		v->members = next;
		next += v->count;
	}
	/* The value of the first message must never show up in another. */
	form->members[form->value].value = (struct value){.kind = VALUE_NULL};
	return true;
}

static bool form_set(struct form *form, struct arena *arena, const struct form_map *map,
	const struct value *decoded)
{
	uint8_t *bytes = arena_bytes(arena, form_before(map) + form_after(map));

	*form = (struct form){
		.digest = form_digest(map),
		.bytes = bytes,
		.before = (uint32_t)form_before(map),
		.after = (uint32_t)form_after(map),
		.values = map->values,
	};
	if (bytes == NULL)
		return false;
	memcpy(bytes, map->start, form->before);
	memcpy(bytes + form->before, map->value_end, form->after);
	return form_set_members(form, arena, decoded);
}

uint16_t forms_learn(struct forms *f, const struct form_map *map, const struct value *decoded)
{
	struct arena_mark mark = arena_mark(&f->arena);
	struct form *form = &f->items[f->count];

	if (f->count == FORMS_MAX)
		return 0;
	if (!form_set(form, &f->arena, map, decoded)) {
		arena_rewind(&f->arena, mark);
		return 0;
	}
	f->count++;
	*forms_slot(f, map, form->digest) = f->count;
	return f->count;
}

/* ---- making ---- */

struct value *forms_make(const struct forms *f, uint16_t number, struct arena *arena,
	struct value *to)
{
	const struct form *form = &f->items[number - 1];
	struct member *members = arena_alloc(arena, form->members_all * sizeof(*members));

	if (members == NULL)
		return NULL;
	memcpy(members, form->members, form->members_all * sizeof(*members));
	for (uint32_t i = 0; i < form->members_count; i++) {
		struct value *v = &members[i].value;

		if (v->kind == VALUE_MAP)
			v->members = members + (v->members - form->members);
	}
	*to = (struct value){
		.kind = VALUE_MAP,
		.form = number,
		.count = form->members_count,
		.members = members,
	};
	return &members[form->value].value;
}
