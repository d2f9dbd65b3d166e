#include "decode/value.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* Members that are sorted without allocating; no OCPP object has as many. */
enum { VALUE_SORT_MAX = 64 };

struct value *value_get(const struct value *map, struct slice key)
{
	if (map == NULL || map->kind != VALUE_MAP)
		return NULL;
	for (uint32_t i = map->count; i-- > 0;) {
		if (slice_equal(map->members[i].key, key))
			return &map->members[i].value;
	}
	return NULL;
}

struct slice value_text(const struct value *v)
{
	if (v == NULL || (v->kind != VALUE_STRING && v->kind != VALUE_NUMBER))
		return (struct slice){NULL, 0};
	return v->text;
}

static bool value_is_touched(const struct value *v)
{
	if (v->used || (v->kind != VALUE_MAP && v->kind != VALUE_ARRAY))
		return v->used;
	for (uint32_t i = 0; i < v->count; i++) {
		if (value_is_touched(v->kind == VALUE_MAP ? &v->members[i].value : &v->items[i]))
			return true;
	}
	return false;
}

bool value_is_spent(const struct value *v)
{
	if (v->used || v->kind == VALUE_NULL)
		return true;
	if (v->kind != VALUE_MAP && v->kind != VALUE_ARRAY)
		return false;
	/* A null member counts as absent; a null in a list keeps its place. */
	if (v->kind == VALUE_ARRAY && !value_is_touched(v))
		return false;
	for (uint32_t i = 0; i < v->count; i++) {
		if (!value_is_spent(v->kind == VALUE_MAP ? &v->members[i].value : &v->items[i]))
			return false;
	}
	/* An empty map that was never used is content; one that became empty is not. */
	return v->count > 0;
}

bool value_disguise(struct value *v, struct slice shown, struct arena *arena)
{
	uint8_t *both = arena_bytes(arena, shown.size + v->text.size);

	if (both == NULL)
		return false;
	memcpy(both, shown.data, shown.size);
	memcpy(both + shown.size, v->text.data, v->text.size);
	v->boolean = v->kind == VALUE_NUMBER;
	v->kind = VALUE_STRING;
	v->disguised = true;
	v->count = (uint32_t)v->text.size;
	v->text = slice_of(both, shown.size);
	return true;
}

void value_mark_used(struct value *v)
{
	v->used = true;
}

size_t value_format_time(const struct value *v, char out[static VALUE_TIME_BYTES])
{
	int64_t us = (v->time_us % US_PER_SECOND + US_PER_SECOND) % US_PER_SECOND;
	size_t size;

	if (v->count == 0)
		return iso8601_format(v->time_us, out);
	/* Whole seconds without their Z, then nine decimals without trailing zeros. */
	size = iso8601_format(v->time_us - us, out) - 1;
	size += (size_t)snprintf(out + size, VALUE_TIME_BYTES - size, ".%06d%03u", (int)us,
		(unsigned)v->count);
	while (out[size - 1] == '0')
		size--;
	out[size++] = 'Z';
	out[size] = '\0';
	return size;
}

static void value_put_scalar(struct text *t, const struct value *v)
{
	char time[VALUE_TIME_BYTES];

	switch ((enum value_kind)v->kind) {
	case VALUE_BOOLEAN:
		text_put_cstr(t, v->boolean ? "true" : "false");
		break;
	case VALUE_NUMBER:
		text_put_slice(t, v->text);
		break;
	case VALUE_STRING:
		text_put_json_string(t, v->text);
		break;
	case VALUE_TIME:
		text_put_char(t, '"');
		text_put(t, time, value_format_time(v, time));
		text_put_char(t, '"');
		break;
	case VALUE_NULL:
	case VALUE_ARRAY:
	case VALUE_MAP:
		text_put_cstr(t, "null");
		break;
	}
}

static void value_put(struct text *t, const struct value *v, bool unused_only)
{
	bool first = true;

	if (v->kind != VALUE_MAP && v->kind != VALUE_ARRAY) {
		value_put_scalar(t, v);
		return;
	}
	/* An untouched value is put whole. */
	unused_only = unused_only && value_is_touched(v);
	text_put_char(t, v->kind == VALUE_MAP ? '{' : '[');
	for (uint32_t i = 0; i < v->count; i++) {
		const struct value *item =
			v->kind == VALUE_MAP ? &v->members[i].value : &v->items[i];

		if (unused_only && value_is_spent(item))
			continue;
		if (!first)
			text_put_char(t, ',');
		first = false;
		if (v->kind == VALUE_MAP) {
			text_put_json_string(t, v->members[i].key);
			text_put_char(t, ':');
		}
		value_put(t, item, unused_only);
	}
	text_put_char(t, v->kind == VALUE_MAP ? '}' : ']');
}

void value_put_json(struct text *t, const struct value *v)
{
	value_put(t, v, false);
}

void value_put_json_unused(struct text *t, const struct value *v)
{
	if (value_is_spent(v))
		text_put_cstr(t, "null");
	else
		value_put(t, v, true);
}

