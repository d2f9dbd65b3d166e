#include "rows/layouts.h"

#include "base/digest.h"

#include <stdlib.h>

enum {
	LAYOUTS_SLOTS = 1 << 17,         /* a power of two; 1 MiB */
	LAYOUTS_MAX = LAYOUTS_SLOTS / 2, /* known at a time; beyond it all are forgotten */
	STATIONS_SLOTS = 1 << 16,        /* counters; stations that share one share the limit */
};

struct layouts {
	uint64_t ids[LAYOUTS_SLOTS]; /* 0 = empty */
	uint32_t per_station[STATIONS_SLOTS];
	uint32_t per_station_max;
	size_t count;
};

bool layouts_new(struct layouts **out, uint32_t per_station_max, struct error *err)
{
	struct layouts *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	l->per_station_max = per_station_max;
	*out = l;
	return true;
}

void layouts_free(struct layouts **layouts)
{
	free(*layouts);
	*layouts = NULL;
}

/* The slot that has the id, or the empty one where it would go. */
static size_t layouts_slot(const struct layouts *l, uint64_t id)
{
	size_t slot = id & (LAYOUTS_SLOTS - 1);

	while (l->ids[slot] != 0 && l->ids[slot] != id)
		slot = (slot + 1) & (LAYOUTS_SLOTS - 1);
	return slot;
}

static void layouts_insert(struct layouts *l, uint64_t id)
{
	if (l->count >= LAYOUTS_MAX)
		layouts_forget(l);
	l->ids[layouts_slot(l, id)] = id;
	l->count++;
}

static uint32_t *layouts_station(struct layouts *l, struct slice station)
{
	return &l->per_station[digest64(station.data, station.size) & (STATIONS_SLOTS - 1)];
}

bool layouts_is_known(const struct layouts *l, uint64_t id)
{
	return l->ids[layouts_slot(l, id)] == id;
}

enum layouts_admission layouts_admit(struct layouts *l, uint64_t id, struct slice station)
{
	uint32_t *added;

	if (layouts_is_known(l, id))
		return LAYOUT_KNOWN;
	added = layouts_station(l, station);
	if (*added >= l->per_station_max)
		return LAYOUT_REFUSED;
	++*added;
	layouts_insert(l, id);
	return LAYOUT_NEW;
}

void layouts_learn(struct layouts *l, uint64_t id, struct slice first_station)
{
	uint32_t *added = layouts_station(l, first_station);

	if (layouts_is_known(l, id))
		return;
	if (*added < l->per_station_max)
		++*added;
	layouts_insert(l, id);
}

void layouts_forget(struct layouts *l)
{
	memset(l->ids, 0, sizeof(l->ids));
	l->count = 0;
}

size_t layouts_known(const struct layouts *l)
{
	return l->count;
}
