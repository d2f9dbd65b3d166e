#include "rows/layouts.h"

#include "base/digest.h"
#include "base/uuid.h"

#include <stdlib.h>

enum {
	LAYOUTS_SLOTS = 1 << 17,         /* a power of two; 1 MiB */
	LAYOUTS_MAX = LAYOUTS_SLOTS / 2, /* counted at a time; then counting starts over */
	STATIONS_SLOTS = 1 << 16,        /* counters; stations with the same slot share the limit */
};

struct layouts {
	uint64_t ids[LAYOUTS_SLOTS]; /* counted; 0 = empty */
	bool known[LAYOUTS_SLOTS];
	bool differs[LAYOUTS_SLOTS];   /* two texts have it */
	uint64_t texts[LAYOUTS_SLOTS]; /* digest of the text that has the id; 0 = none seen yet */
	uint64_t key;
	uint64_t others;
	uint32_t per_station[STATIONS_SLOTS];
	uint32_t per_station_max;
	size_t count;
	size_t known_count;
};

void layouts_set_max(struct layouts *l, uint32_t per_station_max)
{
	l->per_station_max = per_station_max;
}

bool layouts_new(struct layouts **out, uint32_t per_station_max, struct error *err)
{
	struct layouts *l = calloc(1, sizeof(*l));
	struct uuid random;

	if (l == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	l->per_station_max = per_station_max;
	if (!uuid_new(&random)) {
		free(l);
		return error_set_errno(err, ERROR_FATAL, REASON_random,
			"could not make a random number");
	}
	memcpy(&l->key, random.bytes, sizeof(l->key));
	*out = l;
	return true;
}

void layouts_free(struct layouts **layouts)
{
	free(*layouts);
	*layouts = NULL;
}

/* The slot that has the id, or the empty slot where it belongs. */
static size_t layouts_slot(const struct layouts *l, uint64_t id)
{
	size_t slot = id & (LAYOUTS_SLOTS - 1);

	while (l->ids[slot] != 0 && l->ids[slot] != id)
		slot = (slot + 1) & (LAYOUTS_SLOTS - 1);
	return slot;
}

static void layouts_set_known(struct layouts *l, size_t slot)
{
	l->known_count += !l->known[slot];
	l->known[slot] = true;
}

static void layouts_begin_anew(struct layouts *l)
{
	layouts_forget(l);
	memset(l->ids, 0, sizeof(l->ids));
	memset(l->differs, 0, sizeof(l->differs));
	memset(l->texts, 0, sizeof(l->texts));
	memset(l->per_station, 0, sizeof(l->per_station));
	l->count = 0;
}

static uint32_t *layouts_station(struct layouts *l, struct slice station)
{
	return &l->per_station[digest64(station.data, station.size) & (STATIONS_SLOTS - 1)];
}

/* Gives the id a slot. */
static size_t layouts_count(struct layouts *l, uint64_t id, struct slice station)
{
	size_t slot;

	if (l->count >= LAYOUTS_MAX)
		layouts_begin_anew(l);
	++*layouts_station(l, station);
	slot = layouts_slot(l, id);
	l->ids[slot] = id;
	l->count++;
	return slot;
}

bool layouts_is_known(const struct layouts *l, uint64_t id)
{
	size_t slot = layouts_slot(l, id);

	return l->known[slot] && !l->differs[slot];
}

/* Never 0. */
static uint64_t layouts_text(const struct layouts *l, struct slice text)
{
	return digest64_keyed(l->key, text.data, text.size) | 1;
}

enum layouts_comparison layouts_compare(struct layouts *l, uint64_t id, struct slice text)
{
	size_t slot = layouts_slot(l, id);
	uint64_t digest = layouts_text(l, text);

	if (l->ids[slot] != id || l->texts[slot] == 0)
		return LAYOUT_UNSEEN;
	if (l->texts[slot] == digest)
		return LAYOUT_SAME;
	l->differs[slot] = true;
	l->others++;
	return LAYOUT_OTHER;
}

void layouts_note_text(struct layouts *l, uint64_t id, struct slice text)
{
	size_t slot = layouts_slot(l, id);

	if (l->ids[slot] == id)
		l->texts[slot] = layouts_text(l, text);
}

bool layouts_differ(struct layouts *l, uint64_t id, struct slice stored)
{
	size_t slot = layouts_slot(l, id);
	bool first = !l->differs[slot];

	if (l->ids[slot] != id)
		return true;
	l->differs[slot] = true;
	layouts_note_text(l, id, stored);
	return first;
}

uint64_t layouts_others(const struct layouts *l)
{
	return l->others;
}

enum layouts_admission layouts_admit(struct layouts *l, uint64_t id, struct slice station)
{
	size_t slot = layouts_slot(l, id);

	if (l->known[slot])
		return LAYOUT_KNOWN;
	if (l->ids[slot] != id) {
		if (*layouts_station(l, station) >= l->per_station_max)
			return LAYOUT_REFUSED;
		slot = layouts_count(l, id, station);
	}
	layouts_set_known(l, slot);
	return LAYOUT_NEW;
}

void layouts_learn(struct layouts *l, uint64_t id, struct slice first_station)
{
	size_t slot = layouts_slot(l, id);

	if (l->ids[slot] != id)
		slot = layouts_count(l, id, first_station);
	layouts_set_known(l, slot);
}

void layouts_forget(struct layouts *l)
{
	memset(l->known, 0, sizeof(l->known));
	l->known_count = 0;
}

void layouts_forget_texts(struct layouts *l)
{
	layouts_forget(l);
	memset(l->texts, 0, sizeof(l->texts));
}

size_t layouts_known(const struct layouts *l)
{
	return l->known_count;
}
