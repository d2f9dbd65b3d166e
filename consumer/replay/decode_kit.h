#ifndef REPLAY_DECODE_KIT_H
#define REPLAY_DECODE_KIT_H

#include "daemon/row_maker.h"
#include "replay/readers/source.h"

/* Everything needed to make rows from messages without a database. One thread. */
struct decode_kit {
	struct row_maker maker;
	struct arena arena;
};

enum { DECODE_KIT_BYTES_MAX = 16 << 20 };

/* FATAL; close it even after a failure. */
MUST_CHECK bool decode_kit_open(struct decode_kit *kit, const struct config *config,
	struct error *err);

/* Call before each record: once the arena is full enough, this frees its content, and what source
 * has read ahead with it. Doing that for every record would read the same pages again and again. */
void decode_kit_make_room(struct decode_kit *kit, struct replay_source *source);

void decode_kit_close(struct decode_kit *kit);

#endif
