#include "rows/sequences.h"

#include "base/digest.h"

#include <stdlib.h>

enum {
	SEQUENCES_MAX = 2048, /* 260 KiB; stations of the same make and setup share them */
	SEQUENCES_SLOTS = 2 * SEQUENCES_MAX,
};

struct sequences {
	struct sequence items[SEQUENCES_MAX];
	uint16_t count;
	uint16_t slots[SEQUENCES_SLOTS]; /* index + 1; 0 = empty */
};

bool sequences_new(struct sequences **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

void sequences_free(struct sequences **sequences)
{
	free(*sequences);
	*sequences = NULL;
}

static bool sequence_fits(const struct sequence *s, const struct sequence *key)
{
	return s->count == key->count && s->block == key->block &&
	       memcmp(s->forms, key->forms, key->count * sizeof(*key->forms)) == 0;
}

/* The slot that has it, or the empty slot where it belongs. */
static size_t sequences_slot(const struct sequences *s, const struct sequence *key)
{
	size_t slot =
		digest64(key->forms, key->count * sizeof(*key->forms)) & (SEQUENCES_SLOTS - 1);

	while (s->slots[slot] != 0 && !sequence_fits(&s->items[s->slots[slot] - 1], key))
		slot = (slot + 1) & (SEQUENCES_SLOTS - 1);
	return slot;
}

const struct sequence *sequences_find(const struct sequences *s, const struct sequence *key)
{
	uint16_t found = s->slots[sequences_slot(s, key)];

	return found == 0 ? NULL : &s->items[found - 1];
}

void sequences_learn(struct sequences *s, const struct sequence *learned)
{
	size_t slot = sequences_slot(s, learned);

	if (s->slots[slot] != 0 || s->count == SEQUENCES_MAX)
		return;
	s->items[s->count++] = *learned;
	s->slots[slot] = s->count;
}
