#ifndef REPLAY_READERS_SOURCE_H
#define REPLAY_READERS_SOURCE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/sha256.h"
#include "replay/readers/csv.h"
#include "replay/readers/lines.h"
#include "spool/record.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Old messages from files, in order, numbered from 1: segments of a log, captures line by line
 * (lines.h), and meter values in CSV (csv.h), each plain or packed with gzip or zstd. A file is
 * recognised by its first bytes. A message's number is a position to come back to as long as the
 * messages before it are the same, which replay_source_content() shows: names, packing and where
 * files end do not matter.
 *
 * What cannot be read is reported with file and position and skipped: it affects nothing else.
 * Memory does not grow with the files; blocking; one thread.
 */
struct replay_source;

/* The files that the arguments stand for: themselves, "-" = standard input, and for a folder its
 * segments or, if it has none, its files, sorted by name. A folder without files is an error. */
struct replay_files {
	char **paths;
	size_t count;
	int64_t bytes; /* total size on disk; 0 for a pipe */
};

MUST_CHECK bool replay_files_find(struct replay_files *out, char *const *arguments, size_t count,
	struct error *err);
void replay_files_free(struct replay_files *files);

struct replay_source_events {
	/* position: bytes from the beginning of the (packed) file, or the number of a line. */
	void (*on_unreadable)(void *context, const char *path, const char *unit, int64_t position,
		uint64_t count, const char *why);
	void *context;
};

/* files, pattern and csv are borrowed; with csv, all files are CSV; NULL = none are. */
MUST_CHECK bool replay_source_open(struct replay_source **out, const struct replay_files *files,
	const struct lines_pattern *pattern, const struct csv_map *csv,
	struct replay_source_events events, struct error *err);
void replay_source_close(struct replay_source **source);

enum replay_next { REPLAY_RECORD, REPLAY_END, REPLAY_ERROR };

/* The next message, from the arena; out->seq is its number, and everything in out->link except
 * follows is set. ERROR sets err: FULL, or FATAL if a file operation fails. */
enum replay_next replay_source_next(struct replay_source *source, struct arena *arena,
	struct record *out, struct error *err);

/* Call before the arena given to replay_source_next() is reset. */
void replay_source_drop_window(struct replay_source *source);

/* Go to just after message seq, forward or back. */
MUST_CHECK bool replay_source_seek(struct replay_source *source, uint64_t seq, struct error *err);

/* Digest of all messages from the first up to message seq, which must be the last one read (or
 * skipped): otherwise false. */
MUST_CHECK bool replay_source_content(const struct replay_source *source, uint64_t seq,
	uint8_t out[static SHA256_BYTES]);

/* How much of files->bytes has been read. */
int64_t replay_source_bytes(const struct replay_source *source);

#endif
