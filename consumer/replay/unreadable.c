#include "replay/unreadable.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The slot for a reason: its own, or the last one. */
static size_t unreadable_reason(struct replay_unreadable *u, const char *why)
{
	char shown[UNREADABLE_WHY_BYTES];

	snprintf(shown, sizeof(shown), "%s", why);
	for (size_t i = 0; i < UNREADABLE_REASONS - 1; i++) {
		if (u->reasons[i].places == 0)
			memcpy(u->reasons[i].why, shown, sizeof(shown));
		if (strcmp(u->reasons[i].why, shown) == 0)
			return i;
	}
	snprintf(shown, sizeof(shown), "other reasons");
	memcpy(u->reasons[UNREADABLE_REASONS - 1].why, shown, sizeof(shown));
	return UNREADABLE_REASONS - 1;
}

void replay_on_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why)
{
	struct replay_unreadable *u = context;
	size_t reason = unreadable_reason(u, why);

	u->count += count;
	if (++u->reasons[reason].places <= UNREADABLE_SHOWN)
		log_warn("unreadable", why, "file=%s %s=%" PRId64 " count=%" PRIu64,
			LOG_VALUE(path), unit, position, count);
}

void replay_unreadable_end(const struct replay_unreadable *u)
{
	for (size_t i = 0; i < UNREADABLE_REASONS; i++) {
		if (u->reasons[i].places > UNREADABLE_SHOWN)
			log_warn("unreadable_in_all", u->reasons[i].why, "places=%" PRIu64,
				u->reasons[i].places);
	}
}
