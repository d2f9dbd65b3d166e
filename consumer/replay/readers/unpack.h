#ifndef REPLAY_READERS_UNPACK_H
#define REPLAY_READERS_UNPACK_H

#include "base/error.h"

#include <stdint.h>

/*
 * Makes a file that can be read at any position of one that cannot: gzip, zstd, a pipe. What it
 * holds goes into a file without a name in $TMPDIR (/tmp), which is gone once it is closed. Damage
 * costs the rest of its frame (zstd) or of the file (gzip); what was read before it is kept.
 *
 * It goes there piece by piece and within bounds: a file that grows more than UNPACK_RATIO_MAX
 * fold, beyond the first UNPACK_ANY_BYTES, is refused ("unpack_ratio"), and a part of the room of
 * $TMPDIR stays free for others ("unpack_room").
 * Blocking; one thread.
 */
enum {
	/* gzip can make 1,032 bytes of one, zstd many more. Real messages get to a hundred. */
	UNPACK_RATIO_MAX = 1000,
	UNPACK_ANY_BYTES = 64 << 20,
	UNPACK_FREE_PART = 20, /* a twentieth of the file system */
};

struct unpack_events {
	/* Something could not be read: where in the packed file, and why. */
	void (*on_damage)(void *context, int64_t offset, const char *why);
	void *context;
};

/*
 * fd is borrowed, and read from its beginning (a pipe: from where it is). *out_fd is fd itself
 * where nothing has to be done. False with err (FATAL) if a file operation fails.
 */
MUST_CHECK bool unpack(int fd, const char *path, struct unpack_events events, int *out_fd,
	struct error *err);

#endif
