#include "decode/decode_private.h"

#include "base/decimal.h"
#include "base/utf8.h"

#include <stdlib.h>

enum {
	SHORT_NUMBER_BYTES = 1000, /* without an exponent, well within numeric's limits */
	FEW_KEYS = 12,             /* compared pairwise */
	SORTED_KEYS_MAX = 1024,
};

bool decode_arena_full(struct error *err)
{
	return error_set(err, ERROR_FULL, REASON_arena_full, "no room to decode the message");
}

struct slice decode_text(struct arena *arena, struct slice s, bool *replaced)
{
	if (utf8_is_storable(s))
		return s;
	*replaced = true;
	return utf8_replace(arena, s);
}

void decode_settle_number(struct value *v, bool *replaced)
{
	struct decimal d;

	if (v->text.size < SHORT_NUMBER_BYTES && memchr(v->text.data, 'e', v->text.size) == NULL &&
		memchr(v->text.data, 'E', v->text.size) == NULL)
		return;
	if (decimal_parse(v->text, &d) != DECIMAL_NONE)
		return;
	v->kind = VALUE_STRING;
	*replaced = true;
}

static int decode_order_members(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;

	return slice_compare((*x)->key, (*y)->key);
}

void decode_settle_map(const struct value *map, bool *replaced)
{
	const struct member *sorted[SORTED_KEYS_MAX];

	if (*replaced)
		return;
	if (map->count > SORTED_KEYS_MAX) {
		*replaced = true; /* more than any OCPP message has: kept whole, unchecked */
		return;
	}
	if (map->count > FEW_KEYS) {
		for (uint32_t i = 0; i < map->count; i++)
			sorted[i] = &map->members[i];
		qsort(sorted, map->count, sizeof(*sorted), decode_order_members);
		for (uint32_t i = 1; i < map->count; i++)
			*replaced |= slice_equal(sorted[i - 1]->key, sorted[i]->key);
		return;
	}
	for (uint32_t i = 1; i < map->count; i++) {
		for (uint32_t j = 0; j < i; j++)
			*replaced |= slice_equal(map->members[i].key, map->members[j].key);
	}
}