/* Sign, digits without zeros at either end, exponent: 1500.0 and 1.5e3 are 15e2. */
void value_put_canonical_decimal(struct text *t, const struct decimal *d)
{
	uint8_t *start = text_reserve(t, 1 + d->digits_size), *at, *end;
	int64_t exponent = d->exponent;
	bool fraction = false;

	if (start == NULL)
		return;
	if (d->negative)
		*start++ = '-';
	at = end = start; /* end: after the last digit that is not 0 */
	for (size_t i = 0; i < d->digits_size; i++) {
		uint8_t c = d->digits[i];

		if (c == '.') {
			fraction = true;
			continue;
		}
		exponent -= fraction;
		if (c == '0' && at == start)
			continue;
		*at++ = c;
		if (c != '0')
			end = at;
	}
	t->at = end;
	if (end == start) {
		text_put_char(t, '0');
		return;
	}
	text_put_char(t, 'e');
	text_put_int(t, exponent + (at - end));
}

static void value_put_canonical_number(struct text *t, struct slice number)
{
	struct decimal d;

	if (decimal_parse(number, &d) == DECIMAL_NONE)
		text_put_slice(t, number);
	else
		value_put_canonical_decimal(t, &d);
}

/* Whether the text is exactly an instant: 10:00:00Z and 12:00:00.000+02:00 are the same. */
static bool value_text_is_instant(struct slice text, int64_t *us_out)
{
	return text.size >= 16 && text.size <= 40 && text.data[4] == '-' && text.data[7] == '-' &&
	       iso8601_parse(text, us_out) == ISO8601_EXACT;
}

static void value_put_instant(struct text *t, int64_t us)
{
	text_put_char(t, '@');
	text_put_int(t, us);
}

static int value_order_members(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;
	int order = slice_compare((*x)->key, (*y)->key);

	/* Members of one map are in one array, so the address is the position. */
	return order != 0 ? order : (*x > *y) - (*x < *y);
}

static void value_put_form(struct text *t, const struct value *v, bool unused_only);

static void value_put_canonical_map(struct text *t, const struct value *v, bool unused_only)
{
	const struct member *local[VALUE_SORT_MAX], **sorted = local;
	bool first = true;

	if (v->count > VALUE_SORT_MAX)
		sorted = calloc(v->count, sizeof(*sorted));
	CHECK(sorted != NULL);
	for (uint32_t i = 0; i < v->count; i++) {
		const struct member *m = &v->members[i];
		uint32_t at = i;

		if (v->count > VALUE_SORT_MAX) {
			sorted[i] = m;
			continue;
		}
		for (; at > 0 && value_order_members(&sorted[at - 1], &m) > 0; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = m;
	}
	if (v->count > VALUE_SORT_MAX)
		qsort(sorted, v->count, sizeof(*sorted), value_order_members);
	text_put_char(t, '{');
	for (uint32_t i = 0; i < v->count; i++) {
		const struct member *m = sorted[i];

		if (m->value.kind == VALUE_NULL || (unused_only && value_is_spent(&m->value)) ||
			(i + 1 < v->count && slice_equal(m->key, sorted[i + 1]->key)))
			continue;
		if (!first)
			text_put_char(t, ',');
		first = false;
		text_put_json_string(t, m->key);
		text_put_char(t, ':');
		value_put_form(t, &m->value, unused_only);
	}
	text_put_char(t, '}');
	if (sorted != local)
		free(sorted);
}

void value_put_canonical(struct text *t, const struct value *v)
{
	value_put_form(t, v, false);
}

void value_put_canonical_unused(struct text *t, const struct value *v)
{
	value_put_form(t, v, true);
}

/* The original of a disguised value. */
static struct value value_undisguised(const struct value *v)
{
	return (struct value){.kind = v->boolean ? VALUE_NUMBER : VALUE_STRING,
		.text = slice_of(v->text.data + v->text.size, v->count)};
}

static void value_put_form(struct text *t, const struct value *v, bool unused_only)
{
	struct value original;
	int64_t us;

	if (v->disguised) {
		original = value_undisguised(v);
		v = &original;
	}
	switch ((enum value_kind)v->kind) {
	case VALUE_NUMBER:
		value_put_canonical_number(t, v->text);
		break;
	case VALUE_STRING:
		if (value_text_is_instant(v->text, &us))
			value_put_instant(t, us);
		else
			text_put_json_string(t, v->text);
		break;
	case VALUE_TIME:
		value_put_instant(t, v->time_us);
		break;
	case VALUE_ARRAY:
		text_put_char(t, '[');
		for (uint32_t i = 0; i < v->count; i++) {
			if (i > 0)
				text_put_char(t, ',');
			value_put_form(t, &v->items[i], unused_only);
		}
		text_put_char(t, ']');
		break;
	case VALUE_MAP:
		value_put_canonical_map(t, v, unused_only);
		break;
	case VALUE_NULL:
	case VALUE_BOOLEAN:
		value_put_scalar(t, v);
		break;
	}
}
