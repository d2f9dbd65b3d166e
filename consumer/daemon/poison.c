#include "daemon/poison.h"

#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

enum {
	POISON_ROOM_MIN = 64,
	/* Those of one record and as many of others. */
	POISON_MAX = 2 * DECODE_MESSAGES_MAX,
	POISON_DETAILS_MAX = 4096, /* beyond it a dead letter has its reason only */
};

void poison_fini(struct poison_set *set)
{
	for (size_t i = 0; i < set->room; i++)
		free(set->slots[i].detail);
	free(set->slots);
	*set = (struct poison_set){.slots = NULL};
}

static size_t poison_slot(const struct poison *slots, size_t room, uint64_t seq, uint32_t index)
{
	uint64_t hash =
		(seq * UINT64_C(0x9e3779b97f4a7c15)) ^ (index * UINT64_C(0xd6e8feb86659fd93));
	size_t slot = (size_t)(hash >> 32 ^ hash) & (room - 1);

	while (slots[slot].used && (slots[slot].seq != seq || slots[slot].index != index))
		slot = (slot + 1) & (room - 1);
	return slot;
}

const struct poison *poison_find(const struct poison_set *set, uint64_t seq, uint32_t index)
{
	size_t slot;

	if (set->count == 0)
		return NULL;
	slot = poison_slot(set->slots, set->room, seq, index);
	return set->slots[slot].used ? &set->slots[slot] : NULL;
}

void poison_error(const struct poison *p, struct error *out)
{
	if (p->detail != NULL)
		error_set(out, ERROR_POISON, p->code, "%s", p->detail);
	else
		error_set(out, ERROR_POISON, p->code, "PostgreSQL refused it, as others before it");
	memcpy(out->sqlstate, p->sqlstate, sizeof(out->sqlstate));
}

/* All entries into a table of another size. False without memory: then nothing has changed. */
static bool poison_resize(struct poison_set *set, size_t room)
{
	struct poison *slots = calloc(room, sizeof(*slots));

	if (slots == NULL)
		return false;
	for (size_t i = 0; i < set->room; i++) {
		const struct poison *p = &set->slots[i];

		if (p->used)
			slots[poison_slot(slots, room, p->seq, p->index)] = *p;
	}
	free(set->slots);
	set->slots = slots;
	set->room = room;
	return true;
}

enum poison_added poison_add(struct poison_set *set, uint64_t seq, uint32_t index, bool bare,
	const struct error *why)
{
	struct poison *p;

	if (set->count >= POISON_MAX)
		return POISON_FULL;
	if (set->count * 2 >= set->room &&
		!poison_resize(set, set->room == 0 ? POISON_ROOM_MIN : set->room * 2))
		return POISON_FULL;
	p = &set->slots[poison_slot(set->slots, set->room, seq, index)];
	if (p->used) {
		bool news = bare && !p->bare;

		p->bare |= bare;
		return news ? POISON_NEWS : POISON_KNOWN;
	}
	*p = (struct poison){.seq = seq,
		.index = index,
		.used = true,
		.bare = bare,
		/* One that the server did not call poison was found to be at fault all the same. */
		.code = why->kind == ERROR_POISON ? why->code : REASON_constraint};
	memcpy(p->sqlstate, why->sqlstate, sizeof(p->sqlstate));
	if (set->details < POISON_DETAILS_MAX)
		p->detail = strdup(why->message);
	set->details += p->detail != NULL;
	set->count++;
	return POISON_NEWS;
}

void poison_forget(struct poison_set *set, uint64_t seq)
{
	struct poison_set kept = {.slots = NULL};

	if (set->count == 0)
		return;
	kept.slots = calloc(set->room, sizeof(*kept.slots));
	kept.room = set->room;
	if (kept.slots == NULL)
		return; /* they do no harm: done with the next time */
	for (size_t i = 0; i < set->room; i++) {
		struct poison *p = &set->slots[i];

		if (!p->used || p->seq <= seq)
			continue;
		kept.slots[poison_slot(kept.slots, kept.room, p->seq, p->index)] = *p;
		kept.count++;
		kept.details += p->detail != NULL;
		p->detail = NULL; /* it has moved */
	}
	poison_fini(set);
	if (kept.count > 0)
		*set = kept;
	else
		free(kept.slots);
}
