#include "daemon/heard.h"

#include "base/clock.h"
#include "base/digest.h"
#include "daemon/options.h"

#include <stdlib.h>

static const int64_t HEARD_US = 300 * US_PER_SECOND;
/* How often, at most, a full table is searched for old stations. */
static const int64_t HEARD_REBUILD_US = US_PER_SECOND;

enum { HEARD_ROOM_MIN = 1024, HEARD_ROOM_MAX = 2 * HEARD_STATIONS_MAX };

struct heard_station {
	uint64_t digest; /* digest of its name; 0 = free */
	int64_t last_us;
};

bool heard_init(struct heard *h, const struct config *config, struct error *err)
{
	if (!options_topics(config, &h->patterns, err))
		return false;
	h->room = HEARD_ROOM_MIN;
	h->slots = calloc(h->room, sizeof(*h->slots));
	if (h->slots == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	pthread_mutex_init(&h->lock, NULL);
	h->open = true;
	return true;
}

bool heard_reload(struct heard *h, const struct config *config, struct error *err)
{
	struct topic_patterns patterns;

	if (!options_topics(config, &patterns, err))
		return false;
	pthread_mutex_lock(&h->lock);
	h->patterns = patterns;
	pthread_mutex_unlock(&h->lock);
	return true;
}

void heard_fini(struct heard *h)
{
	if (!h->open)
		return;
	h->open = false;
	free(h->slots);
	pthread_mutex_destroy(&h->lock);
}

static bool heard_is_recent(const struct heard_station *s, int64_t now_us)
{
	return s->digest != 0 && now_us - s->last_us < HEARD_US;
}

/* Its slot, or the free one where it belongs. */
static struct heard_station *heard_find(struct heard_station *slots, size_t room, uint64_t digest)
{
	size_t at = digest & (room - 1);

	while (slots[at].digest != 0 && slots[at].digest != digest)
		at = (at + 1) & (room - 1);
	return &slots[at];
}

static size_t heard_count_recent(const struct heard *h, int64_t now_us)
{
	size_t count = 0;

	for (size_t i = 0; i < h->room; i++)
		count += heard_is_recent(&h->slots[i], now_us);
	return count;
}

/* Rebuilds the table without stations not heard from recently, and with room for as many again.
 * False if there is no room for one more. */
static bool heard_rebuild(struct heard *h, int64_t now_us)
{
	struct heard_station *slots;
	size_t room = HEARD_ROOM_MIN, recent;

	if (h->rebuilt_us != 0 && h->room == HEARD_ROOM_MAX &&
		now_us - h->rebuilt_us < HEARD_REBUILD_US)
		return false;
	h->rebuilt_us = now_us;
	recent = heard_count_recent(h, now_us);
	if (recent >= HEARD_STATIONS_MAX)
		return false;
	while (room < 4 * recent && room < HEARD_ROOM_MAX)
		room *= 2;
	slots = calloc(room, sizeof(*slots));
	if (slots == NULL)
		return false;
	for (size_t i = 0; i < h->room; i++) {
		if (heard_is_recent(&h->slots[i], now_us))
			*heard_find(slots, room, h->slots[i].digest) = h->slots[i];
	}
	free(h->slots);
	h->slots = slots;
	h->room = room;
	h->used = recent;
	return true;
}

static void heard_add(struct heard *h, uint64_t digest, int64_t now_us)
{
	struct heard_station *s = heard_find(h->slots, h->room, digest);

	if (s->digest == 0) {
		if (h->used >= h->room / 2) {
			if (!heard_rebuild(h, now_us))
				return;
			s = heard_find(h->slots, h->room, digest);
		}
		s->digest = digest;
		h->used++;
	}
	s->last_us = now_us;
}

void heard_note(struct heard *h, struct slice topic, int64_t now_us)
{
	struct topic said;
	uint64_t digest;
	bool counts; /* otherwise it is for a station, or not about one */

	pthread_mutex_lock(&h->lock);
	counts = topic_match(&h->patterns, topic, &said) && !slice_is_absent(said.station) &&
		 said.direction == TOPIC_IN;
	if (counts) {
		digest = digest64(said.station.data, said.station.size);
		heard_add(h, digest == 0 ? 1 : digest, now_us);
	}
	pthread_mutex_unlock(&h->lock);
}

uint64_t heard_count(struct heard *h, int64_t now_us)
{
	uint64_t count;

	pthread_mutex_lock(&h->lock);
	count = heard_count_recent(h, now_us);
	pthread_mutex_unlock(&h->lock);
	return count;
}
