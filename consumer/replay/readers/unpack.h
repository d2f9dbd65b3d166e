#ifndef REPLAY_READERS_UNPACK_H
#define REPLAY_READERS_UNPACK_H

#include "base/error.h"

#include <stdint.h>

/*
 * Turns a file that cannot be read at any position (gzip, zstd, a pipe) into one that can. The
 * content goes into an unnamed file in $TMPDIR (/tmp), which vanishes when it is closed. Damage
 * costs the rest of its frame (zstd) or of the file (gzip); what was read before is kept.
 *
 * This is done piece by piece and within limits: a file that grows more than UNPACK_RATIO_MAX-fold,
 * after the first UNPACK_ANY_BYTES, is refused ("unpack_ratio"), and part of the room in $TMPDIR
 * stays free for others ("unpack_room"). Blocking; one thread.
 */
enum {
	/* gzip can expand a byte to 1,032, zstd to many more. Real messages reach a hundred. */
	UNPACK_RATIO_MAX = 1000,
	UNPACK_ANY_BYTES = 64 << 20,
	UNPACK_FREE_PART = 20, /* a twentieth of the file system */
};

struct unpack_events {
	/* A part could not be read: its offset in the packed file, and why. */
	void (*on_damage)(void *context, int64_t offset, const char *why);
	void *context;
};

/* fd is borrowed, and read from its beginning (a pipe: from its current position). *out_fd is fd
 * itself if nothing has to be done. False with err (FATAL) if a file operation fails. */
MUST_CHECK bool unpack(int fd, const char *path, struct unpack_events events, int *out_fd,
	struct error *err);

#endif
