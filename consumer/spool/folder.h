#ifndef SPOOL_FOLDER_H
#define SPOOL_FOLDER_H

#include "base/arena.h"
#include "base/error.h"
#include "spool/archive.h"
#include "spool/segment.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A log seen from outside: reads its files, whether a process uses it or not. Files that the
 * process removes meanwhile are skipped; those that it packs are found in their new form. Blocking;
 * one thread.
 */
struct folder_file {
	char name[ARCHIVE_NAME_BYTES];
	uint64_t first_seq;
	bool archived;
	int64_t bytes; /* on disk */
};

struct folder {
	const char *dir; /* borrowed */
	struct folder_file *files;
	size_t count;     /* sorted by first_seq, each once */
	size_t set_aside; /* files that end in .bad */
};

/* False with err (FATAL): there is no such folder, or it has no log. */
MUST_CHECK bool folder_list(struct folder *out, const char *dir, struct error *err);
void folder_free(struct folder *folder);

struct folder_events {
	/* A part of a file cannot be read. */
	void (*on_damage)(void *context, const char *path, int64_t offset, const char *why);
	void *context;
};

/* Reads one file. Embedded in the caller's memory. */
struct folder_reader {
	struct folder_events events;
	char path[PATH_MAX];
	int fd; /* the segment, unpacked; -1 = closed */
	bool archived;
	struct segment_reader reader;
	uint64_t records;
	int64_t first_received_us, last_received_us; /* earliest and latest, if records > 0 */
	uint64_t missing_reported;
};

enum folder_opened { FOLDER_OPENED, FOLDER_GONE, FOLDER_UNREADABLE, FOLDER_FAILED };

/* GONE: the log has removed it. UNREADABLE: it has no header; reported already. FAILED sets err. */
enum folder_opened folder_open(struct folder_reader *r, const struct folder *folder, size_t i,
	struct folder_events events, struct error *err);
void folder_close(struct folder_reader *r);

/*
 * Fills in what is known about a file without reading all of it; *r cannot be read from. An archive
 * has that at its end. For a segment, the next one's header says how many records it has, and its
 * first and last record are read into the arena, which is reset; damage between them goes
 * unnoticed. Without an arena: archives only. False if that is not possible, and the file has to be
 * opened.
 */
bool folder_peek(struct folder_reader *r, const struct folder *folder, size_t i,
	struct arena *arena);

/* Where a log ends, and its position at a record. */
struct folder_positions {
	struct uuid identity;
	struct position end;
	struct position at; /* as from spool_cursor_recognise() */
	bool closed;        /* properly: end is really the end */
};

/* Reads two files at most. False with err; ABSENT if they have gone meanwhile. */
MUST_CHECK bool folder_positions(const struct folder *folder, uint64_t seq,
	struct folder_events events, struct folder_positions *out, struct error *err);

/* As segment_reader_next(); reports damage. */
enum segment_next folder_next(struct folder_reader *r, struct arena *arena, struct record *out,
	struct error *err);

#endif
