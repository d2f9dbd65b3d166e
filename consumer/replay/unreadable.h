#ifndef REPLAY_UNREADABLE_H
#define REPLAY_UNREADABLE_H

#include <stdint.h>

/* What a source could not read: the first places for each reason are logged, and at the end how
 * many there were. Zero it first. */
enum { UNREADABLE_SHOWN = 10, UNREADABLE_REASONS = 16, UNREADABLE_WHY_BYTES = 128 };

struct replay_unreadable {
	uint64_t count; /* places, or records if they can be counted */
	struct {
		char why[UNREADABLE_WHY_BYTES];
		uint64_t places;
	} reasons[UNREADABLE_REASONS]; /* the last one is for all others */
};

/* For struct replay_source_events; context: a struct replay_unreadable. */
void replay_on_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why);

/* At the end: the reasons for which not every place was logged. */
void replay_unreadable_end(const struct replay_unreadable *unreadable);

#endif
